"""Alerts: what the gateway writes of what the core decides."""

import base64
import time

import numpy as np
import pytest

from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.readings import Readings
from detectors.rules import rule_from_params
from store import rules
from tests.fixtures.broker import wait_until
from tests.gateway.conftest import NOW_MS

COUNT = "select count(*) from observation"
FLOOD = [0.0, 0.02, 0.12, 0.15, 0.22, 0.26, 0.24, 0.11, 0.03, 0.0]
CLEAR = [0.0] * 40
ALERTS = ("select rule_code, extract(epoch from onset_time)::float * 1000, "
          "extract(epoch from clear_time)::float * 1000, peak_level, peak_value from alert "
          "where rule_code = 'street-depth' and not withdrawn and merged_into is null "
          "order by onset_time")  # fmt: skip


def publish(device, depths, start=0):
    for i, depth in enumerate(depths, start):
        device.publish({"ts": NOW_MS + 60_000 * i, "seq": i, "m": {"depth_m": depth}})


def test_an_episode_is_raised_escalated_and_cleared_with_its_evidence(town):
    town.start()
    device = town.device()
    publish(device, FLOOD + CLEAR)
    town.wait_for(COUNT, 50)
    town.wait_for("select count(*) from alert where clear_time is not null "
                  "and rule_code = 'street-depth'", 1)  # fmt: skip
    [(code, onset, clear, peak_level, peak_value)] = town.rows(ALERTS)
    assert onset in (NOW_MS + 120_000, NOW_MS + 180_000)
    assert clear > onset
    assert peak_value == 0.26
    steps = town.rows("select from_level, to_level from alert_transition "
                      "join alert using (alert_id) where rule_code = %s "
                      "order by phenomenon_time", code)  # fmt: skip
    assert steps[0][0] == 0
    assert steps[-1][1] == 0
    assert max(to for _, to in steps) == peak_level
    said = {kind for (kind,) in town.rows("select kind from journal")}
    assert {"raised", "cleared"} <= said
    last = town.rows("select payload from outbox where topic = 'mz/v1/kawabe/a/flood-01/"
                     "street-depth' order by outbox_id desc limit 1")[0][0]  # fmt: skip
    assert last["level"] == 0
    assert last["peak_level"] == peak_level


def test_anybody_can_replay_a_transition_from_its_evidence(town):
    gateway = town.start()
    device = town.device()
    publish(device, FLOOD[:3])
    town.wait_for(COUNT, 3)
    gateway.stop()  # so that the state has gone through the store
    town.start()
    publish(device, FLOOD[3:], 3)
    town.wait_for(COUNT, 10)
    rows = town.rows("select rule_code, extract(epoch from phenomenon_time)::float * 1000, "
                     "from_level, to_level, evidence from alert_transition "
                     "join alert using (alert_id)")  # fmt: skip
    assert len(rows) >= 3
    for code, time_ms, from_level, to_level, evidence in rows:
        profile = evidence["profile"]
        pairs = [
            (rule["code"], rule_from_params(rule["kind"], rule["params"]))
            for rule in profile["rules"]
        ]
        pairs += [(str(i), rule_from_params(test["kind"], test["params"]))
                  for i, test in enumerate(profile["quality"])]  # fmt: skip
        fleet = Fleet.compile([Profile.of(pairs, profile["max_gap_s"], profile["lateness_s"])], [0])
        state = fleet.load_state(
            [0], [base64.b64decode(evidence["state"])], readings(evidence["context"])
        )
        moves = fleet.step(state, readings(evidence["readings"])).transitions
        keys = [rule.key for rule in fleet.profiles[0].rules]
        found = {
            (keys[r], t, a, b)
            for r, t, a, b in zip(moves.rule, moves.time_ms, moves.from_level, moves.to_level,
                                  strict=True)
        }  # fmt: skip
        assert (code, time_ms, from_level, to_level) in found


def readings(pairs):
    values = [np.nan if value is None else value for _, value in pairs]
    return Readings.of(0, [at for at, _ in pairs], values)


def test_late_readings_inside_the_bound_change_the_ledger(town):
    """In whatever order a flood arrives, the ledger says the same in the end."""
    gateway = town.start()
    device = town.device()
    in_order = list(enumerate(FLOOD))
    shuffled = [in_order[i] for i in (0, 1, 8, 5, 6, 2, 9, 4, 3, 7)]
    for sent, (i, depth) in enumerate(shuffled, 1):
        device.publish({"ts": NOW_MS + 60_000 * i, "seq": i, "m": {"depth_m": depth}})
        town.wait_for(COUNT, sent)  # so that each is a batch
    late = town.rows(ALERTS), transitions(town, device_code="flood-01")
    assert town.value("select count(*) from revision where reason = 'late'") > 0
    pond = town.value("select device_id from device where code = 'pond-01'")
    # The same in order, at another device of the same kind.
    town.owner.execute("update device set kind = 'flood_level', expected_interval_s = 60, site_id ="
                       " (select site_id from site) where device_id = %s", (pond,))  # fmt: skip
    town.owner.execute("insert into datastream (tenant_id, device_id, property, unit) "
                       "values (%s, %s, 'depth_m', 'm')", (town.tenant_id, pond))  # fmt: skip
    town.owner.execute("""notify mizumori_config, '{"kind": "device"}'""")
    stream = town.datastream("pond-01")
    gateway.wait_loaded(lambda registry: stream in registry.datastream_id)
    other = town.device("pond-01")
    publish(other, FLOOD)
    town.wait_for(COUNT, 20)
    assert transitions(town, device_code="pond-01") == late[1]
    episodes = town.rows(ALERTS)
    assert len(episodes) == 2
    assert episodes[0] == episodes[1]


def transitions(town, device_code):
    return town.rows(
        "select rule_code, phenomenon_time, from_level, to_level, value from alert_transition t "
        "join alert a using (alert_id) join datastream using (datastream_id) "
        "join device d using (device_id) where d.code = %s and withdrawn_revision is null "
        "and not withdrawn and merged_into is null order by rule_code, phenomenon_time",
        device_code,
    )


def test_readings_beyond_the_lateness_bound_are_stored_and_not_decided_on(town):
    town.start()
    device = town.device()
    publish(device, [0.0], 60)
    town.wait_for(COUNT, 1)
    publish(device, [0.5])
    town.wait_for(COUNT, 2)
    assert town.value("select count(*) from observation where marks & 16 <> 0") == 1
    assert town.value("select count(*) from alert") == 0
    assert town.value("select value from latest") == 0.0


def goes_by(registry, stream, version):
    """Whether a registry has this version of the streets' rule in force."""
    sensor = int(np.flatnonzero(registry.datastream_id == stream)[0])
    versions = registry.compiled_of(sensor).versions
    return ("street-depth", version) in [(one.code, one.version) for one in versions]


def test_a_new_version_of_a_rule_applies_without_a_restart_and_keeps_the_alert(town):
    gateway = town.start()
    device = town.device()
    start = round(time.time() * 1000) - 5 * 60_000
    for i in range(3):
        device.publish({"ts": start + 60_000 * i, "m": {"depth_m": 0.12}})
    town.wait_for("select count(*) from alert where rule_code = 'street-depth' "
                  "and clear_time is null", 1)  # fmt: skip
    before = town.value("select alert_id from alert where rule_code = 'street-depth'")
    with town.owner.transaction():
        version = next(v for v in rules.versions(town.owner, town.tenant_id, "street-depth"))
        level = {"on": 0.12, "off": 0.06, "delay_on_s": 0, "delay_off_s": 0}
        rules.save(
            town.owner, town.tenant_id, "street-depth", kind="threshold",
            observed_property="depth_m", params={**version.params, "levels": [level]},
            device_kind="flood_level", site_kinds=version.site_kinds,
        )  # fmt: skip
    stream = town.datastream()
    gateway.wait_loaded(lambda registry: goes_by(registry, stream, 2))
    # Older than the version: stored, and left to the replay.
    device.publish({"ts": start + 180_000, "m": {"depth_m": 0.0}})
    town.wait_for("select count(*) from observation where marks & 16 <> 0", 1)
    device.publish({"ts": round(time.time() * 1000), "m": {"depth_m": 0.01}})
    town.wait_for("select count(*) from alert where rule_code = 'street-depth' "
                  "and clear_time is not null", 1)  # fmt: skip
    assert town.rows("select alert_id, rule_version from alert "
                     "where rule_code = 'street-depth'") == [(before, 2)]  # fmt: skip


def test_a_version_that_waits_is_gone_over_to_when_its_time_comes(town):
    """Nothing announces that instant: the gateway has to know it."""
    gateway = town.start()
    device, stream = town.device(), town.datastream()
    at = town.value("select clock_timestamp() + interval '2 seconds'")
    with town.owner.transaction():
        version = next(v for v in rules.versions(town.owner, town.tenant_id, "street-depth"))
        saved = rules.save(
            town.owner, town.tenant_id, "street-depth", kind="threshold",
            observed_property="depth_m", device_kind="flood_level", valid_from=at,
            params={**version.params, "levels": [{"on": 0.03, "off": 0.01}]},
            site_kinds=version.site_kinds,
        )  # fmt: skip
    at = saved.valid_from  # later, should saving it have taken so long
    gateway.wait_loaded(lambda known: known.next_rule_change == at or goes_by(known, stream, 2))
    device.publish({"ts": round(at.timestamp() * 1000) - 3000, "m": {"depth_m": 0.04}})
    town.wait_for(COUNT, 1)
    wait_until(lambda: town.value("select clock_timestamp() > %s", at))
    assert town.value("select count(*) from alert") == 0
    device.publish({"ts": round(at.timestamp() * 1000) + 1, "m": {"depth_m": 0.04}})
    town.wait_for("select count(*) from alert where rule_version = 2", 1)


def test_a_will_sets_the_link_offline_and_a_message_online_again(town):
    town.start()
    state = ("select l.state from link_state l join device using (device_id) "
             "where code = 'flood-01'")  # fmt: skip
    device = town.device(will=True)
    town.wait_for(state, "online")
    device.vanish()
    town.wait_for(state, "offline")
    assert town.rows("select state, reason from link_event order by link_event_id")[-1] == (
        "offline", "will")  # fmt: skip
    town.device().publish({"ts": NOW_MS, "m": {"depth_m": 0.0}})
    town.wait_for(state, "online")


def test_an_old_retained_status_does_not_call_a_silent_device_online(town):
    gateway = town.start()
    device = town.device(will=True)
    state = ("select l.state from link_state l join device using (device_id) "
             "where code = 'flood-01'")  # fmt: skip
    town.wait_for(state, "online")
    town.owner.execute("update link_state set state = 'silent', since = now()")
    gateway.stop()
    town.start()
    town.device("pond-01", will=True)  # its status comes after the retained one
    town.wait_for(state.replace("flood-01", "pond-01"), "online")
    assert town.value(state) == "silent"
    device.publish({"ts": NOW_MS, "m": {"depth_m": 0.0}})
    town.wait_for(state, "online")


@pytest.mark.usefixtures("partitioned")
def test_the_gateway_says_since_when_it_listens(town):
    gateway = town.start()
    listening = "select count(*) from intake where listening_since is not null"
    wait_until(lambda: town.value(listening) == 4)
    gateway.stop()
    assert town.value(listening) == 0


def test_a_flag_that_a_late_neighbour_changes_is_revised_and_not_rewritten(town):
    """Without the reading between them the second one lay on a straight line."""
    flags = "select flag from observation where datastream_id = %s order by phenomenon_time"
    rules.save(
        town.owner, town.tenant_id, "depth-spike", kind="spike", observed_property="depth_m",
        params={"suspect": 0.05, "fail": 0.5}, device_kind="flood_level", from_the_beginning=True,
    )  # fmt: skip
    town.start()
    device, stream = town.device(), town.datastream()
    for minute, depth in ((0, 0.0), (2, 0.2), (4, 0.4)):
        device.publish({"ts": NOW_MS + 60_000 * minute, "m": {"depth_m": depth}})
        town.wait_for(COUNT, minute // 2 + 1)
    given = [flag for (flag,) in town.rows(flags, stream)]
    device.publish({"ts": NOW_MS + 60_000, "m": {"depth_m": 0.3}})
    town.wait_for(COUNT, 4)
    after = [flag for (flag,) in town.rows(flags, stream)]
    assert [after[0], *after[2:]] == given
    revised = town.rows("select (extract(epoch from phenomenon_time) * 1000)::bigint, flag "
                        "from flag_revision where datastream_id = %s", stream)  # fmt: skip
    assert revised == [(NOW_MS + 120_000, 3)]
