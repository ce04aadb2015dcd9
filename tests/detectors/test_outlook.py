"""The depth after a time: against small steps of the same process, and where nothing is known."""

import math

import numpy as np
import pytest

from detectors.forecast import Tracks, follow
from detectors.outlook import outlook
from tests.detectors.tracks import ONE, RULE, followed


def seen(tracks, after_s):
    found = outlook(tracks, RULE, ONE, np.array([float(after_s)]))
    return float(found.level[0]), float(found.low[0]), float(found.high[0])


def stepped(tracks, after_s, step_s=0.05):
    """Carry the filter on in small steps: a slope that dies away and is pushed about."""
    state = np.array([tracks.level[0], tracks.slope[0]])
    spread = np.array([[tracks.p00[0], tracks.p01[0]], [tracks.p01[0], tracks.p11[0]]])
    move = np.array([[1.0, step_s], [0.0, 1.0 - step_s / RULE.damping_s]])
    push = np.array([[0.0, 0.0], [0.0, RULE.drive * step_s]])
    for _ in range(round(after_s / step_s)):
        state = move @ state
        spread = move @ spread @ move.T + push
    return state[0], math.sqrt(spread[0, 0])


@pytest.mark.parametrize("after_s", [60, 600, 1800])
def test_it_is_what_small_steps_come_to(after_s):
    rng = np.random.default_rng(3)
    tracks = followed(0.1 + 0.006 * np.arange(25) + rng.normal(0.0, 0.004, 25))
    level, low, high = seen(tracks, after_s)
    expected, deviation = stepped(tracks, after_s)
    assert level == pytest.approx(expected, rel=1e-3)
    assert (high - low) / 2.0 == pytest.approx(deviation, rel=2e-3)
    assert low < level < high


def test_at_once_it_is_the_level_and_standing_water_stays():
    tracks = followed([0.12] * 20)
    level, low, high = seen(tracks, 0.0)
    assert level == pytest.approx(0.12)
    assert high - low < 4.0 * RULE.noise
    assert seen(tracks, 1200.0)[0] == pytest.approx(0.12)


def test_a_damped_slope_ends_somewhere():
    tracks = followed(0.1 + 0.01 * np.arange(20))
    most = float(tracks.level[0] + tracks.slope[0] * RULE.damping_s)
    levels = [seen(tracks, after_s)[0] for after_s in (600.0, 1800.0, 86_400.0)]
    assert levels == sorted(levels)
    assert levels[-1] == pytest.approx(most)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.1], [0.1] * 8 + [0.9, 0.1, 0.9, 0.1]])
def test_too_few_readings_and_a_filter_astray_say_nothing(values):
    assert all(math.isnan(value) for value in seen(followed(values), 600.0))


def test_sensors_side_by_side_are_each_their_own():
    rising, still = 0.1 + 0.006 * np.arange(20), np.full(20, 0.3)
    tracks = Tracks.empty(2)
    both = np.array([0, 1])
    for k, pair in enumerate(np.column_stack([rising, still])):
        tracks = follow(tracks, RULE, both, np.full(2, k * 60_000), pair)
    found = outlook(tracks, RULE, both, np.array([600.0, 60.0]))
    assert found.level[0] == seen(followed(rising), 600.0)[0]
    assert found.level[1] == seen(followed(still), 60.0)[0]
