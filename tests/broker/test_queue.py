"""A queue that fills: devices are refused, nothing acknowledged is lost, nobody else is touched."""

import pytest

from deploy.broker.account_admin import QUEUE, AccountAdmin
from deploy.broker.findings import Severity, judge_queue
from deploy.broker.nats_config import HEADROOM_BYTES
from tests.broker.clients import Client, device, drain_all, intakes, left, up
from tests.fixtures.broker import TOWN, NatsServer, wait_until

KIB = b"x" * 1000


@pytest.fixture
def small(tmp_path_factory):
    """Two towns; the first one's queue holds 2 MiB."""
    server = NatsServer(tmp_path_factory.mktemp("nats"), sync="fast")
    server.add_town(TOWN, ["flood-01"], queue_bytes=2 << 20)
    server.add_town("higashi", ["pond-01"], queue_bytes=2 << 20)
    server.start()
    yield server
    server.stop()


def fill(server, code="flood-01", most=4000):
    """Publish until the broker refuses; return what it acknowledged."""
    acknowledged = []
    for first in range(0, most, 200):
        client = Client(server, *server.credentials(code)).open()
        payload_of = {}
        for n in range(first, first + 200):
            payload = b"%d " % n + KIB
            payload_of[client.mqtt.publish(up(code), payload, 1).mid] = payload
        wait_until(client.has_all_or_is_gone(payload_of))
        client.close()
        acknowledged += [payload_of[mid] for mid in client.acknowledged]
        if len(client.acknowledged) < 200:
            return acknowledged
    raise AssertionError("the queue never became full")


def usage(server, town=TOWN):
    with AccountAdmin(server.settings, town) as admin:
        return admin.usage()


def test_a_full_queue_refuses_devices_and_everything_recovers_alone(small):
    acknowledged = fill(small)
    assert 1000 < len(acknowledged) < 2200
    full = usage(small)
    assert full.limit_bytes == 2 << 20
    assert 0.9 < full.stored_bytes / full.limit_bytes <= 1
    (finding,) = judge_queue(small.account, full, 1, limited=True)
    assert finding.severity is Severity.ALARM
    assert "devices are refused and must keep their readings" in finding.sentence
    # The gateway's way in is not blocked, neither now nor after a restart.
    small.restart()
    with intakes(small) as opened:
        drain_all(opened, acknowledged)
        with device(small) as d:
            assert d.publish(up(), b"again")
        drain_all(opened, [b"again"])
        wait_until(lambda: left(small) == 0)


def test_one_towns_full_queue_does_not_stop_another(small):
    fill(small)
    sent = [b"%d" % n for n in range(50)]
    with device(small, "pond-01", "higashi") as d:
        assert all(d.publish(up("pond-01", "higashi"), payload) for payload in sent)
    with intakes(small, "higashi") as opened:
        drain_all(opened, sent)


def test_the_limit_is_below_the_accounts_and_kept_by_the_server(small):
    small.restart()
    for town, account in small.accounts.items():
        with AccountAdmin(small.settings, town) as admin:
            assert admin.is_limited(account)
            state = admin.usage()
            assert state.limit_bytes == account.queue_bytes
            assert state.account_limit_bytes == account.queue_bytes + HEADROOM_BYTES
    assert sum(a.queue_bytes + HEADROOM_BYTES for a in small.accounts.values()) <= (
        small.settings.store_bytes
    )


def test_a_queue_without_its_limit_is_an_alarm(small):
    with AccountAdmin(small.settings, TOWN) as admin:

        async def lift():
            stream = admin._client.jetstream()
            config = (await stream.stream_info(QUEUE)).config
            await stream.update_stream(config.evolve(max_bytes=-1))

        admin._run(lift())
        assert not admin.is_limited(small.account)
        (finding,) = judge_queue(small.account, admin.usage(), 1, limited=False)
        assert finding.severity is Severity.ALARM
        assert admin.limit_queue(small.account)
        assert admin.is_limited(small.account)
        assert not admin.limit_queue(small.account)


def test_a_message_that_is_too_large_is_refused_alone(small):
    most = small.settings.max_payload_bytes
    with device(small) as d:
        assert d.publish(up(), b"x" * (most - 200))
        assert d.is_refused(up(), b"x" * (most + 1))
    with device(small) as d:
        assert d.publish(up(), b"next")
    with intakes(small) as opened:
        assert [len(m.payload) for _, m in drain_all(opened, [b"next"])] == [most - 200, 4]
