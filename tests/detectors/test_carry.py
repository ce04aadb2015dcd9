"""State handed from one fleet to another, and replaced within one: what a change of rules needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrays import CONTEXT_ROWS
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.readings import Readings
from detectors.rules import Level, RateOfRise, Threshold
from tests.detectors.series import cuts, profiles, ramps, series

MINUTE = 60_000
TWO = Threshold((Level(0.10, 0.05, 0.0, 600.0), Level(0.20, 0.15)))
FOUR = Threshold(tuple(Level(k / 10, k / 10 - 0.05) for k in range(1, 5)))


@given(st.data())
def test_a_sensor_goes_on_in_another_fleet_as_if_nothing_had_happened(data):
    mine, other = data.draw(profiles()), data.draw(profiles())
    times, values = data.draw(series(50) | ramps(50))
    readings = Readings.of(0, times, values)
    place = (data.draw(cuts(len(readings))) or [0])[0]
    before, after = readings.take(slice(0, place)), readings.take(slice(place, None))
    one = Fleet.compile([mine], [0])
    then = Fleet.compile([other, mine], [0, 1, 1])
    state = one.step(one.empty_state(), before).state
    moved, fit = then.carry_over(then.empty_state(), [2], state, [0])
    if not fit[0]:
        assert not then._lanes.lies_as(1, one._lanes, 0)
        return
    assert moved.dump(2) == state.dump(0)
    assert moved.dump(1) == then.empty_state().dump(1)
    further = Readings.of(2, after.time_ms, after.value)
    assert then.step(moved, further).state.dump(2) == one.step(state, after).state.dump(0)
    assert state.dump(0) == one.step(one.empty_state(), before).state.dump(0)


def test_none_to_take_over_is_no_trouble():
    fleet = Fleet.compile([Profile.of([("r", TWO)])], [0])
    state, fit = fleet.carry_over(fleet.empty_state(), [], fleet.empty_state(), [])
    assert len(fit) == 0
    assert state.dump(0) == fleet.empty_state().dump(0)


def test_lanes_that_lie_elsewhere_are_said_so_and_not_mixed_up():
    plain = Profile.of([("r", TWO), ("rise", RateOfRise())])
    one = Fleet.compile([plain], [0])
    then = Fleet.compile([plain, Profile.of([("r", FOUR)])], [0])  # slope lanes move up by two
    state = one.step(one.empty_state(), Readings.of(0, [0], [0.3])).state
    moved, fit = then.carry_over(then.empty_state(), [0], state, [0])
    assert fit.tolist() == [False]
    assert moved.dump(0) == then.empty_state().dump(0)


@pytest.mark.parametrize("sensors", [[1], [2, 0]])
def test_a_reload_replaces_some_sensors_and_leaves_the_others(sensors):
    fleet = Fleet.compile([Profile.of([("r", TWO)])], [0, 0, 0])
    minute = np.arange(60)
    rng = np.random.default_rng(8)
    readings = Readings.of(
        np.tile(np.arange(3), 60), np.repeat(minute * MINUTE, 3), rng.uniform(0, 0.3, 180)
    )
    state = fleet.step(fleet.empty_state(), readings).state
    ahead = fleet.step(state, Readings.of([0, 1, 2], [60 * MINUTE] * 3, [0.0, 0.5, 0.5])).state
    back = fleet.reload(
        ahead,
        sensors,
        state.dumps(np.array(sensors)),
        readings.take(minute.repeat(3) >= 60 - CONTEXT_ROWS),
    )
    for sensor in range(3):
        expected = state if sensor in sensors else ahead
        assert back.dump(sensor) == expected.dump(sensor)
    again = Readings.of([0, 1, 2], [61 * MINUTE] * 3, [0.0] * 3)
    assert set(fleet.step(back, again).touched.tolist()) == {0, 1, 2}
