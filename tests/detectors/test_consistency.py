"""Rules over several sensors of a place: vectors, plain-loop twins, and the order of arrival."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.consistency import (
    ContactLadder,
    Neighbours,
    Rung,
    Stuck,
    ladder_suspect,
    lonely_wet,
    stuck,
)
from detectors.errors import ParameterError
from detectors.nearness import near_pairs
from detectors.sensor_series import SensorSeries

MINUTE = 60_000


def series(points, holds_min=10.0):
    """Build a series from {minute: value}."""
    return SensorSeries(
        np.array([round(m * MINUTE) for m in points], np.int64),
        np.array(list(points.values()), np.float64),
        round(holds_min * MINUTE),
    )


def every(minutes, value, step=1):
    return dict.fromkeys(range(0, minutes + 1, step), value)


# Plain loops: what each rule says, reading by reading.


def newest(c, t):
    """Row that speaks for a time; None: the sensor is silent."""
    rows = [i for i, time in enumerate(c.time_ms) if time <= t]
    return rows[-1] if rows and t - c.time_ms[rows[-1]] <= c.holds_ms else None


def held_since(c, row, holds):
    """Walk back from a row while the condition holds and the sensor is not silent."""
    if not holds(c.value[row]):
        return None
    while row and holds(c.value[row - 1]) and c.time_ms[row] - c.time_ms[row - 1] <= c.holds_ms:
        row -= 1
    return c.time_ms[row]


def loop_lonely(rule, own, lower):
    verdict = []
    for t, value in zip(own.time_ms, own.value, strict=True):
        dry = 0
        for other in lower:
            row = newest(other, t)
            begun = None if row is None else held_since(other, row, lambda v: v <= rule.dry_m)
            dry += begun is not None and t - begun >= rule.for_s * 1000
        verdict.append(bool(value >= rule.wet_m and dry >= rule.dry_neighbours))
    return verdict


def inverted_at(t, own, other):
    rows = newest(own.series, t), newest(other.series, t)
    if None in rows:
        return False
    values = own.series.value[rows[0]], other.series.value[rows[1]]
    pairs = ((own, other, *values), (other, own, *values[::-1]))
    return not any(math.isnan(v) for v in values) and any(
        low < high and va >= high - 1e-6 and vb < low - 1e-6
        for a, b, va, vb in pairs
        for high in a.contacts_m
        for low in b.contacts_m
    )


def loop_ladder(heartbeat_s, own, other):
    # Times at which anything can change: readings, and right after one went stale, which is before
    # the next one even if that comes a millisecond later.
    moments = sorted(
        {int(t) for r in (own, other) for t in r.series.time_ms}
        | {int(t) + r.series.holds_ms + 0.5 for r in (own, other) for t in r.series.time_ms}
    )
    verdict = []
    for t in own.series.time_ms.tolist():
        begun = None
        for at in [m for m in moments if m <= t]:
            if not inverted_at(at, own, other):
                begun = None
            elif begun is None:
                begun = at
        verdict.append(begun is not None and t - begun > heartbeat_s * 1000)
    return verdict


def loop_stuck(rule, own, near, above):
    flat_ms = rule.flat_s * 1000
    verdict = []
    for i, (t, value) in enumerate(zip(own.time_ms, own.value, strict=True)):
        j = i
        while (
            j and own.value[j - 1] == value and own.time_ms[j] - own.time_ms[j - 1] <= own.holds_ms
        ):
            j -= 1
        flat = not math.isnan(value) and t - own.time_ms[j] >= flat_ms and i - j >= 2
        counted = moving = 0
        for other, higher in zip(near, above, strict=True):
            if value <= rule.dry_m and not higher:
                continue
            counted += 1
            seen = [
                v for at, v in zip(other.time_ms, other.value, strict=True)
                if t - flat_ms <= at <= t and not math.isnan(v)
            ]  # fmt: skip
            moving += bool(seen) and max(seen) - min(seen) >= rule.moved_m
        enough = counted and moving >= min(rule.moving_neighbours, counted)
        verdict.append(bool(flat and enough))
    return verdict


LADDER_10 = (0.1,)
LADDER_20 = (0.2,)


def test_a_ladder_that_contradicts_itself_is_suspect_after_one_heartbeat():
    low = Rung(series(every(30, 0.0)), LADDER_10)
    high = Rung(series(every(9, 0.0) | dict.fromkeys(range(10, 31), 0.2)), LADDER_20)
    verdict = ladder_suspect(600.0, high, low)
    assert np.flatnonzero(verdict).tolist() == list(range(21, 31))  # 600 s are still honest
    assert ladder_suspect(600.0, low, high).tolist() == verdict.tolist()  # either may be right


def test_a_ladder_that_rises_from_below_or_is_silent_below_is_no_contradiction():
    wet = Rung(series(every(30, 0.2)), LADDER_20)
    for low in (every(30, 0.1), every(30, math.nan), {0: 0.0}, {}):
        assert not ladder_suspect(600.0, wet, Rung(series(low), LADDER_10)).any()
        assert not ladder_suspect(600.0, Rung(series(low), LADDER_10), wet).any()
    # One that only knows 20 cm says nothing about 10 cm.
    assert not ladder_suspect(
        0.0, Rung(series(every(30, 0.1)), LADDER_10), Rung(series(every(30, 0.0)), LADDER_20)
    ).any()


def test_a_silence_begins_the_contradiction_anew():
    low = Rung(series({0: 0.0, 5: 0.0, 16: 0.0, 20: 0.0, 26.1: 0.0}), LADDER_10)
    high = Rung(series(every(30, 0.2)), LADDER_20)
    # Silent from minute 15 to 16: what it was in between nobody knows.
    assert ladder_suspect(600.0, low, high).tolist() == [False, False, False, False, True]


def test_a_wet_sensor_is_doubted_when_two_lower_ones_have_long_been_dry():
    wet = series(every(20, 0.3))
    dry = series(every(20, 0.0))
    assert np.flatnonzero(lonely_wet(Neighbours(), wet, [dry, dry])).tolist() == list(range(15, 21))
    assert not lonely_wet(Neighbours(), wet, [dry]).any()
    assert not lonely_wet(Neighbours(), wet, []).any()
    assert lonely_wet(Neighbours(dry_neighbours=1), wet, [dry]).any()
    shower = series(every(9, 0.0) | {10: 0.03} | dict.fromkeys(range(11, 21), 0.0))
    assert not lonely_wet(Neighbours(), wet, [dry, shower]).any()
    assert not lonely_wet(Neighbours(), dry, [dry, dry]).any()


def test_a_silent_or_failing_neighbour_is_no_witness():
    wet = series(every(40, 0.3))
    dry = series(every(40, 0.0))
    silent = series(every(20, 0.0), holds_min=6.5)
    verdict = lonely_wet(Neighbours(), wet, [dry, silent])
    assert np.flatnonzero(verdict).tolist() == list(range(15, 27))
    assert not lonely_wet(Neighbours(), wet, [dry, series(every(40, math.nan))]).any()


def test_a_flat_sensor_is_stuck_only_if_its_neighbours_move():
    rule = Stuck(flat_s=7200.0)
    flat = series(every(240, 0.21))
    calm = series(every(240, 0.1))
    rising = series({m: 0.01 * m for m in range(241)})
    verdict = stuck(rule, flat, [rising, rising, calm], [False] * 3)
    assert np.flatnonzero(verdict).tolist() == list(range(120, 241))
    assert not stuck(rule, flat, [rising, calm], [False] * 2).any()
    assert stuck(rule, flat, [rising], [False]).any()  # of one neighbour, all move
    assert not stuck(rule, flat, [], []).any()
    assert not stuck(rule, rising, [rising, rising], [True] * 2).any()
    assert not stuck(Stuck(flat_s=14_401.0), flat, [rising] * 2, [True] * 2).any()


def test_a_dry_street_beside_a_flooded_one_stands_still_honestly():
    rule = Stuck(flat_s=7200.0)
    dry, rising = series(every(240, 0.0)), series({m: 0.01 * m for m in range(241)})
    assert not stuck(rule, dry, [rising, rising], [False, False]).any()
    assert stuck(rule, dry, [rising, rising], [True, True]).any()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ContactLadder(heartbeat_s=0.0), "heartbeat_s"),
        (lambda: ContactLadder(contacts_m=()), "contacts_m"),
        (lambda: ContactLadder(contacts_m=(0.2, 0.1)), "contacts_m"),
        (lambda: ContactLadder(contacts_m=(0.0,)), "contacts_m"),
        (lambda: Neighbours(dry_neighbours=0), "dry_neighbours"),
        (lambda: Neighbours(wet_m=0.01), "wet_m"),
        (lambda: Neighbours(within_m=-1.0), "within_m"),
        (lambda: Stuck(flat_s=3600.0), "flat_s"),
        (lambda: Stuck(within_m=501.0), "within_m"),
        (lambda: Stuck(moved_m=math.nan), "moved_m"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_field(make, field):
    with pytest.raises(ParameterError, match=field):
        make()


def test_near_pairs_are_those_within_the_distance_in_metres():
    lat = np.array([38.9, 38.9, 38.902, math.nan, 38.9])
    lon = np.array([139.8, 139.802, 139.8, 139.8, 139.8])
    owner, other, distance = near_pairs(lat, lon, 250.0)
    found = dict(zip(zip(owner.tolist(), other.tolist(), strict=True), distance, strict=True))
    # 0.002 degrees are 222.4 m of latitude, and 173.1 m of longitude at 38.9 degrees north.
    assert set(found) == {(0, 1), (1, 0), (0, 2), (2, 0), (0, 4), (4, 0), (1, 4), (4, 1),
                          (2, 4), (4, 2)}  # fmt: skip
    assert found[0, 2] == pytest.approx(222.4, abs=0.1)
    assert found[0, 1] == pytest.approx(173.1, abs=0.1)
    assert found[0, 4] == 0.0
    assert len(near_pairs(lat[:1], lon[:1], 250.0)[0]) == 0
    assert len(near_pairs(lat[[0, 2]], lon[[0, 2]], 222.0)[0]) == 0


@st.composite
def drawn_series(draw, unit=MINUTE, levels=(0.0, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, math.nan)):
    n = draw(st.integers(0, 25))
    step = st.sampled_from((1, unit // 2, unit, 7 * unit, 7 * unit + 1, 40 * unit))
    steps = draw(st.lists(step, min_size=n, max_size=n))
    values = draw(st.lists(st.sampled_from(levels), min_size=n, max_size=n))
    start = draw(st.integers(0, 20)) * unit // 2
    return SensorSeries(
        start + np.cumsum(np.array(steps, np.int64)), np.array(values, np.float64), 7 * unit
    )


CONTACTS = st.sampled_from(((0.1,), (0.2,), (0.3,), (0.1, 0.2, 0.3), (0.2, 0.3)))


@given(drawn_series(), drawn_series(), CONTACTS, CONTACTS, st.sampled_from((30.0, 60.0, 600.0)))
def test_the_ladder_says_what_a_plain_loop_says(own, other, contacts, contacts2, heartbeat_s):
    rungs = Rung(own, contacts), Rung(other, contacts2)
    assert ladder_suspect(heartbeat_s, *rungs).tolist() == loop_ladder(heartbeat_s, *rungs)


@given(
    drawn_series(),
    st.lists(drawn_series(), max_size=4),
    st.integers(1, 3),
    st.sampled_from((0.0, 60.0, 900.0)),
)
def test_lonely_wet_says_what_a_plain_loop_says(own, lower, dry, for_s):
    rule = Neighbours(dry_neighbours=dry, for_s=for_s)
    assert lonely_wet(rule, own, lower).tolist() == loop_lonely(rule, own, lower)


@given(
    drawn_series(20 * MINUTE, (0.0, 0.1, 0.1, 0.1, 0.1, math.nan)),
    st.lists(st.tuples(drawn_series(20 * MINUTE), st.booleans()), max_size=4),
    st.sampled_from((7200.0, 20_000.0)),
)
def test_stuck_says_what_a_plain_loop_says(own, near, flat_s):
    rule = Stuck(flat_s=flat_s)
    others, above = [c for c, _ in near], [a for _, a in near]
    assert stuck(rule, own, others, above).tolist() == loop_stuck(rule, own, others, above)


@given(drawn_series(), drawn_series(), st.integers(0, 25))
def test_what_is_said_of_a_reading_looks_at_no_later_one(own, other, keep):
    cut = SensorSeries(own.time_ms[:keep], own.value[:keep], own.holds_ms)
    limit = cut.time_ms[-1] if len(cut.time_ms) else 0
    seen = other.time_ms <= limit
    cut_other = SensorSeries(other.time_ms[seen], other.value[seen], other.holds_ms)
    rule = Neighbours(dry_neighbours=1, for_s=60.0)
    assert (lonely_wet(rule, own, [other])[:keep] == lonely_wet(rule, cut, [cut_other])).all()
    whole = ladder_suspect(60.0, Rung(own, LADDER_20), Rung(other, LADDER_10))[:keep]
    part = ladder_suspect(60.0, Rung(cut, LADDER_20), Rung(cut_other, LADDER_10))
    assert (whole == part).all()
