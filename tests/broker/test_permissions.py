"""What a device may do, and what becomes of the rest."""

import asyncio
import socket
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client
from nats.errors import Error

from deploy.broker.findings import Severity, judge_violations
from deploy.broker.monitor import Monitor, Visit
from deploy.broker.violations import Refusal, find_violations, read_log
from tests.broker.clients import (
    Client as MqttClient,
)
from tests.broker.clients import (
    connect_packet,
    device,
    drain_all,
    gateway,
    intakes,
    publish_packet,
    up,
)
from tests.fixtures.broker import TOWN, NatsServer, wait_until


def violations(server):
    return find_violations(read_log(server.log_path), Monitor(server.monitor_port).visits())


def test_a_device_publishes_its_readings_and_its_status(nats):
    with (
        intakes(nats) as opened,
        gateway(nats, nats.account.status_client_id) as states,
        device(nats) as d,
    ):
        assert states.subscribe(f"mz/v1/{TOWN}/d/+/status") == 1
        assert d.publish(up(), b"reading")
        assert d.publish(f"mz/v1/{TOWN}/d/flood-01/status", b'{"online": true}', retain=True)
        assert [m.payload for _, m in drain_all(opened, [b"reading"])] == [b"reading"]
        wait_until(lambda: states.payloads() == [b'{"online": true}'])
    assert violations(nats) == []


@pytest.mark.parametrize(
    "topic",
    [
        f"mz/v1/{TOWN}/d/pond-01/up",
        f"mz/v1/{TOWN}/p/0/d/pond-01/up",
        f"mz/v1/{TOWN}/d/pond-01/status",
        f"mz/v1/{TOWN}/d/pond-01/down",
        f"mz/v1/{TOWN}/d/flood-01/down",
        f"mz/v1/{TOWN}/a/flood-01/depth",
        "mz/v1/higashi/d/flood-01/up",
        "$MQTT/msgs/mz/v1/kawabe/p/0/d/flood-01/up",
        "anything",
    ],
)
def test_anything_else_is_acknowledged_and_dropped_and_the_doctor_sees_it(nats, topic):
    with (
        gateway(nats, "listener", clean=True) as listener,
        device(nats, client_id="bent") as d,
    ):
        assert listener.subscribe("#") == 1
        assert d.publish(topic), "the server acknowledges what it drops"
        assert d.publish(up(), b"after")
        wait_until(lambda: listener.received)
        assert listener.payloads() == [b"after"]

    def by_name():  # while a client goes, the server does not know for a moment who it was
        return [one for one in violations(nats) if one.who == "kawabe/flood-01"]

    (found,) = wait_until(by_name)
    assert (found.refusal, found.count) == (Refusal.PUBLISH, 1)
    (finding,) = judge_violations([found], datetime.now(UTC))
    assert finding.severity is Severity.ALARM
    assert finding.town == TOWN
    assert "acknowledged and thrown away (1 times, last 20" in finding.sentence


@pytest.mark.parametrize(
    "topic",
    ["#", "+/#", f"mz/v1/{TOWN}/d/pond-01/down", f"mz/v1/{TOWN}/d/+/down", up(), "$MQTT/#"],
)
def test_a_device_reads_nothing_but_its_own_commands(nats, topic):
    with device(nats) as d, gateway(nats, "sender", clean=True) as sender:
        assert d.subscribe(topic) == 0x80
        assert d.subscribe(f"mz/v1/{TOWN}/d/flood-01/down") == 1
        assert sender.publish(f"mz/v1/{TOWN}/d/pond-01/down", b"not yours")
        assert sender.publish(f"mz/v1/{TOWN}/d/flood-01/down", b"yours")
        wait_until(lambda: d.received)
        assert d.payloads() == [b"yours"]
    # The server refuses its own topics without a word in the log.
    expected = set() if topic.startswith("$") else {Refusal.SUBSCRIBE}
    assert {v.refusal for v in violations(nats)} == expected


@pytest.mark.parametrize(("target", "arrives"), [("flood-01", True), ("pond-01", False)])
def test_a_last_will_is_checked_on_the_topic_as_written(nats, target, arrives):
    topic = f"mz/v1/{TOWN}/d/{target}/status"
    with gateway(nats, nats.account.status_client_id) as states:
        assert states.subscribe(f"mz/v1/{TOWN}/d/+/status") == 1
        client = MqttClient(nats, *nats.credentials("flood-01"), will=(topic, b"gone", 1)).open()
        client.drop()
        if arrives:
            wait_until(lambda: states.payloads() == [b"gone"])
        else:
            wait_until(lambda: violations(nats))
            assert states.payloads() == []


def test_a_reading_sent_together_with_connect_is_kept(nats):
    # The server parses what comes with CONNECT before it knows the account: without its mapping.
    packet = connect_packet(*nats.credentials("flood-01"), "hasty") + publish_packet(
        up(), 1, b"first"
    )
    with socket.create_connection((nats.host, nats.mqtt_port), timeout=60) as connection:
        connection.sendall(packet)
        answer = b""
        while len(answer) < 8:
            answer += connection.recv(100)
    assert answer == b"\x20\x02\x00\x00\x40\x02\x00\x01", "CONNACK and PUBACK"
    with intakes(nats) as opened:
        assert [(n, m.payload) for n, m in drain_all(opened, [b"first"])] == [(1, b"first")]
    assert violations(nats) == []


@pytest.mark.parametrize("login", [("kawabe/flood-01", "0" * 32), None])
def test_a_broker_without_towns_lets_nobody_in(tmp_path_factory, login):
    server = NatsServer(tmp_path_factory.mktemp("no-towns"))
    server.renew()
    server.start()
    try:
        with socket.create_connection((server.host, server.mqtt_port), timeout=60) as connection:
            connection.sendall(connect_packet(*(login or ("", "")), "early"))
            assert connection.recv(4) in (b"\x20\x02\x00\x05", b"\x20\x02\x00\x04", b"")
    finally:
        server.stop()


def test_a_wrong_secret_is_refused_and_named(nats):
    client = MqttClient(nats, "kawabe/flood-01", "0" * 32).open()
    assert client.code.is_failure
    client.close()
    (found,) = wait_until(lambda: violations(nats))
    assert (found.refusal, found.who) == (Refusal.LOGIN, "kawabe/flood-01")


@pytest.mark.parametrize("who", ["device", "gateway"])
def test_the_administration_port_lets_no_device_in(nats, who):
    user, password = nats.credentials("flood-01")
    if who == "gateway":
        user, password = nats.account.gateway_user, nats.account.gateway_password

    async def attempt():
        async def ignore(_error):
            pass

        client = Client()
        try:
            await client.connect(
                f"nats://127.0.0.1:{nats.client_port}",
                user=user,
                password=password,
                connect_timeout=60,
                allow_reconnect=False,
                error_cb=ignore,
            )
        finally:
            await client.close()

    with pytest.raises(Error, match=r"(?i)authorization"):
        asyncio.run(attempt())


def test_a_gateways_client_id_is_not_told():
    line = (
        '[7] 2026/11/22 01:02:39.726350 [ERR] 127.0.0.1:53903 - mid:33 - "mz-5ec2e7-0" - '
        'Publish Violation - Subject "mz.v1.t1.d.d2.status"'
    )
    (found,) = find_violations([line], [])
    assert found.who == "a gateway"


def test_refusals_before_the_last_start_are_not_counted():
    line = (
        '[7] 2026/11/22 01:02:39.726350 [ERR] 127.0.0.1:53903 - mid:33 - "d" - '
        'Publish Violation - Subject "x"'
    )
    start = "[8] 2026/11/22 01:03:00.000000 [INF] Starting nats-server"
    assert find_violations([line, start], []) == []
    visit = Visit(33, "kawabe/pond-01", datetime.now(UTC), let_in=True)
    assert find_violations([start, line], [visit])[0].who == "kawabe/pond-01"
    assert find_violations([start, line], [])[0].who == "client 'd' at 127.0.0.1"
