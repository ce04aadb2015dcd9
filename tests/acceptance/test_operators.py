"""Operators by the commands that the documents show: HTTP push, own topics, Sparkplug."""

import json
import re
import time

import psycopg
import pytest

from tests.fixtures.broker import wait_until
from tests.fixtures.ports import free_port
from tests.fixtures.system import System
from tests.gateway.pushing import push
from tests.gateway.sparkplug_messages import nbirth
from tests.gateway.test_relay import LISTEN, Edge, commands, dbirth, ddata, states

GROUP = "spBv1.0/ponds"


class Broker:
    """Where `tests.gateway.test_relay.Edge` connects."""

    def __init__(self, system):
        self.host, self.mqtt_port = "127.0.0.1", system.mqtt_port


def said(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Two gateways that share the port for pushing."""
    port = free_port()
    system = System(tmp_path_factory.mktemp("system"), more=f"[gateway]\npush_port = {port}\n")
    system.gateways = 2
    try:
        system.start()
        said(system.run("tenant", "add", "kawabe", "--name-ja", "川辺町", "--name-en", "Kawabe"))
        for code, codec, entries in (
            ("1A2B3C", "json", ["depth=depth_m*0.01", "time=msg.time_s", "seqNumber=msg.seq"]),
            ("pond_3", "json", ["Level=depth_m"]),
            ("gate_tank", "sparkplug-b", ["Level=depth_m"]),
        ):
            maps = [word for entry in entries for word in ("--map", entry)]
            said(system.run("device", "add", "kawabe", code, "--kind", "flood_level",
                            "--codec", codec, *maps))  # fmt: skip
        yield system, port
    finally:
        system.close()


def secret_of(done):
    return re.search(r"^Secret +([0-9a-f]{32}) ", said(done), re.MULTILINE)[1]


def values(system):
    with psycopg.connect(system.dsn()) as conn:
        return conn.execute(
            "select device.code, value from observation join datastream using (datastream_id) "
            "join device using (device_id) order by phenomenon_time, 1"
        ).fetchall()


def test_an_operator_pushes_until_it_is_revoked(running):
    system, port = running
    token = secret_of(system.run("operator", "add", "kawabe", "sigfox", "--codec", "json",
                                 "--device-field", "device"))  # fmt: skip
    body = {"device": "1A2B3C", "time": int(time.time()), "seqNumber": 512, "depth": 23}
    for path in ("/push/kawabe/1A2B3C", "/push/kawabe"):  # the second one repeats the first
        status, _, answer = push(port, path, body, token)
        assert (status, answer["outcome"]) == (202, "stored"), answer
    assert values(system) == [("1A2B3C", 0.23)]
    assert "sigfox" in said(system.run("operator", "list", "kawabe"))
    said(system.run("operator", "revoke", "kawabe", "sigfox"))
    assert push(port, "/push/kawabe", body, token)[0] == 401
    assert "sigfox" not in said(system.run("operator", "list"))


def test_a_server_publishes_under_its_own_topics(running):
    system, _ = running
    before = len(values(system))
    secret = secret_of(system.run("operator", "add", "kawabe", "tasmota", "--codec", "json",
                                  "--topic", "tele/{device}/SENSOR"))  # fmt: skip
    refused = system.run("operator", "add", "kawabe", "other", "--codec", "json",
                         "--topic", "tele/+/{device}")  # fmt: skip
    assert refused.returncode == 1
    assert "kawabe/tasmota has" in refused.stderr
    edge = Edge(Broker(system), "tasmota", secret)
    edge.publish("tele/pond_3/SENSOR", json.dumps({"Level": 0.02}))
    wait_until(lambda: len(values(system)) == before + 1)
    edge.close()


def test_an_edge_node_is_heard_and_asked_for_its_birth(running):
    system, _ = running
    before = len(values(system))
    refused = system.run("operator", "add", "kawabe", "scada", "--codec", "json",
                         "--topic", f"{GROUP}/#")  # fmt: skip
    assert refused.returncode == 1
    assert "go together" in refused.stderr
    secret = secret_of(system.run("operator", "add", "kawabe", "scada", "--codec", "sparkplug-b",
                                  "--topic", f"{GROUP}/#"))  # fmt: skip
    edge = Edge(Broker(system), "scada", secret, listen=LISTEN)
    wait_until(lambda: states(edge)[-1:] == [True])
    now = int(time.time() * 1000) - 60_000
    edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(5, now))
    wait_until(lambda: commands(edge))
    edge.publish(f"{GROUP}/NBIRTH/gate", nbirth())
    edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth(1, now + 1))
    edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(2, now + 2))
    wait_until(lambda: len(values(system)) == before + 2)
    assert "1 replayed" in said(system.run("quarantine", "replay", "kawabe"))
    wait_until(lambda: len(values(system)) == before + 3)
    edge.close()
