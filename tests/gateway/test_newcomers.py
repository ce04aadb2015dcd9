"""A town may take unknown devices down: quarantined, bounded, let in by a person."""

import itertools
import json

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from store import newcomers, town_catalog
from store.mistakes import MistakesError
from tests.fixtures.broker import wait_until
from tests.fixtures.ports import free_port
from tests.gateway.conftest import NOW_MS
from tests.gateway.pushing import add_operator, push

REFUSED = "select count(*) from quarantine where device_code = %s and reason = %s"
STATE = "select max(state) from device where code = %s"


@pytest.fixture
def bridge(town):
    """Somebody who speaks for many devices: a bridge, a network server."""
    broker = town.broker
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bridge")
    client.username_pw_set(broker.account.gateway_user, broker.account.gateway_password)
    client.connect(broker.host, broker.mqtt_port)
    client.loop_start()

    def publish(code, payload):
        body = payload if isinstance(payload, bytes) else json.dumps(payload)
        client.publish(f"mz/v1/kawabe/d/{code}/up", body, qos=1).wait_for_publish(60)

    yield publish
    client.disconnect()
    client.loop_stop()


def open_to(town, per_day):
    town_catalog.set_tenant(town.owner, town.tenant_id, {"register_per_day": per_day})


def reading(seconds=0, **values):
    return {"ts": NOW_MS + seconds * 1000, "m": values}


def test_a_newcomer_is_taken_down_with_what_it_said_and_not_believed(town, bridge):
    open_to(town, 5)
    town.start()
    bridge("new-01", reading(depth_m=0.1, battery_v=3.6))
    bridge("new-02", [{"ts": NOW_MS, "fix": {"lat": 38, "lon": 140}}])
    bridge("new-03", reading(water_temp_c=18.0))
    bridge("new-04", b"\x00 not ours")
    town.wait_for("select count(*) from device where state = 'quarantined'", 4)
    rows = town.rows(
        "select code, kind, secret_hash, learned from device where learned is not null order by 1"
    )
    assert [row[:3] for row in rows] == [
        ("new-01", "flood_level", None),
        ("new-02", "plow", None),
        ("new-03", "pond_probe", None),
        ("new-04", "flood_level", None),
    ]
    assert rows[0][3]["properties"] == ["depth_m", "battery_v"]
    assert rows[0][3]["topic"].endswith("/d/new-01/up")
    town.wait_for(REFUSED, 1, "new-01", "device_quarantined")
    bridge("new-01", reading(60, depth_m=0.2))
    town.wait_for(REFUSED, 2, "new-01", "device_quarantined")
    assert town.value("select count(*) from observation") == 0
    [(writer, action)] = town.rows("select writer, action from audit where subject = 'new-01'")
    assert (writer, action) == ("mizumori_gateway", "device.register")


def test_a_town_takes_nobody_down_unless_it_says_so(town, bridge):
    town.start()
    bridge("new-01", reading(depth_m=0.1))
    town.wait_for(REFUSED, 1, "new-01", "unknown_device")
    open_to(town, 1)  # heard of without a restart
    numbers = itertools.count()

    def taken_down():
        bridge("new-01", reading(next(numbers), depth_m=0.1))
        return town.value(STATE, "new-01") == "quarantined"

    wait_until(taken_down)
    assert town.value("select count(*) from device where learned is null") == 3


def test_beyond_the_days_number_newcomers_are_counted_and_not_taken_down(town, bridge):
    open_to(town, 2)
    town.start(quarantine_per_hour=5)
    for number in range(12):
        bridge(f"new-{number:02}", reading(depth_m=0.1))
    town.wait_for(
        "select (select count(*) from quarantine where reason = 'registration_full') + (select "
        "coalesce(sum(messages), 0) from quarantine_overflow where reason = 'registration_full')",
        10,
    )
    assert town.value("select count(*) from device where learned is not null") == 2
    assert newcomers.registered_today(town.owner, town.tenant_id) == 2
    [(detail,)] = town.rows(
        "select distinct detail from quarantine where reason = 'registration_full'"
    )
    assert detail == "the town takes 2 unknown devices down in a day, and has today's already"
    # A day later there is room again.
    town.owner.execute("update device set created_at = now() - interval '25 hours'")
    assert newcomers.register(
        town.owner, town.tenant_id, "new-99", newcomers.Learned("t", ("depth_m",))
    )


def test_a_newcomers_first_push_is_answered_with_what_became_of_it(town):
    open_to(town, 1)
    port, token = free_port(), add_operator(town)
    town.start(push_port=port, push_wait_s=60)
    for code, reason, told in (
        ("new-01", "device_quarantined", "waits for approval: `mizumori device approve`"),
        ("new-02", "registration_full", "the town takes 1 unknown devices down in a day"),
    ):
        status, _, said = push(port, f"/push/kawabe/{code}", reading(depth_m=0.1), token)
        assert (status, said["outcome"], said["reason"]) == (202, "quarantined", reason)
        assert told in said["detail"]
        assert town.value(REFUSED, code, reason) == 1


def test_an_approved_newcomer_is_believed_from_the_next_message_on(town, bridge):
    open_to(town, 5)
    town.start()
    bridge("new-01", reading(depth_m=0.1, battery_v=3.6))
    town.wait_for(STATE, "quarantined", "new-01")
    with town.owner.transaction():
        made = newcomers.approve(
            town.owner, town.tenant_id, "new-01", {"site": "honmachi", "name_ja": "本町2"}
        )
    assert made == (("depth_m", "m"), ("battery_v", "V"))
    assert town.rows("select name_ja, state from device where code = 'new-01'") == [
        ("本町2", "active")
    ]
    assert town.rows("select device_code from replay_request") == [("new-01",)]
    assert town.value("select count(*) from link_state join device using (device_id) "
                      "where code = 'new-01'") == 1  # fmt: skip
    town.wait_for(REFUSED, 1, "new-01", "device_quarantined")
    numbers = itertools.count(1)

    def believed():
        bridge("new-01", reading(next(numbers), depth_m=0.2))
        return town.value("select count(*) > 0 from observation")

    wait_until(believed)


def test_what_cannot_be_approved_is_said_in_words(town):
    register = newcomers.register
    open_to(town, 5)
    assert register(town.owner, town.tenant_id, "odd", newcomers.Learned("t", ("foo", "depth_m")))
    for code, changes, streams, says in (
        ("flood-01", {}, None, "state is active: there is nothing to approve"),
        ("odd", {}, None, "it sends foo, whose unit is not known"),
        ("odd", {"kind": "drone"}, [("foo", "m")], "kind 'drone' is not one of"),
        ("odd", {}, [("foo", "")], "unit '' is not allowed"),
    ):
        with pytest.raises(MistakesError, match=says), town.owner.transaction():
            newcomers.approve(town.owner, town.tenant_id, code, changes, streams)
    assert town.value(STATE, "odd") == "quarantined"
    assert town.value("select count(*) from replay_request") == 0
    with town.owner.transaction():
        made = newcomers.approve(town.owner, town.tenant_id, "odd", {}, [("foo", "kg")])
    assert made == (("foo", "kg"),)
