"""Sessions of intakes: what the broker keeps for whom."""

from dataclasses import replace

import pytest

from deploy.broker.account_admin import AccountAdmin
from deploy.broker.errors import ProvisioningError
from deploy.broker.findings import Severity, judge_sessions
from deploy.broker.mqtt_client import make_session
from deploy.broker.town_accounts import is_prepared, prepare
from tests.broker.clients import device, drain_all, gateway, intakes, left, up
from tests.fixtures.broker import DEVICES, TOWN, NatsServer, wait_until


@pytest.fixture
def unprepared(tmp_path_factory):
    """A server whose devices were let in before its sessions existed: the guard is out."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.admitted.add(TOWN)
    server.add_town(TOWN, DEVICES)
    server.start()
    yield server
    server.stop()


def sessions(server, town=TOWN):
    with AccountAdmin(server.settings, town) as admin:
        return admin.sessions()


def findings(server):
    return {f.code: f.severity for f in judge_sessions(server.account, sessions(server))}


def test_without_sessions_what_is_acknowledged_is_lost_and_the_doctor_sees_it(unprepared):
    with device(unprepared) as d:
        assert all(d.publish(up(), b"%d" % n) for n in range(50))
    assert not is_prepared(unprepared.account, unprepared.settings)
    assert findings(unprepared) == {"session_absent": Severity.ALARM}
    assert left(unprepared) == 0


def test_with_sessions_everything_waits_for_an_intake_that_was_never_there(nats):
    assert is_prepared(nats.account, nats.settings)
    flood, pond = ([b"%s%d" % (kind, n) for n in range(50)] for kind in (b"f", b"p"))
    with device(nats) as d, device(nats, "pond-01") as e:
        assert all(d.publish(up(), payload) for payload in flood)
        assert all(e.publish(up("pond-01"), payload) for payload in pond)
    assert findings(nats) == {"unread": Severity.WARNING}
    assert sum(s.waiting for s in sessions(nats)) == 100
    with intakes(nats) as opened:
        assert all(client.session_present for client in opened.values())
        assert len(drain_all(opened, flood + pond)) == 100


def test_preparing_again_leaves_a_connected_intake_alone(nats):
    with intakes(nats) as opened:
        prepare(nats.account, nats.settings, nats.mqtt)
        assert not any(client.disconnected for client in opened.values())
        assert {s.partition_no for s in sessions(nats) if s.connected} == {0, 1, 2, 3}


def test_a_deleted_session_is_found_and_made_again(nats):
    with gateway(nats, nats.account.intake_client_id(2), clean=True):
        pass
    assert findings(nats)["session_absent"] is Severity.ALARM
    assert not is_prepared(nats.account, nats.settings)
    prepare(nats.account, nats.settings, nats.mqtt)
    assert is_prepared(nats.account, nats.settings)


def test_a_clean_session_with_the_gateways_client_id_erases_the_queue(nats):
    # Why the client id is a secret: in the same account any device could do this.
    with device(nats) as d:
        assert all(d.publish(up(), b"%d" % n) for n in range(100))
    with device(nats, "pond-01", client_id=nats.account.intake_client_id(1)):
        pass
    with intakes(nats) as opened:
        assert opened[1].session_present is False, "the gateway can tell"
        assert left(nats) == 0


def test_client_ids_hold_128_secret_bits_of_the_town_alone(nats):
    other = nats.add_town("higashi", ["x"])
    assert len(bytes.fromhex(nats.account.client_id_secret)) == 16
    assert nats.account.client_id_secret != other.client_id_secret
    # In another account the same client id is another session.
    with device(nats) as d:
        assert d.publish(up(), b"kept")
    with device(nats, "x", "higashi", client_id=nats.account.intake_client_id(1)):
        pass
    with intakes(nats) as opened:
        assert [m.payload for _, m in drain_all(opened, [b"kept"])] == [b"kept"]


def test_the_window_is_strict_for_a_session(nats):
    window = nats.account.window_messages
    sent = [b"%d" % n for n in range(3 * window)]
    with intakes(nats) as opened, device(nats) as d:
        for payload in sent:
            d.mqtt.publish(up(), payload, 1)
        wait_until(lambda: len(d.acknowledged) == len(sent))
        wait_until(lambda: len(opened[1].received) >= window)
        # Beyond the window nothing comes, however long nothing is acknowledged; not acknowledging
        # is the gateway's back-pressure.
        with pytest.raises(TimeoutError):
            wait_until(lambda: len(opened[1].received) > window, 0.3)
        drain_all(opened, sent)


def test_two_subscriptions_of_one_session_starve_each_other(nats):
    # Why an intake has exactly one: a second partition waits behind the first one's window.
    window = nats.account.window_messages
    with gateway(nats, "two") as both, device(nats) as d, device(nats, "pond-01") as e:
        assert nats_partition("pond-01") != nats_partition("flood-01")
        for code in DEVICES:
            assert both.subscribe(f"mz/v1/{TOWN}/p/{nats_partition(code)}/d/+/up") == 1
        for n in range(2 * window):
            d.mqtt.publish(up(), b"%d" % n, 1)
        wait_until(lambda: len(both.received) == window)
        assert e.publish(up("pond-01"), b"pond")
        with pytest.raises(TimeoutError):
            wait_until(lambda: b"pond" in both.payloads(), 0.3)


def nats_partition(code):
    from gateway.partition import partition_of

    return partition_of(code, 4)


def test_a_second_subscription_may_be_refused_in_the_suback_alone(tmp_path_factory):
    server = NatsServer(tmp_path_factory.mktemp("nats"), window_messages=40_000)
    server.add_town(TOWN, DEVICES, window_messages=40_000)
    server.start()
    try:
        account = server.account
        with gateway(server, "two") as both:
            assert both.subscribe(f"mz/v1/{TOWN}/p/0/d/+/up") == 1
            assert both.subscribe(f"mz/v1/{TOWN}/p/1/d/+/up") == 0x80
        with pytest.raises(ProvisioningError, match="refuses the subscription to 'mz/v1/kawabe/x'"):
            make_session(server.mqtt, account, account.intake_client_id(0), f"mz/v1/{TOWN}/x")
        assert "[ERR]" not in server.log_path.read_text()
    finally:
        server.stop()


def test_window_and_ack_wait_of_a_session_stay_and_the_doctor_compares(nats):
    before = {(s.window_messages, s.ack_wait_s) for s in sessions(nats)}
    assert before == {(100, nats.settings.ack_wait_s)}
    nats.settings = nats.settings.model_copy(update={"window_messages": 50, "ack_wait_s": 4})
    nats.renew()
    nats.restart()
    assert {(s.window_messages, s.ack_wait_s) for s in sessions(nats)} == before
    changed = replace(nats.account, window_messages=50)
    codes = {f.code for f in judge_sessions(changed, sessions(nats))}
    assert "window" in codes


def test_two_sessions_for_a_partition_are_an_alarm(nats):
    with gateway(nats, "forgotten") as second:
        assert second.subscribe(f"mz/v1/{TOWN}/p/0/d/+/up") == 1
    assert findings(nats)["session_twice"] is Severity.ALARM


def test_when_all_is_read_the_doctor_says_so(nats):
    with intakes(nats), gateway(nats, nats.account.status_client_id) as states:
        assert states.subscribe(f"mz/v1/{TOWN}/d/+/status") == 1
        assert findings(nats) == {"sessions": Severity.GOOD}
