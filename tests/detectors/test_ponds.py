"""What is derived at a pond: changes beyond the usual day, nights, ammonia, probes lifted out."""

import csv
import gzip
import math
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import lift_out, oxygen, pond
from detectors.ammonia import total_limit_mg_l, un_ionised_mg_l, un_ionised_share, warm_ph_excess
from detectors.derived import DERIVED, LOOK_BACK_MS, Series, applicable, derive
from detectors.sunrise import hours_to_sunrise, sunrise_ms
from detectors.usual import HOUR_MS, usual
from detectors.window import extremes, value_at
from tests.detectors.pond_twin import PondTwin

NAN = math.nan
MINUTE = 60_000
DAY = 24 * HOUR_MS
START = 1_763_733_600_000  # 2025-11-21 14:00 UTC
PLACE = (37.4, 140.4)
T, PH, DO = "water_temp_c", "ph", "dissolved_oxygen_mg_l"
SAMPLE = Path(__file__).parents[1] / "data" / "pond_clock_steps_2020-01.csv.gz"


def series(times, values):
    return Series(np.asarray(times, np.int64), np.asarray(values, np.float64))


def every(minutes, days):
    return START + np.arange(0, round(days * DAY), minutes * MINUTE)


def cycle(times, middle, half):
    return middle + half * np.sin(times / DAY * 2 * np.pi)


def test_un_ionised_share_at_25_degrees():
    share = un_ionised_share(np.full(3, 25.0), np.array([7.0, 8.0, 9.0]))
    assert share == pytest.approx([0.0056, 0.054, 0.36], rel=0.02)
    assert total_limit_mg_l(np.array([25.0]), np.array([9.0])) == pytest.approx([0.0553], rel=0.01)
    nh3 = un_ionised_mg_l(np.array([25.0, NAN]), np.array([9.0, 9.0]), np.array([0.5, 0.5]))
    assert nh3[0] == pytest.approx(0.181, rel=0.01)
    assert math.isnan(nh3[1])


def test_ammonia_threatens_where_water_is_both_warm_and_alkaline():
    temperature = np.array([25.0, 25.1, 25.1, 30.0, NAN, 26.0])
    ph = np.array([9.5, 8.8, 8.9, 9.3, 9.0, NAN])
    found = warm_ph_excess(temperature, ph)
    assert found[:4] == pytest.approx([0.0, 0.0, 0.1, 0.5])
    assert np.isnan(found[4:]).all()


def test_warm_water_with_little_oxygen():
    short = oxygen.warm_shortage(np.array([4.0, 4.0, 6.0, NAN]), np.array([28.1, 28.0, 30.0, 30.0]))
    assert short[:3].tolist() == [1.0, 0.0, 0.0]
    assert math.isnan(short[3])


def test_the_usual_value_is_the_same_hours_median_of_three_days_at_least():
    times = every(10, 9)
    value = cycle(times, 7.5, 1.0)
    late = times[times >= START + 8 * DAY]
    assert usual(times, value, late) == pytest.approx(cycle(late, 7.5, 1.0), abs=0.03)
    for days, known in ((2.9, False), (4.2, True)):
        some = times >= START + (9 - days) * DAY
        found = usual(times[some], value[some], times[-6:])
        assert np.isfinite(found).all() == known
    odd = value.copy()
    odd[(times >= START + 6 * DAY) & (times < START + 7 * DAY)] += 5.0  # one strange day of seven
    assert usual(times, odd, late) == pytest.approx(cycle(late, 7.5, 1.0), abs=0.2)


def test_what_a_window_holds():
    rng = np.random.default_rng(3)
    values = rng.normal(size=200)
    first = rng.integers(0, 200, 500)
    last = np.array([rng.integers(low, 200) for low in first])
    low, high = extremes(values, first, last)
    pairs = list(zip(first, last, strict=True))
    assert low.tolist() == [values[a : b + 1].min() for a, b in pairs]
    assert high.tolist() == [values[a : b + 1].max() for a, b in pairs]
    assert [len(part) for part in extremes(values[:0], first[:0], last[:0])] == [0, 0]


def test_values_are_joined_by_time():
    found = value_at(np.array([0, 100]), np.array([1.0, 2.0]), np.array([-1, 0, 99, 100, 160]), 50)
    assert [None if math.isnan(v) else v for v in found] == [None, 1.0, None, 2.0, None]
    assert np.isnan(value_at(np.zeros(0, np.int64), np.zeros(0), np.array([5]), 50)).all()


def test_a_single_odd_value_is_no_change():
    times = every(10, 0.2)
    value = np.full(len(times), 20.0)
    value[10], value[20:] = 31.0, 12.0
    sure = pond.confirmed(times, value)
    assert sure[:21].tolist() == [20.0] * 21
    assert sure[21:].tolist() == [12.0] * (len(times) - 21)
    sparse = every(90, 1)  # an hour and a half apart each reading counts
    assert pond.confirmed(sparse, np.arange(16.0)).tolist() == list(range(16))


def test_half_a_day_does_not_show_how_far_the_whole_one_swings():
    times = every(30, 2)
    swing = pond.daily_swing(times, cycle(times, 7.5, 0.8))
    assert np.isnan(swing[:22]).all()
    assert swing[-1] == pytest.approx(1.6, abs=0.02)


def from_here(name, value, times, others=()):
    probes = {1: {name: series(times, value), **dict(others)}}
    return derive(probes, *PLACE, int(times[0]))


def test_a_temperature_shock_is_judged_against_the_usual_cycle():
    times = every(10, 6)
    value = cycle(times, 24.0, 4.0)  # swings by 8 degrees, as ever
    calm = from_here(T, value, times)
    for name, most in (("temp_change_1h_c", 1.1), ("temp_change_24h_c", 0.3)):
        known = calm[1, name].value
        assert np.nanmax(known) < most, name
    assert np.isnan(calm[1, "temp_change_24h_c"].value[: 3 * 144]).all()
    assert np.isfinite(calm[1, "temp_change_1h_c"].value[1:]).all()
    cold = value.copy()
    cold[times >= START + 5 * DAY] -= 7.5
    shock = from_here(T, cold, times)[1, "temp_change_1h_c"]
    at = np.searchsorted(times, START + 5 * DAY)
    assert shock.value[at] < 2.0  # one reading is none
    assert shock.value[at + 1] > 7.0
    slow = value - np.clip((times - START) / DAY - 5.0, 0.0, 1.0) * 4.0
    found = from_here(T, slow, times)
    assert found[1, "temp_change_1h_c"].value[-1] < 1.0
    assert found[1, "temp_change_24h_c"].value[-1] == pytest.approx(4.0, abs=0.3)


def test_a_daily_swing_is_told_and_so_is_an_unusual_hour():
    times = every(10, 6)
    value = cycle(times, 8.2, 0.7)
    value[times >= START + 5.5 * DAY] += 0.6
    found = from_here(PH, value, times)
    assert np.nanmax(found[1, "ph_swing_24h"].value[: 5 * 144]) == pytest.approx(1.4, abs=0.01)
    off = found[1, "ph_off_usual"].value
    assert np.nanmax(off[: 5 * 144]) < 0.05
    assert off[-1] == pytest.approx(0.6, abs=0.05)


def test_oxygen_that_will_not_last_until_sunrise_is_told_in_the_evening():
    times = every(10, 0.5)
    hours = hours_to_sunrise(times, *PLACE)
    falling = 7.0 - 0.5 * (times - START) / HOUR_MS
    low = oxygen.least_until_sunrise(times, falling, hours)
    night = ~np.isnan(hours)
    known = np.flatnonzero(night & (times >= START + 2 * HOUR_MS))
    # It is 23:00 in Japan; at sunrise, 06:22, the line is at 3.3.
    assert low[known] == pytest.approx(3.1, abs=0.2)
    assert np.isnan(low[:4]).all()  # nobody knows the slope yet
    assert (low[~night] == falling[~night]).all()
    steady = oxygen.least_until_sunrise(times, np.full(len(times), 6.0), hours)
    assert (steady[known] > 5.0).all()
    rising = oxygen.least_until_sunrise(times, 2.0 + 0.2 * (times - START) / HOUR_MS, hours)
    assert (rising <= 2.0 + 0.2 * (times - START) / HOUR_MS)[known].all()  # low now is low


def lifted_probes(minutes=1, lift=60, back=75, days=0.2):
    times = every(minutes, days)
    out = (times >= START + lift * MINUTE) & (times < START + back * MINUTE)
    return times, {
        1: {
            T: series(times, np.where(out, 30.0, 22.0)),
            PH: series(times, np.where(out, 6.0, 7.5)),
            DO: series(times, np.where(out, 9.0, 6.0)),
        }
    }


@pytest.mark.parametrize("minutes", [1, 10])
def test_probes_that_jump_together_were_lifted_out(minutes):
    times, probes = lifted_probes(minutes, 60, 80)
    found = derive(probes, *PLACE, int(times[0]))
    minute = (times - START) // MINUTE
    quiet = found[1, "lifted_out_min"].value
    # One odd reading a minute is a glitch; one in ten minutes is taken at its word.
    first = 61 if minutes == 1 else 60
    assert (quiet[minute < first] == 0).all()
    assert (quiet[(minute >= first) & (minute < 110)] > 0).all()
    assert quiet.max() == 30.0
    assert (quiet[minute >= 116] == 0).all()
    # What the probes show in the air is no temperature of the water, nor what comes just after.
    for (_, name), one in found.items():
        if name != "lifted_out_min":
            assert np.isnan(one.value[quiet > 0]).all(), name
    assert np.nanmax(found[1, "temp_change_1h_c"].value) == 0.0


def test_a_glitch_of_all_probes_is_no_lift_out():
    _, probes = lifted_probes(1, 60, 61)
    assert not derive(probes, *PLACE, START)[1, "lifted_out_min"].value.any()


def test_one_probe_that_jumps_alone_was_not_lifted_out():
    times, probes = lifted_probes()
    still = {**probes[1], DO: series(times, np.full(len(times), 6.0))}
    assert not derive({1: still}, *PLACE, START)[1, "lifted_out_min"].value.any()
    alone = {1: {T: probes[1][T]}}
    assert applicable(alone) == [(1, one) for one in DERIVED[:2]]
    # Two devices with one probe each are lifted out together; one with three hangs by itself.
    two = {1: {T: probes[1][T]}, 2: {PH: probes[1][PH]}}
    assert derive(two, *PLACE, START)[2, "lifted_out_min"].value.max() == 30.0
    mixed = {1: probes[1], 2: {T: series(times, np.full(len(times), 22.0))}}
    assert (2, "lifted_out_min") not in derive(mixed, *PLACE, START)
    # A probe that fell silent long before takes no part.
    silent = {**probes[1], DO: series(times[:1] - 2 * HOUR_MS, [6.0])}
    assert derive({1: silent}, *PLACE, START)[1, "lifted_out_min"].value.max() == 30.0


def test_nothing_jumps_in_an_empty_pond():
    none = series([], [])
    found = derive({1: {T: none, PH: none, DO: none}}, *PLACE, START)
    assert {len(one.time_ms) for one in found.values()} == {0}
    assert derive({}, *PLACE, START) == {}
    assert lift_out.lifted([])[0].tolist() == []


def test_the_temperature_of_another_device_in_the_pond_serves():
    times = every(10, 1)
    probes = {
        4: {DO: series(times, np.full(len(times), 4.5))},
        7: {T: series(times, np.full(len(times), 29.0))},
        9: {T: series(times, np.full(len(times), 10.0))},
    }
    short = derive(probes, *PLACE, START)[4, "warm_oxygen_short_mg_l"]
    assert short.value.tolist() == [0.5] * len(times)


def any_pond(seed):
    """Some days of a pond with gaps, error codes, missing values, steps and lift-outs."""
    rng = np.random.default_rng(seed)
    days, step = ((0.4, 2), (0.8, 10), (4.5, 20), (4.5, 45))[rng.integers(4)]
    times = every(step, days)
    times = times + rng.integers(0, step * MINUTE // 2, len(times))
    out = np.zeros(len(times), bool)
    for start in rng.integers(0, len(times), 2):
        out[start : start + int(rng.integers(1, 5))] = True
    probes = {}
    for name, middle, half, jump in (
        (T, 26.0, 3.0, 6.0),
        (PH, 8.6, 0.5, -1.0),
        (DO, 5.0, 3.0, 4.0),
    ):
        value = (
            cycle(times, middle, half) + rng.normal(0, 0.05, len(times)) + np.where(out, jump, 0)
        )
        if rng.random() < 0.3:
            value[int(rng.integers(len(times))) :] -= 2.0
        value[rng.random(len(times)) < 0.03] = NAN
        value[rng.random(len(times)) < 0.02] = 85.0
        keep = rng.random(len(times)) > 0.05
        probes[name] = series(times[keep], np.round(value[keep], 2))
    probes["total_ammonia_mg_l"] = series(times[::40], rng.uniform(0.1, 1.0, len(times[::40])))
    probes.pop((T, PH, DO, "none")[rng.integers(4)], None)
    return probes


CASES = settings(max_examples=int(os.environ.get("POND_CASES", "12")), deadline=None)


@CASES
@given(st.integers(0, 2**32 - 1))
def test_it_is_what_plain_loops_find(seed):
    probes = any_pond(seed)
    found = derive({1: probes}, *PLACE, START)
    rows = {name: list(zip(one.time_ms.tolist(), one.value.tolist(), strict=True))
            for name, one in probes.items()}  # fmt: skip

    def sunrise(time_ms):
        return float(hours_to_sunrise(np.array([time_ms]), *PLACE)[0])

    expected = PondTwin(rows).derive(sunrise)
    names = {name for _, name in found}
    assert names <= set(expected)
    for name in set(expected) - names:  # without a temperature there is no series at all
        assert all(math.isnan(value) for value in expected[name].values()), name
    for (_, name), one in found.items():
        own = [expected[name].get(t, NAN) for t in one.time_ms.tolist()]
        assert one.value == pytest.approx(own, abs=1.1e-4, nan_ok=True), name


@CASES
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_a_value_looks_at_nothing_later_and_no_further_back_than_it_says(seed, part):
    probes = any_pond(seed)
    end = max(int(one.time_ms[-1]) for one in probes.values())
    cut = START + round((end - START) * part)

    def within(low, high):
        return {name: series(one.time_ms[(one.time_ms >= low) & (one.time_ms <= high)],
                             one.value[(one.time_ms >= low) & (one.time_ms <= high)])
                for name, one in probes.items()}  # fmt: skip

    everything = derive({1: probes}, *PLACE, START)
    early = derive({1: within(START, cut)}, *PLACE, START)
    late = derive({1: within(cut - LOOK_BACK_MS, end)}, *PLACE, cut)
    for key, whole in everything.items():
        before = whole.time_ms <= cut - lift_out.TOGETHER_MS
        np.testing.assert_array_equal(
            early[key].value[: before.sum()], whole.value[before], str(key)
        )
        np.testing.assert_array_equal(late[key].value, whole.value[whole.time_ms >= cut], str(key))


def recording(path):
    """Read temperatures and pH of a real tank at two depths, in order of time."""
    probes = {}
    with gzip.open(path, "rt") as lines:
        for row in csv.DictReader(lines):
            time_ms = int(datetime.fromisoformat(row["time_utc"]).timestamp() * 1000)
            own = probes.setdefault(1 if row["device"] == "tank-30cm" else 2, {})
            for name in (T, PH):
                if row[name]:
                    own.setdefault(name, {}).setdefault(time_ms, float(row[name]))
    return {
        device: {name: series(sorted(rows), [rows[t] for t in sorted(rows)])
                 for name, rows in own.items()}
        for device, own in probes.items()
    }  # fmt: skip


def test_a_real_tank_gives_values_that_can_be():
    probes = recording(SAMPLE)
    found = derive(probes, 13.8, 100.5, 0)
    assert {(d, one.name) for d, one in applicable(probes)} == set(found)
    assert np.nanmax(found[1, "temp_change_1h_c"].value) < 2.0
    assert np.nanmax(found[2, "temp_change_1h_c"].value) < 2.0
    assert not found[1, "lifted_out_min"].value.any()
    limit = found[1, "total_ammonia_limit_mg_l"].value
    assert 0.1 < np.nanmin(limit) < np.nanmax(limit) < 10.0


@pytest.mark.parametrize(
    ("place", "day", "expected"),
    [  # from the almanac of the National Astronomical Observatory of Japan, to the minute
        ((35.6581, 139.7414), datetime(2026, 1, 1, tzinfo=UTC), (21, 51)),
        ((35.6581, 139.7414), datetime(2026, 6, 21, tzinfo=UTC), (19, 25)),
    ],
)
def test_sunrise_in_tokyo(place, day, expected):
    number = (day - datetime(2000, 1, 1, tzinfo=UTC)).days
    rise = datetime.fromtimestamp(sunrise_ms(number, *place) / 1000, UTC)
    minutes = rise.hour * 60 + rise.minute - (expected[0] * 60 + expected[1])
    assert abs(minutes) <= 3


def test_hours_to_sunrise_are_known_at_night_only():
    def at(*hours_utc, place=(35.66, 139.74), month=6):
        when = [datetime(2026, month, 20, hour, tzinfo=UTC).timestamp() for hour in hours_utc]
        return hours_to_sunrise(np.array(when) * 1000, *place)

    night = at(16, 12, 3)  # 01:00, 21:00 and noon in Japan
    assert night[:2] == pytest.approx([3.42, 7.42], abs=0.06)
    assert math.isnan(night[2])
    assert np.isnan(at(0, 12, place=(80, 0), month=12)).all()
    assert len(hours_to_sunrise(np.zeros(0, np.int64), 35.0, 139.0)) == 0
