"""Literal vectors of the quality tests that run with each reading, edges first."""

import numpy as np
import pytest
from ioos_qc import qartod

from detectors.flags import Flag, Test, aggregate
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.quality import Climatology, FlatLine, GrossRange, RateOfChange, Season, Spike
from detectors.readings import Readings
from tests.detectors.ledger import Ledger

NAN, INF = float("nan"), float("inf")
MINUTE = 60_000


def final(test, values, times=None, **profile):
    """Flags of one series once every verdict is in."""
    times = [k * MINUTE for k in range(len(values))] if times is None else times
    fleet = Fleet.compile([Profile((test,), **profile)], [0])
    ledger, state = Ledger(), fleet.empty_state()
    for t, x in zip(times, values, strict=True):
        batch = Readings.of(0, [t], [x])
        outcome = fleet.step(state, batch)
        ledger.take(batch, outcome)
        state = outcome.state
    return [ledger.flags[0, t] for t in sorted(times)]


def flags(*args, **kwargs):
    return [flag for flag, _ in final(*args, **kwargs)]


def test_gross_range_is_strict_at_both_spans():
    test = GrossRange((0.0, 10.0), (1.0, 9.0))
    values = [-0.001, 0.0, 0.999, 1.0, 5.0, 9.0, 9.001, 10.0, 10.001, INF, -INF, NAN]
    assert flags(test, values) == [4, 3, 3, 1, 1, 1, 3, 3, 4, 4, 4, 9]


def test_without_any_test_a_reading_is_not_evaluated_and_infinity_still_fails():
    assert final(FlatLine(60.0), [1.0, INF, NAN]) == [
        (1, Test.FLAT_LINE),
        (4, Test.GROSS_RANGE),
        (9, 0),
    ]
    assert flags(Spike(1.0, 2.0), [1.0]) == [2]


def test_climatology_is_suspect_at_worst_and_not_evaluated_out_of_season():
    winter = Climatology((Season(11, 2, (0.0, 5.0)),))
    times = [
        np.datetime64(day, "ms").astype(int)
        for day in ("2025-10-31", "2025-11-01", "2026-02-28T23:59:59", "2026-03-01")
    ]
    assert flags(winter, [99.0, 99.0, 5.0, 99.0], times) == [2, 3, 1, 2]
    assert flags(winter, [NAN], [times[1]]) == [9]


def test_a_spike_waits_for_its_successor_and_ends_stay_open():
    assert flags(Spike(1.0, 3.0), [0.0, 0.0, 2.0, 0.0, 9.0, 0.0]) == [2, 1, 3, 4, 4, 2]
    assert flags(Spike(1.0, 3.0), []) == []
    assert flags(Spike(1.0, 3.0), [0.0, NAN, 9.0, 0.0]) == [2, 9, 2, 2]


def test_a_spike_test_of_threshold_zero_is_a_test():
    assert flags(Spike(0.0, 0.0), [0.0, 1e-9, 0.0, 0.0]) == [2, 4, 4, 2]


def test_rate_of_change_is_not_evaluated_first_after_missing_and_after_a_gap():
    test = RateOfChange(1.0)
    assert flags(test, [0.0, NAN, 1e6, 1e6], [0, 1000, 2000, 3000]) == [2, 9, 2, 1]
    assert flags(test, [0.0, 1e6], [0, 3_600_001]) == [2, 2]
    assert flags(test, [0.0, 3601.0], [0, 3_600_000]) == [2, 3]


def test_rate_of_change_does_not_round_seconds():
    # 0.5 in 0.4 s is 1.25 a second; ioos_qc 3.0.0 truncates dt to whole seconds.
    assert flags(RateOfChange(1.0), [0.0, 0.5, 0.6], [0, 400, 800]) == [2, 3, 1]
    assert flags(RateOfChange(0.0), [0.0, 0.0, 1e-12], [0, 1, 2]) == [2, 1, 3]


def test_a_flat_line_needs_three_readings_and_the_time():
    test = FlatLine(120.0, 240.0)
    assert flags(test, [5.0] * 6) == [1, 1, 3, 3, 4, 4]
    assert flags(test, [5.0, 5.0], [0, 3_600_000]) == [1, 1]
    assert flags(test, [5.0, 5.0, 5.0, 5.1, 5.1]) == [1, 1, 3, 1, 1]
    assert flags(test, [5.0, 5.0, NAN, 5.0, 5.0]) == [1, 1, 9, 1, 1]


def test_duplicates_do_not_make_a_line_flat():
    fleet = Fleet.compile([Profile((FlatLine(60.0),))], [0])
    readings = Readings.of(0, [0, 0, 0, MINUTE, MINUTE], [5.0] * 5)
    outcome = fleet.step(fleet.empty_state(), readings)
    assert outcome.flag.tolist() == [1] * 5
    assert outcome.duplicate.tolist() == [False, True, True, False, True]


def test_a_conflict_is_suspect_and_does_not_decide():
    fleet = Fleet.compile([Profile((GrossRange((0.0, 9.0)),))], [0])
    state = fleet.step(fleet.empty_state(), Readings.of(0, [0, 60], [1.0, 1.0])).state
    outcome = fleet.step(state, Readings.of(0, [0, 0, 60], [2.0, 1.0, NAN]))
    assert outcome.conflict.tolist() == [True, False, True]
    assert outcome.duplicate.tolist() == [False, True, False]
    assert outcome.flag.tolist() == [3, 1, 9]
    assert outcome.evaluated[0] == Test.GROSS_RANGE | Test.CONFLICT
    assert not len(outcome.touched)


def test_a_late_reading_beyond_the_bound_gets_the_tests_that_need_no_neighbour():
    fleet = Fleet.compile([Profile((GrossRange((0.0, 9.0)), Spike(1.0, 2.0)))], [0])
    state = fleet.step(fleet.empty_state(), Readings.of(0, [900_001], [1.0])).state
    outcome = fleet.step(state, Readings.of(0, [0, 1], [99.0, 1.0]))
    assert outcome.late.tolist() == [True, False]
    assert outcome.flag.tolist() == [4, 1]


def test_the_aggregate_ranks_fail_suspect_good_unevaluated_missing():
    a = np.array([4, 3, 1, 2, 9, 9], np.uint8)
    b = np.array([1, 4, 2, 9, 1, 9], np.uint8)
    ours = aggregate(a, b)
    assert ours.tolist() == [4, 4, 1, 2, 1, 9]
    assert ours.tolist() == qartod.qartod_compare([a, b]).tolist()
    assert aggregate(a).tolist() == a.tolist()


# --- where ioos_qc agrees with QARTOD it must be matched exactly -------------------------------


@pytest.fixture(scope="module")
def rough():
    rng = np.random.default_rng(7)
    x = np.round(np.cumsum(rng.normal(0, 0.3, 400)), 1)
    x[rng.random(400) < 0.03] = np.nan
    x[rng.random(400) < 0.03] += 8.0
    x[100:140] = x[99] if np.isfinite(x[99]) else 1.0
    return x


def test_gross_range_equals_ioos_qc(rough):
    theirs = qartod.gross_range_test(rough, fail_span=(-4, 6), suspect_span=(-2, 3))
    assert flags(GrossRange((-4, 6), (-2, 3)), rough) == theirs.tolist()


def test_spike_equals_ioos_qc(rough):
    theirs = qartod.spike_test(rough, suspect_threshold=0.5, fail_threshold=2.0).tolist()
    assert flags(Spike(0.5, 2.0), rough) == theirs


def test_flat_line_equals_ioos_qc_at_regular_spacing(rough):
    whole = np.where(np.isnan(rough), 0.05, rough)
    times = np.arange(len(whole)) * np.timedelta64(60, "s") + np.datetime64("2026-01-01")
    theirs = qartod.flat_line_test(
        whole, times, suspect_threshold=300, fail_threshold=900, tolerance=0.01
    )
    assert flags(FlatLine(300.0, 900.0, 0.01), whole) == theirs.tolist()


def test_rate_of_change_equals_ioos_qc_but_at_the_first_and_after_a_missing_one(rough):
    times = np.arange(len(rough)) * np.timedelta64(60, "s") + np.datetime64("2026-01-01")
    theirs = qartod.rate_of_change_test(rough, times, threshold=0.01)
    ours = flags(RateOfChange(0.01), rough)
    differ = [k for k in range(len(rough)) if ours[k] != theirs[k]]
    expected = [0, *(k for k in range(1, len(rough)) if np.isnan(rough[k - 1]))]
    assert all(ours[k] == Flag.NOT_EVALUATED or np.isnan(rough[k]) for k in expected)
    assert set(differ) <= set(expected)
