"""Windows over irregular series: equal to a loop, and to themselves however the series is cut."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.drift import DAY_MS, Drift, daily_medians, drifted_days, flags_of_days
from detectors.errors import ParameterError
from detectors.flags import Test
from detectors.hourly import (
    Attenuated,
    StepAgainstScatter,
    attenuated,
    hourly_flags,
    look_back_s,
    plateau_flags,
    plateaus,
    step_against_scatter,
)
from detectors.quality import FlatLine
from detectors.windows import extremes, scatter, window_begin

NAN = math.nan
MINUTE = 60_000


@st.composite
def series(draw, most=60):
    """Ascending times and values: pauses, missing ones, equal ones."""
    steps = draw(st.lists(st.sampled_from([1, 1, 2, 5, 60, 700]), max_size=most))
    values = st.sampled_from([0.0, 0.0, 0.01, 1.0, 25.3, -7.0, NAN, math.inf])
    value = draw(st.lists(values, min_size=len(steps), max_size=len(steps)))
    return MINUTE * np.cumsum(np.array(steps, np.int64)), np.array(value, np.float64)


@given(series(), st.data())
def test_windows_equal_a_loop(rows, data):
    _, value = rows
    n = len(value)
    place = st.integers(0, max(n - 1, 0))
    pairs = data.draw(st.lists(st.tuples(place, place), max_size=9 if n else 0))
    begin = np.array([min(pair) for pair in pairs], np.int64)
    last = np.array([max(pair) for pair in pairs], np.int64)
    count, low, high = extremes(value, begin, last)
    counted, sd = scatter(value, begin, last)
    assert count.tolist() == counted.tolist()
    for k, (a, b) in enumerate(zip(begin, last, strict=True)):
        inside = [x for x in value[a : b + 1].tolist() if math.isfinite(x)]
        assert count[k] == len(inside)
        assert low[k] == min(inside, default=math.inf)
        assert high[k] == max(inside, default=-math.inf)
        if len(inside) > 1:
            assert sd[k] == pytest.approx(np.std(inside, ddof=1), rel=1e-12, abs=1e-300)
        if len(set(inside)) <= 1:
            assert sd[k] == 0.0


TESTS = (
    (attenuated, Attenuated(0.5, 0.005, 600.0)),
    (step_against_scatter, StepAgainstScatter(2.0, 900.0, 0.1)),
    (plateaus, FlatLine(300.0, 1200.0)),
    (plateaus, FlatLine(300.0, None, 0.5)),
)


@given(series(), st.integers(0, 60), st.sampled_from(TESTS))
def test_a_verdict_does_not_depend_on_where_the_series_begins(rows, first, what):
    """As long as a reading at or before the window of the reading before is there."""
    test, rule = what
    time_ms, value = rows
    every = np.arange(len(value))
    whole = test(rule, time_ms, value, every)
    first = min(first, len(value))
    edge_ms = (time_ms[max(first - 1, 0)] if len(value) else 0) - 1000 * look_back_s(rule)
    cut = max(int(np.searchsorted(time_ms, edge_ms, side="right")) - 1, 0)
    part = test(rule, time_ms[cut:], value[cut:], every[first:] - cut)
    assert part.tolist() == whole[first:].tolist()


@given(series(), st.sampled_from([FlatLine(300.0, 1200.0), FlatLine(300.0, None, 0.5)]))
def test_plateaus_equal_a_loop(rows, rule):
    time_ms, value = rows
    expected = [1] * len(value)
    limits = [(rule.suspect_s, 3)] + ([(rule.fail_s, 4)] if rule.fail_s else [])
    for window_s, verdict in limits:
        for at in range(len(value)):
            inside = [k for k in range(at + 1) if time_ms[k] >= time_ms[at] - 1000 * window_s]
            first = inside[0]
            full = first > 0 or time_ms[first] == time_ms[at] - 1000 * window_s
            found = value[inside]
            if full and len(inside) >= 3 and np.isfinite(found).all():
                span = found.max() - found.min()
                if span < rule.tolerance or span == 0.0:
                    for k in inside:
                        expected[k] = verdict
    expected = [9 if math.isnan(x) else flag for x, flag in zip(value, expected, strict=True)]
    assert plateaus(rule, time_ms, value, np.arange(len(value))).tolist() == expected


def test_huge_values_overflow_into_no_verdict():
    value = np.array([1e200, -1e200, 1e200, 1e300])
    flags = step_against_scatter(
        StepAgainstScatter(window_s=120.0), MINUTE * np.arange(4), value, np.arange(4)
    )
    assert flags.tolist() == [2, 2, 2, 1]


def test_window_of_a_reading_begins_with_the_first_within_it():
    time_ms = MINUTE * np.array([0, 1, 5, 6, 7])
    begin, full = window_begin(time_ms, np.arange(5), 120.0)
    assert begin.tolist() == [0, 0, 2, 2, 2]
    assert full.tolist() == [False, False, True, True, True]


def test_hourly_tests_are_joined_with_what_was_evaluated():
    time_ms, value = MINUTE * np.arange(6), np.array([0.0, 0.0, 0.0, 0.0, NAN, 9.0])
    flat, still = FlatLine(120.0, None, 0.1), Attenuated(0.5, 0.1, 120.0)
    rules = [still, StepAgainstScatter(window_s=60.0), flat]
    flag, evaluated = hourly_flags(rules, time_ms, value, np.arange(6))
    assert flag.tolist() == [1, 1, 4, 4, 9, 1]
    both = Test.FLAT_LINE | Test.ATTENUATED
    assert evaluated.tolist() == [16, 16, both, both, 0, 16]
    none, mask = hourly_flags([FlatLine(60.0)], time_ms, value, np.arange(6))
    assert (none.tolist(), mask.any()) == ([2, 2, 2, 2, 9, 2], False)  # judged in real time
    flag, evaluated = plateau_flags([*rules, FlatLine(120.0)], time_ms, value, np.arange(6))
    assert flag.tolist() == [3, 3, 3, 3, 9, 1]
    assert evaluated.tolist() == [16, 16, 16, 16, 0, 16]


def test_days_have_medians_once_they_are_over():
    time_ms = np.arange(60) * DAY_MS // 24 + 5 * DAY_MS
    value = np.arange(60.0)
    value[30:48] = NAN
    assert daily_medians(time_ms, value, 5, 4).tolist()[:2] == [11.5, 26.5]
    assert np.isnan(daily_medians(time_ms, value, 5, 4)[2:]).all()
    assert np.isnan(daily_medians(time_ms[:48], value[:48], 5, 2)).tolist() == [False, True]
    assert daily_medians(time_ms[:0], value[:0], 5, 0).tolist() == []


def judged(rule, own, *others):
    length = len(own)
    neighbours = np.array(others, float).reshape(len(others), length)
    return drifted_days(rule, np.array(own, float), neighbours)


def test_drift_is_what_the_neighbours_do_not_do():
    rule = Drift(1.0, days=4.0)
    weather = [10.0, 14.0, 9.0, 12.0, 16.0, 8.0, 13.0]
    drifting = [w + d for w, d in zip(weather, [0, 0, 0, 0.5, 1.0, 1.5, 2.0], strict=True)]
    other, third = [w - 2.0 for w in weather], [w + 1.0 for w in weather]
    assert judged(rule, drifting, other, third).tolist() == [2, 2, 1, 1, 1, 3, 3]
    assert judged(rule, other, drifting, third)[2:].tolist() == [1, 1, 1, 1, 1]
    assert judged(rule, drifting, other).tolist() == [2] * 7  # one neighbour: which of the two?
    assert judged(Drift(1.0, 20.0, days=4.0), drifting, other)[2:].tolist() == [1] * 5
    stepped = [w + (0.0 if day < 4 else 5.0) for day, w in enumerate(weather)]
    assert judged(rule, stepped, other, third).tolist() == [2, 2, 1, 1, 2, 2, 1]


def test_drift_with_missing_days_and_without_any():
    rule = Drift(1.0, 1.0, days=4.0)
    assert judged(rule, [0.0, NAN, 0.0, NAN, 0.8, 1.6]).tolist() == [2, 2, 2, 2, 1, 3]
    assert judged(rule, [NAN] * 3).tolist() == [2, 2, 2]
    assert judged(rule, []).tolist() == []


def test_readings_get_the_flags_of_their_days():
    time_ms = np.array([0, 1, 2, 3, 4]) * DAY_MS
    value = np.array([1.0, 1.0, 1.0, NAN, 1.0])
    flags = flags_of_days(np.array([1, 3, 3], np.uint8), 1, time_ms, value)
    assert flags.tolist() == [2, 1, 3, 9, 2]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"limit": 0.0}, "limit"), ({"limit": 1.0, "limit_alone": 0.5}, "limit_alone"),
     ({"limit": 1.0, "days": 3.0}, "days"), ({"limit": 1.0, "days": 4.5}, "days")],
)  # fmt: skip
def test_drift_refuses_what_cannot_be(wrong, field):
    with pytest.raises(ParameterError, match=field):
        Drift(**wrong)
