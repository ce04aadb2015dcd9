"""Messages of operators that the broker cannot map: handed on once, and never lost."""

import json
import threading
import time
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from psycopg.types.json import Jsonb

from deploy.quarantine_replay import replay
from deploy.settings import Settings
from gateway.codecs import sparkplug
from store.database import Database
from store.town_catalog import tenants
from tests.fixtures.broker import TOWN, wait_until
from tests.gateway.conftest import NOW_MS
from tests.gateway.pushing import admit
from tests.gateway.sparkplug_messages import (
    DOUBLE,
    INT64,
    double,
    long_,
    metric,
    nbirth,
    payload,
)
from tests.gateway.test_faults import child
from tests.gateway.test_lorawan import CHIRPSTACK

pytestmark = pytest.mark.usefixtures("comes_again_soon")

COUNT = "select count(*) from observation"
BLOCKED = (
    "select count(*) from pg_locks where relation::regclass::text = 'sparkplug_birth' "
    "and not granted"
)
GROUP = "spBv1.0/ponds"
EUI = "24e1000000000001"


class Edge:
    """An edge node of Sparkplug, or another server; `heard` is what comes to it."""

    def __init__(self, broker, code, secret, *, listen=(), will=None, wait=True):
        self.heard = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"edge-{code}")
        self.client.username_pw_set(f"{TOWN}/@{code}", secret)
        self.client.on_message = lambda _c, _d, m: self.heard.append((m.topic, m.payload))
        if will:
            self.client.will_set(*will, qos=1)
        self.subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: self.subscribed.set()

        def on_connect(*answer):
            if answer[3].is_failure:
                return
            if listen:
                self.client.subscribe([(topic, 1) for topic in listen])
            else:
                self.subscribed.set()

        self.client.on_connect = on_connect
        self.client.connect(broker.host, broker.mqtt_port)
        self.client.loop_start()
        if wait:
            assert self.subscribed.wait(60)

    def publish(self, topic, body, qos=1):
        info = self.client.publish(topic, body, qos=qos)
        info.wait_for_publish(60)
        assert info.is_published()

    def vanish(self):
        self.client.on_disconnect = None
        self.client.loop_stop()
        self.client._sock_close()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def edges():
    made = []
    yield made
    for edge in made:
        edge.close()


def sparkplug_device(town, code="flood-01", to="gate_tank"):
    town.owner.execute(
        "update device set code = %s, codec = 'sparkplug-b', codec_params = %s where code = %s",
        (to, Jsonb({"map": {"Level": {"property": "depth_m"}}}), code),
    )


def dbirth(seq=1, ts=NOW_MS, alias=7):
    return payload(metric("Level", alias=alias, kind=DOUBLE, value=double(0.01)), ts=ts, seq=seq)


def ddata(seq, ts, alias=7):
    return payload(metric(alias=alias, value=double(0.02)), ts=ts, seq=seq)


def unacknowledged(nats):
    """How many messages NATS has sent somebody and will send again."""
    [account] = nats.monitor(f"jsz?acc={TOWN}&consumers=true")["account_details"]
    streams = [stream.get("consumer_detail", ()) for stream in account["stream_detail"]]
    return sum(one["num_ack_pending"] for consumers in streams for one in consumers)


def begun(town, edges):
    """A gateway, and an edge node whose births are known."""
    sparkplug_device(town)
    secret = admit(town, "scada", "sparkplug-b", f"{GROUP}/#")
    gateway = town.start()
    edge = Edge(town.broker, "scada", secret, listen=LISTEN)
    edges.append(edge)
    wait_until(lambda: states(edge)[-1:] == [True])
    edge.publish(f"{GROUP}/NBIRTH/gate", nbirth())
    edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth())
    town.wait_for(COUNT, 1)
    town.wait_for("select count(*) from sparkplug_birth", 2)
    return edge, gateway


def commands(edge):
    return [topic for topic, body in edge.heard if topic.endswith("/NCMD/gate") and
            sparkplug.parse(body).metrics[0].name == sparkplug.REBIRTH]  # fmt: skip


def states(edge):
    return [json.loads(body)["online"] for topic, body in edge.heard if "/STATE/" in topic]


LISTEN = (f"{GROUP}/NCMD/gate", "spBv1.0/STATE/mizumori-kawabe")


@pytest.fixture(params=["nats", "mosquitto"])
def any_town(request):
    return request.getfixturevalue("town" if request.param == "nats" else "mosquitto_town")


def test_a_servers_own_topics_on_a_broker_that_cannot_map(mosquitto_town, edges):
    town = mosquitto_town
    town.owner.execute(
        "update device set code = %s, codec = 'chirpstack', codec_params = %s "
        "where code = 'flood-01'",
        (EUI, Jsonb({"model": "milesight/em500-swl",
                     "map": {"water_level": {"property": "depth_m", "scale": 0.01}}})),
    )  # fmt: skip
    secret = admit(town, "chirp", "chirpstack", "application/+/device/{device}/event/up")
    town.start()
    edge = Edge(town.broker, "chirp", secret)
    edges.append(edge)
    uplink = CHIRPSTACK | {"time": datetime.now(UTC).isoformat()}
    edge.publish(f"application/a/device/{EUI}/event/up", json.dumps(uplink))
    edge.publish("application/a/device/0000/event/up", b"{}")
    town.wait_for(COUNT, 1)
    assert town.value("select value from observation") == 0.02
    town.wait_for("select count(*) from quarantine", 1)
    assert town.rows("select device_code, reason from quarantine") == [("0000", "unknown_device")]


def test_an_edge_node_from_birth_to_death(any_town, edges):
    town = any_town
    sparkplug_device(town)
    secret = admit(town, "scada", "sparkplug-b", f"{GROUP}/#")
    town.start()
    edge = Edge(town.broker, "scada", secret, listen=LISTEN,
                will=(f"{GROUP}/NDEATH/gate", payload(
                    metric("bdSeq", kind=INT64, value=long_(0)), seq=None)))  # fmt: skip
    edges.append(edge)
    wait_until(lambda: states(edge)[-1:] == [True])
    edge.publish(f"{GROUP}/NBIRTH/gate", nbirth())
    edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth())
    for seq in range(2, 6):
        # One after the other: on NATS what is sent with QoS 0 overtakes what is stored before.
        town.wait_for(COUNT, seq - 1)
        edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(seq, NOW_MS + seq), qos=seq % 2)
    town.wait_for(COUNT, 5)
    assert town.value("select count(*) from quarantine") == 0
    assert not commands(edge)
    link = "select l.state from link_state l join device using (device_id) where code = 'gate_tank'"
    assert town.value(link) == "online"
    edge.vanish()
    town.wait_for(link, "offline")


def test_data_without_a_birth_are_kept_and_the_birth_is_asked_for(any_town, edges):
    town = any_town
    sparkplug_device(town)
    secret = admit(town, "scada", "sparkplug-b", f"{GROUP}/#")
    town.start()
    edge = Edge(town.broker, "scada", secret, listen=LISTEN)
    edges.append(edge)
    wait_until(lambda: states(edge)[-1:] == [True])
    first = ddata(9, NOW_MS + 9)
    edge.publish(f"{GROUP}/DDATA/gate/tank", first)
    wait_until(lambda: commands(edge) == [f"{GROUP}/NCMD/gate"])
    town.wait_for("select count(*) from quarantine", 1)
    assert town.rows("select device_code, reason, topic, payload from quarantine") == [
        ("gate_tank", "no_birth", f"{GROUP}/DDATA/gate/tank", first)
    ]
    edge.publish(f"{GROUP}/NBIRTH/gate", nbirth())
    edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth())
    edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(2, NOW_MS + 20))
    town.wait_for(COUNT, 2)
    assert len(commands(edge)) == 1


def test_a_gateway_that_starts_anew_knows_the_births(town, edges):
    edge, gateway = begun(town, edges)
    gateway.stop()
    wait_until(lambda: states(edge)[-1:] == [False])
    for seq in range(2, 12):  # with QoS 1 they wait at the broker
        edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(seq, NOW_MS + seq))
    town.start()
    wait_until(lambda: states(edge)[-1:] == [True])
    town.wait_for(COUNT, 11)
    assert town.value("select count(*) from quarantine") == 0
    assert not commands(edge)


def test_nothing_is_lost_or_doubled_while_the_database_is_away(town, edges):
    edge, gateway = begun(town, edges)
    with town.database_away():
        for seq in range(2, 12):
            edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(seq, NOW_MS + seq))
        edge.publish(f"{GROUP}/NBIRTH/gate", nbirth(bd_seq=1))
        edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth(1, NOW_MS + 50))
        edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(2, NOW_MS + 51))
        wait_until(lambda: not any(intake.subscribed_since for intake in gateway.intakes))
        wait_until(lambda: states(edge)[-1:] == [False])  # so edge nodes keep their data
    town.wait_for(COUNT, 13)
    assert town.rows("select count(*), count(distinct phenomenon_time) from observation") == [
        (13, 13)
    ]
    assert town.value("select count(*) from quarantine") == 0


@pytest.mark.parametrize("handed_on", [True, False])
def test_data_that_come_again_behind_a_newer_birth_are_read(town, edges, nats, handed_on):
    """The broker does not know what became of them, and sends what came meanwhile first."""
    edge, gateway = begun(town, edges)
    [relay] = [intake for intake in gateway.intakes if intake.session.operator_topics]

    def reborn():
        edge.publish(f"{GROUP}/NBIRTH/gate", nbirth(bd_seq=1))
        edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth(1, NOW_MS + 50, alias=8))

    with psycopg.connect(town.dsn.owner) as held:
        held.execute("lock table sparkplug_birth in exclusive mode")  # so none can be kept
        if not handed_on:
            edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth(2, NOW_MS + 2))
            town.wait_for(BLOCKED, 1)
        for seq in range(3 - handed_on, 13 - handed_on):
            edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(seq, NOW_MS + seq))
        if handed_on:
            reborn()
            town.wait_for(BLOCKED, 1)
        else:
            wait_until(lambda: relay.waiting >= 10)
        relay.pause()
        wait_until(lambda: relay.subscribed_since is None)
        if not handed_on:
            reborn()
        relay.resume()
    edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(2, NOW_MS + 51, alias=8))
    expected = 13 + (not handed_on)
    town.wait_for(COUNT, expected)
    wait_until(lambda: unacknowledged(nats) == 0)
    edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(3, NOW_MS + 52, alias=8))
    town.wait_for(COUNT, expected + 1)
    assert town.value("select count(*) from quarantine") == 0


def test_a_broker_that_is_killed_loses_nothing(town, edges, nats):
    sparkplug_device(town)
    secret = admit(town, "scada", "sparkplug-b", f"{GROUP}/#")
    town.start()
    edge = Edge(town.broker, "scada", secret, listen=LISTEN)
    edges.append(edge)
    edge.publish(f"{GROUP}/NBIRTH/gate", nbirth())
    edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth())
    for seq in range(2, 102):
        edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(seq, NOW_MS + seq))
    nats.restart()
    town.wait_for(COUNT, 101)
    assert town.rows("select count(*), count(distinct phenomenon_time) from observation") == [
        (101, 101)
    ]


def test_data_that_had_no_birth_can_be_replayed_once_it_has_come(town, edges):
    sparkplug_device(town)
    secret = admit(town, "scada", "sparkplug-b", f"{GROUP}/#")
    town.start()
    edge = Edge(town.broker, "scada", secret)
    edges.append(edge)
    edge.publish(f"{GROUP}/DDATA/gate/tank", ddata(9, NOW_MS + 9))
    town.wait_for("select count(*) from quarantine", 1)
    settings = Settings(broker=town.broker_settings.model_dump())
    for role in ("owner", "jobs"):
        with Database(getattr(town.dsn, role), name="test-replay", answer_within_s=60) as database:
            [kawabe] = [t for t in tenants(town.owner) if t.code == TOWN]
            outcome = replay(settings, database, kawabe)
            assert outcome.replayed == 0
            assert "no birth of gate_tank" in "".join(outcome.refused)
    edge.publish(f"{GROUP}/NBIRTH/gate", nbirth())
    edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth())
    town.wait_for(COUNT, 1)
    town.wait_for("select count(*) from sparkplug_birth", 2)  # kept once its readings are sent on
    with Database(town.dsn.jobs, name="test-replay", answer_within_s=60) as database:
        assert replay(settings, database, kawabe).replayed == 1
    town.wait_for(COUNT, 2)
    assert town.rows("select value from observation order by phenomenon_time") == [(0.01,), (0.02,)]
    assert town.value("select count(*) from quarantine where replayed_at is null") == 0


def test_gateways_that_are_killed_in_mid_stream_lose_nothing_and_double_nothing(town, edges):
    sparkplug_device(town)
    secret = admit(town, "scada", "sparkplug-b", f"{GROUP}/#")
    town.start().stop()  # makes the sessions
    running = {name: child(town, name) for name in ("a", "b")}
    edge = Edge(town.broker, "scada", secret, listen=LISTEN)
    edges.append(edge)
    try:
        wait_until(lambda: states(edge)[-1:] == [True])
        edge.publish(f"{GROUP}/NBIRTH/gate", nbirth())
        edge.publish(f"{GROUP}/DBIRTH/gate/tank", dbirth())
        sent = 0
        for name in ("a", "b", "a", "b"):
            for _ in range(100):
                sent += 1
                edge.client.publish(
                    f"{GROUP}/DDATA/gate/tank", ddata((sent + 1) % 256, NOW_MS + sent), qos=1
                )
                time.sleep(0.005)
            running[name].kill()
            running[name].wait()
            running[name] = child(town, name)
        town.wait_for(COUNT, sent + 1)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(60)
    assert town.rows("select count(*), count(distinct phenomenon_time) from observation") == [
        (sent + 1, sent + 1)
    ]
    assert town.value("select count(*) from quarantine") == 0
    assert town.value("select count(*) from conflict") == 0
