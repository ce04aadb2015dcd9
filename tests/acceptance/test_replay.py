"""Recordings through the real door: command line, broker, gateway, database."""

import math
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest

from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.profiles import default_rules, max_gap_s
from detectors.readings import Readings
from firmware_sim.recording import read_recording
from store.marks import Mark
from tests.fixtures.broker import wait_until

DATA = Path(__file__).parents[1] / "data"
FLOODS = DATA / "nyc_street_floods_2023-09-29.csv.gz"
PLOWS = DATA / "chicago_plows_2015-12-02.csv.gz"
POND = DATA / "pond_clock_steps_2020-01.csv.gz"
INTERVAL_S = 60.0  # as in the list of the recording's devices


def replayed(system, path, town, *, times, speed):
    done = system.run(
        "sim", "replay", str(path), "--town", town, "--register", "--times", times,
        "--speed", str(speed), timeout_s=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + system.logs()
    sent, total, acknowledged = (
        int(number)
        for number in re.search(
            r"(\d+) of (\d+) readings .* sent, (\d+) acknowledged", done.stdout
        ).groups()
    )
    assert sent == total == acknowledged
    return sent


def rows(system, sql, *parameters):
    with psycopg.connect(system.dsn(), options="-c timezone=UTC") as conn:
        return conn.execute(sql, parameters).fetchall()


def stored(system, table, town):
    if table == "position":
        join = "join device using (device_id)"
    else:
        join = "join datastream using (datastream_id) join device using (device_id)"
    [[count]] = rows(
        system,
        f"select count(*) from {table} {join} join tenant t on t.tenant_id = device.tenant_id"
        " where t.code = %s",
        town,
    )
    return count


def ms(moment):
    return round(moment.timestamp() * 1000)


def ledger_offline(shift_ms):
    """What the core alone makes of the recording: transitions by device and rule."""
    recording = read_recording(FLOODS)
    rules = [
        (rule.code, rule.rule)
        for rule in default_rules("flood_level", "street")
        if rule.observed_property == "depth_m"
    ]
    profile = Profile.of(rules, max_gap_s=max_gap_s(INTERVAL_S))
    fleet = Fleet.compile([profile], np.zeros(len(recording.devices), np.int32))
    number = {device: n for n, device in enumerate(recording.devices)}
    outcome = fleet.step(
        fleet.empty_state(),
        Readings.of(
            np.array([number[row.device] for row in recording.rows], np.int32),
            np.array([row.sample.time_ms + shift_ms for row in recording.rows], np.int64),
            np.array([row.sample.values["depth_m"] for row in recording.rows]),
        ),
    )
    found = outcome.transitions
    return sorted(
        (
            recording.devices[found.sensor[n]],
            profile.rules[found.rule[n]].key,
            int(found.time_ms[n]),
            int(found.from_level[n]),
            int(found.to_level[n]),
            float(found.value[n]),
        )
        for n in range(len(found))
    )


def episodes(transitions):
    """Alerts from transitions: device, rule, onset, clear or None, highest level."""
    made = []
    for device, rule, time_ms, _before, level, _value in transitions:
        open_one = made[-1] if made and made[-1][:2] == [device, rule] else None
        if open_one is None or open_one[3] is not None:
            made.append([device, rule, time_ms, None, level])
        elif level == 0:
            open_one[3] = time_ms
        else:
            open_one[4] = max(open_one[4], level)
    return sorted(map(tuple, made), key=lambda alert: alert[:3])


def test_the_alerts_of_a_replayed_storm_are_those_of_the_core_alone(system):
    town = "new-york"
    # 44 hours; at 600 times the speed it is the same, in 4.4 minutes.
    count = replayed(system, FLOODS, town, times="now", speed=3600)
    wait_until(lambda: stored(system, "observation", town) == count, 60, "readings are missing")
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

    expected = ledger_offline(shift_ms)
    assert len(expected) > 100, "the storm of 2023-09-29 was a big one"
    transitions = [
        (device, rule, ms(time), before, after, value)
        for device, rule, time, before, after, value in rows(
            system,
            "select d.code, a.rule_code, x.phenomenon_time, x.from_level, x.to_level, x.value"
            " from alert_transition x join alert a using (alert_id)"
            " join datastream using (datastream_id) join device d using (device_id)"
            " join tenant t on t.tenant_id = d.tenant_id"
            " where t.code = %s and x.withdrawn_revision is null",
            town,
        )
    ]
    assert sorted(transitions) == expected

    alerts = [
        (device, rule, ms(onset), None if clear is None else ms(clear), peak)
        for device, rule, onset, clear, peak in rows(
            system,
            "select d.code, a.rule_code, a.onset_time, a.clear_time, a.peak_level"
            " from alert a join datastream using (datastream_id) join device d using (device_id)"
            " join tenant t on t.tenant_id = d.tenant_id"
            " where t.code = %s and not a.withdrawn and a.merged_into is null",
            town,
        )
    ]
    assert sorted(alerts, key=lambda alert: alert[:3]) == episodes(expected)
    assert {device for device, *_ in alerts} <= set(recorded.devices)
    [[training]] = rows(system, "select bool_and(training) from alert")
    assert training, "a replay is an exercise"


def test_positions_of_plows_are_stored_where_they_were(system):
    town = "chicago"
    count = replayed(system, PLOWS, town, times="own", speed=math.inf)
    wait_until(lambda: stored(system, "position", town) == count, 60, "positions are missing")
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
        lambda: stored(system, "observation", town) == len(expected), 60, "readings are missing"
    )
    found = rows(
        system,
        "select d.code, s.property, o.phenomenon_time, o.value, o.marks from observation o"
        " join datastream s using (datastream_id) join device d using (device_id)"
        " join tenant t on t.tenant_id = d.tenant_id where t.code = %s",
        town,
    )
    assert sorted((code, name, ms(time), value) for code, name, time, value, _ in found) == (
        expected
    )
    assert rows(system, "select count(*) from conflict") == [(0,)]
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
