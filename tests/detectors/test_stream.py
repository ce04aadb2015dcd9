"""The streaming core against the plain loops, however the data were cut, shuffled or delayed."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.arrays import CONTEXT_ROWS
from detectors.fleet import Fleet
from detectors.readings import Readings
from tests.detectors.ledger import Ledger, same_floats
from tests.detectors.series import cuts, profiles, ramps, series
from tests.detectors.twin import tell

# What the whole system rests on is tried more often than the other properties.
MORE = settings(max_examples=max(200, settings.default.max_examples))


def join(parts):
    """[(times, values)] of sensors 0, 1, ... as readings in order of time."""
    sensor = np.concatenate([np.full(len(t), s) for s, (t, _) in enumerate(parts)])
    time = np.concatenate([np.array(t, np.int64) for t, _ in parts])
    value = np.concatenate([np.array(v, float) for _, v in parts])
    order = np.lexsort((sensor, time))
    return Readings.of(sensor[order], time[order], value[order])


def check_against_twin(profiles_of, parts, ledger, *, rates=True):
    for s, (times, values) in enumerate(parts):
        twin = tell(profiles_of[s], times, values)
        assert ledger.series(s) == times
        flags = [ledger.flags[s, t] for t in times]
        assert flags == list(zip(twin.flag, twin.evaluated, strict=True))
        moves = sorted((m[1], m[2], m[3], m[4], m[6]) for m in ledger.moves if m[0] == s)
        assert moves == sorted((r, t, a, b, u) for r, t, a, b, _, u in twin.moves)
        if rates:
            assert same_floats([ledger.rates[s, t] for t in times], twin.rate)


def run(fleet, batches, state=None):
    ledger = Ledger()
    state = state or fleet.empty_state()
    for batch in batches:
        outcome = fleet.step(state, batch)
        ledger.take(batch, outcome)
        state = outcome.state
    return ledger, state


def cut(readings, places):
    edges = [0, *places, len(readings)]
    return [readings.take(np.arange(a, b)) for a, b in pairwise(edges)]


@MORE
@given(st.data())
def test_any_cut_and_any_order_within_a_batch_equal_the_plain_loops(data):
    kinds = data.draw(st.lists(profiles(), min_size=1, max_size=2))
    parts = [data.draw(series(40) | ramps(40)) for _ in range(data.draw(st.integers(1, 3)))]
    of = [data.draw(st.integers(0, len(kinds) - 1)) for _ in parts]
    fleet = Fleet.compile(kinds, of)
    readings = join(parts)
    batches = cut(readings, data.draw(cuts(len(readings))))
    seed = data.draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    batches = [batch.take(rng.permutation(len(batch))) for batch in batches]
    ledger, state = run(fleet, batches)
    check_against_twin([kinds[k] for k in of], parts, ledger)
    assert ledger.withdrawn == 0
    _, whole = run(fleet, [readings])
    assert state.dumps(np.arange(len(parts))) == whole.dumps(np.arange(len(parts)))


@given(st.data())
def test_one_long_series_in_one_batch_equals_reading_by_reading(data):
    profile = data.draw(profiles())
    times, values = data.draw(series(90) | ramps(90))
    fleet = Fleet.compile([profile], [0])
    readings = join([(times, values)])
    one, state_one = run(fleet, [readings])
    many, state_many = run(fleet, cut(readings, range(1, len(readings))))
    assert (one.flags, one.moves) == (many.flags, many.moves)
    assert same_floats(list(one.rates.values()), list(many.rates.values()))
    assert state_one.dump(0) == state_many.dump(0)


@MORE
@given(st.data())
def test_arrival_in_any_order_within_the_bound_ends_in_the_same_ledger(data):
    profile = data.draw(profiles())
    times, values = data.draw(series(60) | ramps(60))
    fleet = Fleet.compile([profile], [0])
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    # Each reading is delayed by up to the bound, and by fewer places than the ring has to spare.
    # The first ones may have nothing before them that has left the ring.
    delay = rng.uniform(0, profile.lateness_s * 1000, len(times)) * (rng.random(len(times)) < 0.3)
    place = np.arange(len(times)) + rng.integers(0, 16, len(times)) * (delay > 0)
    arrival = []
    for i in np.lexsort((np.arange(len(times)), place)):
        newest = max((times[j] for j in arrival), default=times[i])
        if times[i] >= newest - profile.lateness_s * 1000:
            arrival.append(int(i))
    kept = sorted(arrival)
    readings = Readings.of(0, [times[i] for i in arrival], [values[i] for i in arrival])
    ledger, state = run(fleet, cut(readings, data.draw(cuts(len(readings)))))
    parts = [([times[i] for i in kept], [values[i] for i in kept])]
    check_against_twin([profile], parts, ledger, rates=False)
    _, in_order = run(fleet, [join(parts)])
    assert state.dump(0) == in_order.dump(0)


@MORE
@given(st.data())
def test_duplicates_change_nothing(data):
    profile = data.draw(profiles())
    times, values = data.draw(series(60) | ramps(60))
    fleet = Fleet.compile([profile], [0])
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    rows = list(range(len(times)))
    for i in range(len(times)):
        if rng.random() < 0.4:
            rows.insert(min(len(rows), rows.index(i) + 1 + int(rng.integers(0, 14))), i)
    readings = Readings.of(0, [times[i] for i in rows], [values[i] for i in rows])
    ledger, state = run(fleet, cut(readings, data.draw(cuts(len(readings)))))
    check_against_twin([profile], [(times, values)], ledger)
    _, plain = run(fleet, [join([(times, values)])])
    assert state.dump(0) == plain.dump(0)


@MORE
@given(st.data())
def test_a_restart_anywhere_changes_nothing(data):
    profile = data.draw(profiles())
    times, values = data.draw(series(90) | ramps(90))
    fleet = Fleet.compile([profile], [0])
    readings = join([(times, values)])
    batches = cut(readings, data.draw(cuts(len(readings))))
    ledger, state, seen = Ledger(), fleet.empty_state(), 0
    for batch in batches:
        context = readings.take(np.arange(max(0, seen - CONTEXT_ROWS), seen))
        state = fleet.load_state([0], [state.dump(0)], context)
        outcome = fleet.step(state, batch)
        ledger.take(batch, outcome)
        state, seen = outcome.state, seen + len(batch)
    check_against_twin([profile], [(times, values)], ledger)
    _, unbroken = run(fleet, [readings])
    assert state.dump(0) == unbroken.dump(0)


@given(st.data())
def test_a_state_keeps_its_meaning_after_it_was_stepped_from(data):
    profile = data.draw(profiles())
    times, values = data.draw(series(60) | ramps(60))
    fleet = Fleet.compile([profile], [0])
    readings = join([(times, values)])
    batches = cut(readings, data.draw(cuts(len(readings))))
    states = [fleet.empty_state()]
    for batch in batches:
        states.append(fleet.step(states[-1], batch).state)
    dumps = [state.dump(0) for state in states]
    for k in data.draw(st.lists(st.integers(0, len(batches) - 1), max_size=6)):
        again = fleet.step(states[k], batches[k])
        assert again.state.dump(0) == dumps[k + 1]
        assert states[k].dump(0) == dumps[k]


@MORE
@given(st.data())
def test_restarts_and_late_arrivals_together_end_in_the_same_ledger(data):
    profile = data.draw(profiles())
    times, values = data.draw(series(70) | ramps(70))
    fleet = Fleet.compile([profile], [0])
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    place = np.arange(len(times)) + rng.integers(0, 8, len(times)) * (rng.random(len(times)) < 0.3)
    order = np.argsort(place, kind="stable")
    readings = Readings.of(0, np.array(times, np.int64)[order], np.array(values, float)[order])
    ledger, state = Ledger(), fleet.empty_state()
    kept_t, kept_v = [], []
    for batch in cut(readings, data.draw(cuts(len(readings)))):
        if data.draw(st.booleans()):
            newest = np.argsort(kept_t)[-CONTEXT_ROWS:]
            context = Readings.of(
                0, np.array(kept_t, np.int64)[newest], np.array(kept_v, float)[newest]
            )
            state = fleet.load_state([0], [state.dump(0)], context)
        outcome = fleet.step(state, batch)
        ledger.take(batch, outcome)
        state = outcome.state
        kept_t += batch.time_ms[~outcome.late].tolist()
        kept_v += batch.value[~outcome.late].tolist()
    kept = np.argsort(kept_t)
    parts = [([kept_t[i] for i in kept], [kept_v[i] for i in kept])]
    check_against_twin([profile], parts, ledger, rates=False)
    _, in_order = run(fleet, [join(parts)])
    assert state.dump(0) == in_order.dump(0)
