"""Quality tests over hours, and those of positions."""

import math

import numpy as np
from ioos_qc import qartod

from detectors.hourly import (
    Attenuated,
    StepAgainstScatter,
    attenuated,
    flat_line,
    step_against_scatter,
)
from detectors.quality import FlatLine
from detectors.track import Location, Speed, distance_m, location_flags, speed_flags

NAN = math.nan
HOUR = 3_600_000


def every(x):
    return np.arange(len(x))


def hours(n):
    return np.arange(n) * HOUR


def test_attenuated_is_not_evaluated_until_the_window_is_full():
    x = np.array([0.0, 1.0, 0.0, 0.05, 0.05, 0.0, 0.0, NAN, 0.0])
    rule = Attenuated(suspect_below=0.5, fail_below=0.02, window_s=3 * 3600.0)
    assert attenuated(rule, hours(9), x, every(x)).tolist() == [2, 2, 2, 1, 1, 3, 3, 9, 4]
    assert attenuated(rule, hours(0), x[:0], every([])).tolist() == []
    assert attenuated(rule, hours(5), np.full(5, NAN), every(x[:5])).tolist() == [9] * 5


def test_attenuated_agrees_with_ioos_qc_once_the_window_is_full():
    rng = np.random.default_rng(5)
    x = np.where(np.arange(200) < 100, rng.normal(0, 1, 200), rng.normal(0, 0.02, 200))
    times = np.datetime64("2026-01-01") + np.arange(200) * np.timedelta64(1, "h")
    theirs = qartod.attenuated_signal_test(
        x, times, suspect_threshold=0.5, fail_threshold=0.01, test_period=12 * 3600 + 1,
        check_type="range",
    )  # fmt: skip
    ours = attenuated(Attenuated(0.5, 0.01), hours(200), x, every(x))
    assert ours[12:].tolist() == theirs[12:].tolist()
    assert set(ours[12:].tolist()) == {1, 3}


def test_a_flat_line_with_a_tolerance_equals_ioos_qc():
    rng = np.random.default_rng(6)
    x = np.where(np.arange(300) % 100 < 50, rng.normal(0, 1, 300), rng.uniform(0, 0.04, 300))
    times = np.datetime64("2026-01-01") + np.arange(300) * np.timedelta64(1, "h")
    theirs = qartod.flat_line_test(x, times, 6 * 3600, 20 * 3600, 0.05)
    ours = flat_line(FlatLine(6 * 3600.0, 20 * 3600.0, 0.05), hours(300), x, every(x))
    assert ours.tolist() == theirs.tolist()
    assert set(ours.tolist()) == {1, 3, 4}
    assert flat_line(FlatLine(7200.0), hours(5), np.zeros(5), every(x[:5])).tolist() == [1] * 5
    holed = np.array([0.0, 0.0, NAN, 0.0, 0.0, 0.0])
    flags = flat_line(FlatLine(7200.0, None, 0.1), hours(6), holed, every(holed))
    assert flags.tolist() == [1, 1, 9, 1, 1, 3]


def test_a_step_beyond_the_usual_scatter_is_suspect():
    x = np.tile([0.0, 0.1], 20)
    x[35] = 0.5
    rule = StepAgainstScatter(window_s=10 * 3600.0)
    flag = step_against_scatter(rule, hours(40), x, every(x))
    assert flag[:11].tolist() == [2] * 11
    assert np.flatnonzero(flag == 3).tolist() == [35, 36]
    gap = x.copy()
    gap[20] = NAN
    assert step_against_scatter(rule, hours(40), gap, every(x))[20:23].tolist() == [9, 2, 1]
    still = np.zeros(40)
    still[39] = 1e-9
    assert step_against_scatter(rule, hours(40), still, every(x))[-2:].tolist() == [1, 3]


def test_locations():
    lat = np.array([35.0, 91.0, 35.0, NAN, NAN, -90.0, 35.0])
    lon = np.array([139.0, 0.0, 181.0, 139.0, NAN, 180.0, NAN])
    moved = np.array([NAN, 0, 0, NAN, NAN, 500.0, 0])
    assert location_flags(Location(400.0), lat, lon, moved).tolist() == [1, 4, 4, 4, 9, 3, 4]
    assert location_flags(Location(), lat, lon, moved)[5] == 1
    assert abs(distance_m(*map(np.array, ([35.0], [139.0], [36.0], [139.0])))[0] - 111_195) < 10


def test_speeds():
    dt = np.array([0, 1000, 1000, 1000, 0, 0])
    moved = np.array([NAN, 20.0, 27.0, 31.0, 1.0, 0.0])  # 72, 97, 112 km/h
    assert speed_flags(Speed(), dt, moved).tolist() == [2, 1, 3, 4, 3, 1]
