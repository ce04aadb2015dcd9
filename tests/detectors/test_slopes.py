"""A window's slope does not depend on the windows beside it, though many are sorted otherwise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrays import WINDOW
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.readings import Readings
from detectors.rules import RateOfRise
from detectors.slope import _FEW, guarded_slopes
from tests.detectors.ledger import same_floats

MINUTE = 60_000


def windows(rng, n, width, holes):
    """Times, values and which are usable of n windows: rising water, outliers, steps, holes."""
    hours = np.zeros((width, n))
    hours[1:] = -np.cumsum(rng.integers(1, 200_000, (width - 1, n)), axis=0) / 3.6e6
    values = hours * rng.choice([0.0, 0.5, 3.0], n) + rng.normal(0.0, 0.005, (width, n))
    values += (rng.random((width, n)) < 0.1) * rng.uniform(-1.0, 1.0, (width, n))
    usable = rng.random((width, n)) >= holes
    usable[0] = True
    values[0] = 0.0
    return hours, np.where(usable, values, np.nan), usable


@given(
    st.integers(0, 10**6), st.integers(4, WINDOW), st.sampled_from((0.0, 0.05, 0.5)),
    st.integers(1, 12),
)  # fmt: skip
def test_one_window_among_many_has_the_slope_that_it_has_alone(seed, width, holes, n):
    rng = np.random.default_rng(seed)
    hours, values, usable = windows(rng, n, width, holes)
    noise, inflation = np.full(n, 0.005), np.full(n, 1.36)
    alone = guarded_slopes(hours, values, usable, noise, inflation)
    crowd = np.concatenate([np.arange(n), rng.integers(0, n, _FEW)])
    among = guarded_slopes(
        hours[:, crowd], values[:, crowd], usable[:, crowd], noise[crowd], inflation[crowd]
    )
    assert same_floats(among.per_h, alone.per_h[crowd])
    assert same_floats(among.error, alone.error[crowd])
    shared = guarded_slopes(hours, values, usable, noise[:1], inflation[:1])
    assert same_floats(shared.per_h, alone.per_h)
    assert same_floats(shared.error, alone.error)


def test_parameters_that_all_share_count_as_those_of_each():
    """A fleet of one profile reads its tables once; among other profiles it must not matter."""
    rule = RateOfRise(limits_per_h=(0.3,), noise=0.005)
    mine = Profile.of([("rise", rule)])
    other = Profile.of([("rise", RateOfRise(limits_per_h=(9.0,), noise=0.5))])
    rng = np.random.default_rng(3)
    sensor, minute = np.tile(np.arange(40), 30), np.repeat(np.arange(30), 40)
    depth = rng.normal(0.0, 0.005, len(minute)) + minute * (sensor % 4) * 0.005
    readings = Readings.of(sensor, minute * MINUTE, depth)
    one = Fleet.compile([mine], np.zeros(40, int))
    two = Fleet.compile([other, mine], np.arange(40) % 2)
    alone = one.step(one.empty_state(), readings)
    among = two.step(two.empty_state(), readings)
    odd = sensor % 2 == 1
    assert same_floats(alone.rate_per_h[odd], among.rate_per_h[odd])
    of_odd = alone.transitions.sensor % 2 == 1
    assert of_odd.any()
    assert alone.transitions.time_ms[of_odd].tolist() == among.transitions.time_ms.tolist()


@pytest.mark.parametrize("value", [1e200, -1e200, 1.7e308])
def test_a_value_that_no_sum_could_hold_is_left_out_of_the_slopes(value):
    profile = Profile.of([("rise", RateOfRise(limits_per_h=(0.3,), noise=0.005))])
    fleet = Fleet.compile([profile], [0])
    values = np.arange(12) * 0.02
    clean = fleet.step(fleet.empty_state(), Readings.of(0, np.arange(12) * MINUTE, values))
    values[5] = value
    outcome = fleet.step(fleet.empty_state(), Readings.of(0, np.arange(12) * MINUTE, values))
    assert np.isnan(outcome.rate_per_h[5])
    assert outcome.rate_per_h[11] == pytest.approx(clean.rate_per_h[11])
