"""Whole fleets at once: each sensor is a case, so that thousands are cheap, beside one another.

The other properties follow one or three sensors beside the plain loops. Here dozens with several
profiles go through the same batches, large enough for the ways that only many sensors take.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.arrays import CONTEXT_ROWS
from detectors.fleet import Fleet
from detectors.readings import Readings
from tests.detectors.ledger import Ledger, same_floats
from tests.detectors.series import START, STEPS, VALUES, profiles

SENSORS = 64
# Each example holds SENSORS cases.
FEWER = settings(max_examples=max(20, settings.default.max_examples // 40))
ODD = (np.nan, np.nan, np.inf, -np.inf, 1e6)


@st.composite
def fleets(draw):
    """(fleet, readings in order of time, generator) of many sensors with a few profiles."""
    kinds = draw(st.lists(profiles(), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = rng.integers(0, 70, SENSORS)
    sensor = np.repeat(np.arange(SENSORS), count)
    n = len(sensor)
    # Each sensor is steady or restless in its times, and in its values dry, noisy or rising.
    restless = (rng.random(SENSORS) < 0.5)[sensor]
    step = np.where(restless, rng.choice(STEPS, n), 60_000 + rng.choice((0, 0, 1, 500), n))
    time = START + np.cumsum(step)
    way = rng.integers(0, 3, SENSORS)[sensor]
    water = rng.choice((-0.02, 0.0, 0.0, 0.01, 0.05, 0.3), n).cumsum() % 1.5
    value = np.choose(way, (rng.choice(VALUES, n), rng.normal(0.1, 0.05, n), water))
    value = np.where(rng.random(n) < 0.03, rng.choice(ODD, n), value)
    fleet = Fleet.compile(kinds, rng.integers(0, len(kinds), SENSORS))
    # Times were counted on through all sensors: let them all begin together.
    first = np.zeros(SENSORS, np.int64)
    first[sensor[::-1]] = time[::-1]
    time = time - first[sensor] + START
    order = np.argsort(time, kind="stable")
    return fleet, Readings.of(sensor[order], time[order], value[order]), rng


def at_random(rng, readings, most=7):
    """Cut into up to `most` batches, each shuffled."""
    places = np.sort(rng.integers(0, len(readings) + 1, rng.integers(0, most)))
    return [
        readings.take(rng.permutation(part)) for part in np.split(np.arange(len(readings)), places)
    ]


def restarted(fleet, state, known, rng):
    """Dump some sensors, or all, and load them from what storage holds."""
    if rng.random() < 0.5:
        return state
    newest = np.zeros(len(known), bool)
    order = np.lexsort((known.time_ms, known.sensor))
    behind = np.searchsorted(known.sensor[order], known.sensor[order], "right") - np.arange(
        len(order)
    )
    newest[order] = behind <= CONTEXT_ROWS
    every = np.arange(SENSORS)
    return fleet.load_state(every, state.dumps(every), known.take(newest))


def run(fleet, batches, rng=None):
    ledger, state, known = Ledger(), fleet.empty_state(), Readings.none()
    for batch in batches:
        if rng is not None:
            state = restarted(fleet, state, known, rng)
        outcome = fleet.step(state, batch)
        ledger.take(batch, outcome)
        state = outcome.state
        kept = batch.take(~(outcome.late | outcome.duplicate | outcome.conflict))
        known = both(known, kept)
    return ledger, state.dumps(np.arange(SENSORS)), known


def both(one, other):
    return Readings(
        np.concatenate([one.sensor, other.sensor]),
        np.concatenate([one.time_ms, other.time_ms]),
        np.concatenate([one.value, other.value]),
    )


def assert_equal(one, other, *, rates=True):
    (mine, my_dumps, _), (theirs, their_dumps, _) = one, other
    assert mine.flags == theirs.flags
    assert mine.moves == theirs.moves
    assert my_dumps == their_dumps
    if rates:
        assert same_floats([mine.rates[key] for key in sorted(mine.rates)],
                           [theirs.rates[key] for key in sorted(theirs.rates)])  # fmt: skip


@FEWER
@given(fleets())
def test_cuts_shuffles_and_restarts_change_no_bit(drawn):
    fleet, readings, rng = drawn
    whole = run(fleet, [readings.take(rng.permutation(len(readings)))])
    assert_equal(run(fleet, at_random(rng, readings), rng), whole)


@FEWER
@given(fleets())
def test_duplicates_in_any_batch_change_no_bit(drawn):
    fleet, readings, rng = drawn
    whole = run(fleet, [readings])
    batches, sent = [], Readings.none()
    for batch in at_random(rng, readings):
        sent = both(sent, batch)
        # Whatever was sent comes again, while it is not too old to be known.
        again = np.flatnonzero(rng.random(len(sent)) < 0.1)
        newest = np.full(SENSORS, np.iinfo(np.int64).min)
        np.maximum.at(newest, sent.sensor, sent.time_ms)
        later = [
            np.count_nonzero((sent.sensor == sent.sensor[i]) & (sent.time_ms > sent.time_ms[i]))
            for i in again
        ]
        again = again[np.array(later, int) < 16]
        mixed = both(batch, sent.take(again))
        batches.append(mixed.take(rng.permutation(len(mixed))))
    assert_equal(run(fleet, batches, rng), whole)


@FEWER
@given(fleets())
def test_late_arrival_ends_in_the_same_ledger_as_order(drawn):
    fleet, readings, rng = drawn
    n = len(readings)
    place = np.zeros(n)
    for sensor in range(SENSORS):
        own = np.flatnonzero(readings.sensor == sensor)
        place[own] = own
        moved = own[rng.random(len(own)) < 0.3]
        # Up to fifteen of its own readings overtake it.
        at = np.searchsorted(own, moved)
        place[moved] = own[np.minimum(at + rng.integers(0, 16, len(moved)), len(own) - 1)] + 0.5
    arrival = readings.take(np.argsort(place, kind="stable"))
    places = np.sort(rng.integers(0, n + 1, 6))
    late = run(fleet, [arrival.take(p) for p in np.split(np.arange(n), places)], rng)
    known = late[2]
    in_order = known.take(np.lexsort((known.time_ms, known.sensor)))
    assert_equal(late, run(fleet, [in_order]), rates=False)
