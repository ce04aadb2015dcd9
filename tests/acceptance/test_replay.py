"""Recordings through the real door: command line, broker, gateway, database."""

import math
from datetime import UTC, datetime

import pytest

from firmware_sim.recording import read_recording
from store.marks import Mark
from tests.acceptance.played import (
    FLOODS,
    PLOWS,
    POND,
    contradictions,
    ledger,
    ledger_offline,
    ms,
    replayed,
    rows,
    shuffled,
    stored,
)
from tests.chaos.alert_ledger import audit_alerts
from tests.fixtures.broker import wait_until


def test_the_alerts_of_a_replayed_storm_are_those_of_the_core_alone(system):
    town = "new-york"
    # 44 hours; at 600 times the speed it is the same, in 4.4 minutes.
    count = replayed(system, FLOODS, town, times="now", speed=3600)
    wait_until(lambda: stored(system, "observation", town) == count, message="readings are missing")
    assert count == 8181
    assert rows(system, "select count(*) from quarantine") == [(0,)]
    recorded = read_recording(FLOODS)
    [[first]] = rows(
        system,
        "select min(phenomenon_time) from observation join datastream using (datastream_id)"
        " join tenant using (tenant_id) where code = %s",
        town,
    )
    shift_ms = ms(first) - min(row.sample.time_ms for row in recorded.rows)
    [[newest_ahead]] = rows(
        system, "select max(phenomenon_time - received_time) < interval '0' from observation"
    )
    assert newest_ahead, "a reading of the replay came from the future"

    expected = ledger_offline(recorded, shift_ms)
    assert len(expected) > 100, "the storm of 2023-09-29 was a big one"
    found = audit_alerts(system.dsn(), town, expected)
    assert found.sound, found.differences
    assert {alert.device for alert in found.stored_episodes} <= set(recorded.devices)
    [[training]] = rows(system, "select bool_and(training) from alert")
    assert training, "a replay is an exercise"


def test_a_storm_that_arrives_shuffled_doubled_and_hours_late_leaves_the_same_ledger(
    system, tmp_path
):
    """Through the real door, with the jobs settling while it comes."""
    sorted_path, mixed_path = FLOODS, shuffled(FLOODS, tmp_path, seed=6)
    count = replayed(system, sorted_path, "sorted", times="own", speed=math.inf)
    assert replayed(system, mixed_path, "mixed", times="own", speed=math.inf) == count * 11 // 10
    for town in ("sorted", "mixed"):
        wait_until(
            lambda town=town: stored(system, "observation", town) == count,
            message="readings are missing",
        )
    wait_until(
        lambda: rows(system, "select count(*) from unsettled") == [(0,)],
        message="it is not settled",
    )
    [[late]] = rows(
        system,
        "select count(*) from observation where marks & %s = %s",
        int(Mark.LATE | Mark.SETTLED),
        int(Mark.LATE | Mark.SETTLED),
    )
    assert late > count / 4, "most of what comes hours late is settled by the jobs"
    expected, moves = ledger(system, "sorted")
    assert moves > 100
    assert ledger(system, "mixed") == (expected, moves)
    assert contradictions(system) == 0


def test_positions_of_plows_are_stored_where_they_were(system):
    town = "chicago"
    count = replayed(system, PLOWS, town, times="own", speed=math.inf)
    wait_until(lambda: stored(system, "position", town) == count, message="positions are missing")
    recorded = sorted(
        (row.device, row.sample.time_ms, row.sample.fix.lat, row.sample.fix.lon)
        for row in read_recording(PLOWS).rows
    )
    found = rows(
        system,
        "select d.code, p.phenomenon_time, p.lat, p.lon from position p"
        " join device d using (device_id)",
    )
    assert sorted((code, ms(time), lat, lon) for code, time, lat, lon in found) == recorded
    newest = {device: time_ms for device, time_ms, *_ in recorded}  # sorted: the last one stays
    assert {
        code: ms(time)
        for code, time in rows(
            system,
            "select code, phenomenon_time from latest_position join device using (device_id)",
        )
    } == newest


@pytest.mark.parametrize("again", [False, True], ids=["first", "played twice"])
def test_a_clock_that_steps_back_loses_nothing_and_is_flagged(system, again):
    town = "tank"
    if again:
        replayed(system, POND, town, times="own", speed=math.inf)
    count = replayed(system, POND, town, times="own", speed=math.inf)
    assert count == 2000
    recorded = read_recording(POND)
    expected = sorted(
        (row.device, name, row.sample.time_ms, value)
        for row in recorded.rows
        for name, value in row.sample.values.items()
    )
    wait_until(
        lambda: stored(system, "observation", town) == len(expected),
        message="readings are missing",
    )
    found = rows(
        system,
        "select d.code, s.property, o.phenomenon_time, o.value, o.marks from observation o"
        " join datastream s using (datastream_id) join device d using (device_id)"
        " join tenant t on t.tenant_id = d.tenant_id where t.code = %s and not s.derived",
        town,
    )
    assert sorted((code, name, ms(time), value) for code, name, time, value, _ in found) == (
        expected
    )
    assert contradictions(system) == 0
    suspect = {(code, ms(time)) for code, _, time, _, marks in found if marks & Mark.CLOCK_SUSPECT}
    back = {
        (device, row.sample.time_ms)
        for device in recorded.devices
        for row in stepped_back([row for row in recorded.rows if row.device == device])
    }
    assert len(back) == 4, "each of the two loggers steps back twice"
    assert back <= suspect
    begin = datetime(2020, 1, 15, tzinfo=UTC).timestamp() * 1000
    assert all(time_ms > begin for _, time_ms in suspect)
    assert len(suspect) < 20, "a clock is suspect around its steps, not for good"


def stepped_back(of_device):
    seen = 0
    for row in of_device:
        if row.sample.time_ms < seen:
            yield row
        seen = max(seen, row.sample.time_ms)
