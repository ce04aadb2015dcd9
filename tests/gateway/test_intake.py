"""An intake's connection, read in turn by its own thread and by whoever comes for messages."""

import random
import select
import threading
import time

import pytest

from gateway.intake import Intake
from gateway.partition import partition_of
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.towns import intake_sessions
from gateway.wake import Wake
from tests.broker.clients import device, up
from tests.fixtures.broker import DEVICES, wait_until

MESSAGES = 600


@pytest.fixture
def arrivals():
    return threading.Event()


@pytest.fixture
def intake(nats, arrivals):
    broker = BrokerSettings(host=nats.host, port=nats.mqtt_port)
    sessions = intake_sessions(nats.account, broker, GatewaySettings())
    own = partition_of(DEVICES[0], nats.account.partitions)
    session = next(session for session in sessions if session.partition_no == own)
    intake = Intake(session, queue_messages=10_000, arrived=arrivals.set, changed=lambda: None,
                    expect_session=False)  # fmt: skip
    intake.start()
    wait_until(lambda: intake.subscribed_since)
    yield intake
    intake.stop()
    intake.join(60)
    assert not intake.alive


def publish(nats, first, count):
    """Let a device of the intake's partition publish; the broker has all of it on return."""
    with device(nats) as one:
        assert all(one.publish(up(), b"%d" % n) for n in range(first, first + count))


def test_each_message_comes_once_whoever_reads(nats, intake):
    """The caller reads, leaves and comes back at random moments while messages stream in."""
    turns = random.Random(7)
    publishing = threading.Thread(target=publish, args=(nats, 0, MESSAGES))
    publishing.start()
    taken = []
    deadline = time.monotonic() + 60
    while len(taken) < MESSAGES and time.monotonic() < deadline:
        if turns.random() < 0.3:
            intake.leave()
        sock = intake.read() if turns.random() < 0.7 else None
        if sock is not None:
            select.select([sock], [], [], 0.002)
        messages = intake.take(turns.randrange(1, 50))
        intake.acknowledge(messages)
        taken += [int(message.payload) for message in messages]
    publishing.join()
    assert sorted(taken) == list(range(MESSAGES))


def test_what_the_reader_does_not_come_for_its_own_thread_reads(nats, intake, arrivals):
    wait_until(lambda: intake.read() is not None)
    arrivals.clear()
    publish(nats, 0, 1)  # nobody calls `read` any more
    assert arrivals.wait(60)
    [message] = intake.take(10)
    assert message.payload == b"0"


@pytest.mark.usefixtures("comes_again_soon")
def test_the_reader_is_told_that_the_connection_is_gone_and_reads_the_next_one(nats, intake):
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


def test_a_wait_ends_when_somebody_says_so_also_before_it_began():
    wake = Wake()
    threading.Timer(0.01, wake.set).start()
    assert not wake.wait(60, {})
    wake.set()
    assert not wake.wait(60, {})
    wake.close()
    wake.set()  # too late, and harmless
