"""The outbox against a real broker: prompt, in order, at least once, through every outage."""

import json
import threading
import time

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from jobs.outbox import OutboxPublisher
from jobs.town_publisher import BrokerAddress
from store import outbox
from tests.fixtures.broker import wait_until
from tests.store.write import write_outbox

TOPIC = "mz/v1/kawabe/a/f1/street-depth"


class Desk:
    """A subscriber in the town's account, which collects what it gets."""

    def __init__(self, broker):
        self.got = []  # (topic, payload, retain)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        account = broker.account
        self.client.username_pw_set(account.gateway_user, account.gateway_password)
        self.client.on_connect = lambda c, *_: c.subscribe("mz/v1/kawabe/a/#", 1)
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = self._on_message
        self.client.connect(broker.host, broker.mqtt_port)
        self.client.loop_start()
        assert subscribed.wait(60)

    def _on_message(self, _client, _, message):
        body = json.loads(message.payload) if message.payload else None
        self.got.append((message.topic, body, message.retain))

    def bodies(self, topic=TOPIC):
        return [body for t, body, _ in list(self.got) if t == topic]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def desk(broker):
    desk = Desk(broker)
    yield desk
    desk.close()


@pytest.fixture
def publisher(jobs_database, broker):
    """The outbox thread, running."""
    stop = threading.Event()
    publisher = OutboxPublisher(jobs_database, BrokerAddress(broker.host, broker.mqtt_port), stop)
    thread = threading.Thread(target=publisher.run)
    thread.start()
    yield publisher
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def write(owner, town, *bodies, topic=TOPIC):
    with owner.transaction() as conn:
        for body in bodies:
            write_outbox(conn, town, topic, body)


def waiting(owner, town):
    with owner.transaction() as conn:
        return outbox.unsent(conn, town.tenant_id)


@pytest.fixture
def looks_only_when_told(monkeypatch):
    monkeypatch.setattr("jobs.outbox.LOOK_EVERY_S", 3600.0)


@pytest.mark.usefixtures("looks_only_when_told", "publisher")
def test_a_commit_tells_that_there_is_a_message(owner, kawabe, desk):
    for number in range(10):
        write(owner, kawabe, {"n": number})
        wait_until(lambda sent={"n": number}: sent in desk.bodies())


@pytest.mark.usefixtures("publisher")
def test_order_per_topic_is_kept_and_everything_is_marked(owner, kawabe, desk):
    with owner.transaction() as conn:
        for number in range(450):
            write_outbox(conn, kawabe, f"mz/v1/kawabe/a/d{number % 3}/r", {"n": number})
    wait_until(lambda: not waiting(owner, kawabe))
    wait_until(lambda: len(desk.got) >= 450)
    for third in range(3):
        numbers = [body["n"] for body in desk.bodies(f"mz/v1/kawabe/a/d{third}/r")]
        assert numbers == list(range(third, 450, 3))


@pytest.mark.usefixtures("publisher")
def test_alert_is_retained_and_an_empty_message_clears_it(owner, kawabe, broker):
    write(owner, kawabe, {"level": 2})
    wait_until(lambda: not waiting(owner, kawabe))
    late = Desk(broker)
    wait_until(lambda: late.bodies() == [{"level": 2}])
    assert late.got[0][2]  # it is the retained one
    late.close()
    write(owner, kawabe, None)
    wait_until(lambda: not waiting(owner, kawabe))
    later = Desk(broker)
    other = "mz/v1/kawabe/a/f2/street-depth"
    write(owner, kawabe, {"level": 1}, topic=other)  # comes after what is retained
    wait_until(lambda: later.bodies(other) == [{"level": 1}])
    assert later.bodies() == []
    later.close()


@pytest.mark.usefixtures("publisher")
def test_nothing_is_lost_while_the_broker_is_away(owner, kawabe, nats):
    write(owner, kawabe, {"n": 0})
    wait_until(lambda: not waiting(owner, kawabe))
    nats.kill()
    write(owner, kawabe, {"n": 1}, {"n": 2})
    time.sleep(1)
    assert len(waiting(owner, kawabe)) == 2  # nothing is marked that nobody acknowledged
    nats.start()
    wait_until(lambda: not waiting(owner, kawabe))
    desk = Desk(nats)
    wait_until(lambda: desk.bodies() == [{"n": 2}])  # the last that was decided is retained
    desk.close()


@pytest.mark.usefixtures("publisher")
def test_broker_that_hangs_gets_nothing_marked(owner, kawabe, nats):
    write(owner, kawabe, {"n": 0})
    wait_until(lambda: not waiting(owner, kawabe))
    nats.freeze()
    try:
        write(owner, kawabe, {"n": 1})
        time.sleep(1.5)
        assert len(waiting(owner, kawabe)) == 1
    finally:
        nats.thaw()
    wait_until(lambda: not waiting(owner, kawabe))


@pytest.mark.usefixtures("publisher")
def test_lost_database_connections_are_made_again(owner, kawabe, desk, postgres):
    write(owner, kawabe, {"n": 0})
    wait_until(lambda: desk.bodies() == [{"n": 0}])
    wait_until(lambda: not waiting(owner, kawabe))  # else it would come once more
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'test-jobs'"
        )
    write(owner, kawabe, {"n": 1})
    wait_until(lambda: desk.bodies() == [{"n": 0}, {"n": 1}])


@pytest.mark.usefixtures("publisher")
def test_town_without_an_account_does_not_hold_up_the_others(owner, kawabe, desk):
    from tests.store.conftest import add_town

    other = add_town(owner, "another")
    write(owner, other, {"n": 0}, topic="mz/v1/another/a/x/y")
    write(owner, kawabe, {"n": 1})
    wait_until(lambda: desk.bodies() == [{"n": 1}])
    assert len(waiting(owner, other)) == 1
