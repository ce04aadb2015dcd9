"""Late, doubled and out-of-order readings: literal cases, and batches too large for one chunk."""

import numpy as np
import pytest

from detectors.arrays import RING
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.quality import GrossRange, Spike
from detectors.readings import Readings
from detectors.rules import Level, RateOfRise, Threshold
from tests.detectors.ledger import Ledger

MINUTE = 60_000
DEPTH = Threshold((Level(0.10, 0.05), Level(0.20, 0.15)))
RULES = [("depth", DEPTH), ("rise", RateOfRise()), ("range", GrossRange((-1.0, 9.0)))]


def at(minutes, values, sensor=0):
    return Readings.of(sensor, np.array(minutes) * MINUTE, np.array(values, float))


@pytest.fixture
def fleet():
    return Fleet.compile([Profile.of(RULES)], [0, 0])


def test_a_late_reading_inside_the_bound_raises_the_alert_it_would_have_raised(fleet):
    state = fleet.step(fleet.empty_state(), at([0, 1, 3, 4], [0, 0, 0.07, 0.07])).state
    outcome = fleet.step(state, at([2], [0.25]))
    moves = outcome.transitions
    depth = moves.rule == 0
    assert moves.time_ms[depth].tolist() == [2 * MINUTE, 3 * MINUTE]
    assert moves.to_level[depth].tolist() == [2, 1]
    assert sorted(
        zip(outcome.windows.rule.tolist(), outcome.windows.from_ms.tolist(), strict=True)
    ) == [
        (0, 2 * MINUTE),
        (1, 2 * MINUTE),
    ]
    assert not outcome.late.any()


def test_a_late_reading_withdraws_what_it_shows_never_was():
    rule = Threshold((Level(0.10, 0.05, delay_on_s=120.0),))
    fleet = Fleet.compile([Profile.of([("r", rule)])], [0])
    first = fleet.step(fleet.empty_state(), at([0, 2], [0.2, 0.2]))
    assert first.transitions.time_ms.tolist() == [2 * MINUTE]
    then = fleet.step(first.state, at([1], [0.0]))
    assert then.windows.from_ms.tolist() == [1 * MINUTE]
    assert len(then.transitions) == 0  # all there are at or after minute 1: none


def test_in_order_data_never_withdraws_anything(fleet):
    state = fleet.empty_state()
    for k in range(60):
        outcome = fleet.step(state, at([k], [0.3 * (k % 7 == 0)]))
        assert not len(outcome.windows)
        state = outcome.state


def test_a_reading_older_than_the_bound_is_kept_but_decides_nothing(fleet):
    state = fleet.step(fleet.empty_state(), at([0, 20], [0.0, 0.0])).state
    outcome = fleet.step(state, at([4], [0.5]))
    assert outcome.late.tolist() == [True]
    assert not len(outcome.transitions)
    assert not len(outcome.touched)
    assert outcome.state.dump(0) == state.dump(0)
    assert fleet.step(state, at([5], [0.5])).late.tolist() == [False]


def test_a_reading_whose_window_has_left_the_ring_is_late_too(fleet):
    seconds = np.arange(200) * 10 / 60
    state = fleet.step(fleet.empty_state(), at(seconds, np.zeros(200))).state
    near, far = seconds[-1] - 2.55, seconds[-1] - 3.05
    assert fleet.step(state, at([near], [0.0])).late.tolist() == [False]
    assert fleet.step(state, at([far], [0.0])).late.tolist() == [True]
    assert RING == 32


def test_a_clock_that_steps_back_makes_late_or_sorted_in_readings_and_no_error(fleet):
    minutes = [0, 1, 2, 3, 4, 5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
    ledger, state = Ledger(), fleet.empty_state()
    for m in minutes:
        batch = at([m], [0.12])
        outcome = fleet.step(state, batch)
        ledger.take(batch, outcome)
        state = outcome.state
    assert len(ledger.series(0)) == len(minutes)
    assert [m[2] for m in ledger.moves if m[1] == 0] == [0]


def test_a_late_neighbour_gives_earlier_readings_new_verdicts():
    fleet = Fleet.compile([Profile((Spike(0.1, 1.0),))], [0])
    state = fleet.step(fleet.empty_state(), at([0, 1, 3, 4], [0, 0, 0.5, 0.5])).state
    outcome = fleet.step(state, at([2], [0.5]))
    assert outcome.flag.tolist() == [3]
    v = outcome.verdicts
    told = dict(zip((v.time_ms // MINUTE).tolist(), v.flag.tolist(), strict=True))
    assert told == {3: 1}  # was a step beside 0 and 0.5; now it stands between equals
    assert not v.awaited.any()


def test_the_awaited_spike_verdict_is_told_with_the_successor():
    fleet = Fleet.compile([Profile((Spike(0.1, 0.4),))], [0])
    first = fleet.step(fleet.empty_state(), at([0, 1], [0.0, 0.5]))
    assert first.flag.tolist() == [2, 2]
    then = fleet.step(first.state, at([2], [0.0]))
    v = then.verdicts
    assert (v.time_ms.tolist(), v.flag.tolist(), v.awaited.tolist()) == ([MINUTE], [4], [True])


def test_a_sensor_that_the_fleet_does_not_have_is_refused(fleet):
    for sensor in (-1, 2):
        with pytest.raises(ValueError, match="numbered from 0 to 1"):
            fleet.step(fleet.empty_state(), at([0], [0.0], sensor))
    with pytest.raises(ValueError, match="outside of the 1 profiles"):
        Fleet.compile([Profile()], [1])


def test_an_empty_fleet_and_an_empty_batch_are_no_trouble():
    none = Fleet.compile([], [])
    assert len(none.step(none.empty_state(), Readings.none()).touched) == 0
    one = Fleet.compile([Profile.of(RULES)], [0])
    outcome = one.step(one.empty_state(), Readings.none())
    assert len(outcome.flag) == len(outcome.transitions) == 0
    assert one.load_state([], [], Readings.none()).dump(0) == one.empty_state().dump(0)


def test_a_batch_of_many_chunks_equals_one_reading_at_a_time_per_sensor():
    sensors, minutes = 400, 50
    rng = np.random.default_rng(2)
    depth = np.abs(np.cumsum(rng.normal(0, 0.03, (minutes, sensors)), axis=0))
    depth[rng.random(depth.shape) < 0.02] = np.nan
    kinds = [Profile.of(RULES), Profile((Spike(0.05, 0.2),), Profile.of(RULES[:1]).rules)]
    fleet = Fleet.compile(kinds, np.arange(sensors) % 2)
    sensor = np.tile(np.arange(sensors), minutes)
    minute = np.repeat(np.arange(minutes), sensors)
    everything = at(minute, depth.reshape(-1), sensor)
    whole = fleet.step(fleet.empty_state(), everything.take(rng.permutation(len(everything))))
    state, moves = fleet.empty_state(), []
    for k in range(minutes):
        outcome = fleet.step(state, everything.take(minute == k))
        state = outcome.state
        t = outcome.transitions
        moves += list(
            zip(
                t.sensor.tolist(),
                t.rule.tolist(),
                t.time_ms.tolist(),
                t.to_level.tolist(),
                strict=True,
            )
        )
    t = whole.transitions
    assert sorted(moves) == list(
        zip(
            t.sensor.tolist(), t.rule.tolist(), t.time_ms.tolist(), t.to_level.tolist(), strict=True
        )
    )
    assert len(moves) > 500
    assert whole.state.dumps(np.arange(sensors)) == state.dumps(np.arange(sensors))
