"""What NATS's MQTT does not speak."""

import socket
import ssl
from datetime import UTC, datetime

from deploy.broker.findings import Severity, judge_violations
from deploy.broker.monitor import Monitor
from deploy.broker.mqtt_client import Login, MqttAddress, publish
from deploy.broker.violations import Refusal, find_violations, read_log
from tests.broker.clients import connect_packet, device, drain_all, intakes, up
from tests.fixtures.broker import TOWN, NatsServer, wait_until
from tests.fixtures.certificate import self_signed


def refusals(server):
    return find_violations(read_log(server.log_path), Monitor(server.monitor_port).visits())


def test_an_mqtt_5_device_is_refused_in_words(nats):
    packet = connect_packet(*nats.credentials("flood-01"), "five", level=5)
    with socket.create_connection((nats.host, nats.mqtt_port), timeout=60) as connection:
        connection.sendall(packet)
        assert connection.recv(4) == b"\x20\x02\x00\x01", "unacceptable protocol version"
    (found,) = wait_until(lambda: refusals(nats))
    assert found.refusal is Refusal.PROTOCOL
    (finding,) = judge_violations([found], datetime.now(UTC))
    assert "NATS speaks MQTT 3.1.1, set the device to that" in finding.sentence


def test_a_topic_with_a_space_disconnects_its_device_alone(nats):
    with intakes(nats) as opened, device(nats, "pond-01") as neighbour:
        with device(nats) as d:
            assert d.is_refused(f"mz/v1/{TOWN}/d/flood 01/up")
        assert neighbour.publish(up("pond-01"), b"fine")
        assert [m.payload for _, m in drain_all(opened, [b"fine"])] == [b"fine"]
    (found,) = wait_until(lambda: refusals(nats))
    assert found.refusal is Refusal.TOPIC


def test_who_was_not_let_in_is_told_of_until_it_is(nats):
    user, secret = nats.credentials("flood-01")

    def comes(with_secret, answer):
        with socket.create_connection((nats.host, nats.mqtt_port), timeout=60) as connection:
            connection.sendall(connect_packet(user, with_secret, "one"))
            assert connection.recv(4) == answer

    def judged():
        [finding] = judge_violations(refusals(nats), datetime.now(UTC))
        return finding

    comes("wrong", b"\x20\x02\x00\x05")
    told = wait_until(lambda: [f for f in [judged()] if f.code == "refused_login"])[0]
    assert told.severity is Severity.WARNING
    assert f"{user} was not let in" in told.sentence
    comes(secret, b"\x20\x02\x00\x00")
    now = wait_until(lambda: [f for f in [judged()] if f.code == "refused"])[0]
    assert now.severity is Severity.GOOD
    assert now.sentence == "The broker refuses nothing; 1 user had to try again, and came in"
    comes("wrong", b"\x20\x02\x00\x05")
    again = wait_until(lambda: [f for f in [judged()] if f.code == "refused_login"])[0]
    assert "(2 times, last" in again.sentence


def test_tls_is_spoken_with_the_given_certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = self_signed(folder)
    server = NatsServer(folder, tls_cert=cert, tls_key=key, tls_ca=cert)
    server.add_town(TOWN, ["flood-01"])
    server.start()
    try:
        address = MqttAddress("127.0.0.1", server.mqtt_port, cert)
        publish(address, Login.gateway_of(server.account), [(up(), b"{}")])
        context = ssl.create_default_context(cafile=cert)
        with (
            socket.create_connection(("127.0.0.1", server.mqtt_port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(connect_packet(*server.credentials("flood-01"), "t"))
            assert secure.recv(4) == b"\x20\x02\x00\x00"
    finally:
        server.stop()
