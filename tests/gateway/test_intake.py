"""An intake's connection, read in turn by its own thread and by whoever comes for messages."""

import random
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from deploy.broker import mqtt_client
from deploy.broker.mqtt_client import Login
from gateway import session_client
from gateway.intake import Intake
from gateway.partition import partition_of
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.towns import intake_sessions
from gateway.wake import Wake
from tests.broker.clients import up
from tests.fixtures.broker import DEVICES, PATIENCE_S, TOWN, NatsServer, wait_until
from tests.fixtures.certificate import self_signed

MESSAGES = 600


@pytest.fixture
def secure(tmp_path_factory):
    """The same broker, whose connections are encrypted."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = self_signed(folder)
    server = NatsServer(folder, tls_cert=cert, tls_key=key, tls_ca=cert)
    server.add_town(TOWN, DEVICES)
    server.start()
    yield server
    server.stop()


@contextmanager
def reading(server, arrived=lambda: None):
    """Yield a subscribed intake of the first device's partition."""
    broker = BrokerSettings(host=server.host, port=server.mqtt_port, tls_ca=server.tls_ca)
    sessions = intake_sessions(server.account, broker, GatewaySettings())
    own = partition_of(DEVICES[0], server.account.partitions)
    session = next(session for session in sessions if session.partition_no == own)
    intake = Intake(session, queue_messages=10_000, arrived=arrived, changed=lambda: None,
                    expect_session=False)  # fmt: skip
    intake.start()
    try:
        wait_until(lambda: intake.subscribed_since)
        yield intake
    finally:
        intake.stop()
        intake.join(60)
    assert not intake.alive


def publish(server, first, count):
    """Let the first device's messages be published; the broker has all of them on return."""
    messages = [(up(), b"%d" % n) for n in range(first, first + count)]
    mqtt_client.publish(server.mqtt, Login.gateway_of(server.account), messages)


@pytest.mark.parametrize("kind", ["nats", "secure"])
def test_each_message_comes_once_whoever_reads(request, kind):
    """The caller reads, leaves and comes back at random moments while messages stream in."""
    server = request.getfixturevalue(kind)
    turns, taken = random.Random(7), []
    with reading(server) as intake, ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publish, server, 0, MESSAGES)
        deadline = time.monotonic() + PATIENCE_S
        while len(taken) < MESSAGES and time.monotonic() < deadline:
            if turns.random() < 0.3:
                intake.leave()
            sock = intake.read() if turns.random() < 0.7 else None
            if sock is not None:
                select.select([sock], [], [], 0.002)
            messages = intake.take(turns.randrange(1, 50))
            intake.acknowledge(messages)
            taken += [int(message.payload) for message in messages]
        publishing.result()
    assert sorted(taken) == list(range(MESSAGES))


def test_what_the_reader_does_not_come_for_its_own_thread_reads(nats):
    arrivals = threading.Event()
    with reading(nats, arrivals.set) as intake:
        wait_until(lambda: intake.read() is not None)
        publish(nats, 0, 1)  # nobody calls `read` any more
        assert arrivals.wait(PATIENCE_S)
        [message] = intake.take(10)
    assert message.payload == b"0"


@pytest.mark.usefixtures("comes_again_soon")
def test_the_reader_is_told_that_the_connection_is_gone_and_reads_the_next_one(nats):
    with reading(nats) as intake:
        wait_until(lambda: intake.read() is not None)
        publish(nats, 0, 1)
        wait_until(lambda: intake.read() and intake.waiting)
        old = intake.take(1)
        nats.kill()
        wait_until(lambda: intake.read() is None)
        nats.start()
        wait_until(lambda: intake.read() is not None)
        wait_until(lambda: intake.read() and intake.waiting)  # it was never acknowledged
        [again] = intake.take(10)
        assert again.payload == b"0"
        assert again.generation > old[0].generation
        intake.acknowledge(old)  # of the connection before: not sent
        intake.acknowledge([again])
        publish(nats, 1, 1)
        wait_until(lambda: intake.read() and intake.waiting)
        assert [message.payload for message in intake.take(10)] == [b"1"]


def test_an_acknowledgement_that_comes_too_late_leaves_the_next_connection_alone(nats, monkeypatch):
    with reading(nats) as intake:
        publish(nats, 0, 1)
        wait_until(lambda: intake.waiting)
        old, before = intake.take(1), intake.generation

        def connect(client, session):
            intake.acknowledge(old)
            session_client.connect(client, session)

        monkeypatch.setattr("gateway.intake.connect", connect)
        intake.reconnect()
        wait_until(lambda: intake.generation > before and intake.subscribed_since)
        assert intake.generation == before + 1


def test_a_wait_ends_when_somebody_says_so_also_before_it_began():
    wake = Wake()
    threading.Timer(0.01, wake.set).start()
    assert not wake.wait(60, {})
    wake.set()
    assert not wake.wait(60, {})
    wake.close()
    wake.set()  # too late, and harmless
