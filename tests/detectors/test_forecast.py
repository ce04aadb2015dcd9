"""Time to threshold: what may be said of the next level, and when it is more than a maybe."""

import numpy as np
import pytest

from detectors.forecast import Reach, TimeToThreshold, Tracks, arrival, follow

RULE = TimeToThreshold()
ONE = np.array([0])


def followed(values, step_s=60, rule=RULE):
    tracks = Tracks.empty(1)
    for k, value in enumerate(values):
        tracks = follow(tracks, rule, ONE, np.array([k * step_s * 1000]), np.array([value]))
    return tracks


def reach(tracks, level, rule=RULE):
    return arrival(tracks, rule, ONE, np.array([level])).reach[0]


STEADY = 0.05 + 0.02 * np.arange(15)  # 0.33 m at the end, two centimetres a minute


def test_a_level_more_than_a_third_above_the_water_is_at_most_a_maybe():
    fast = 0.05 * np.arange(6)  # 0.25 m
    assert reach(followed(fast), 0.30) == Reach.EXPECTED
    assert reach(followed(fast), 0.35) == Reach.MAY
    assert reach(followed(1.0 + fast), 1.35) == Reach.EXPECTED  # a stage, from a far datum


def test_a_filter_that_is_astray_expects_nothing_and_far_astray_says_nothing():
    jerks = np.resize([0.02, 0.02, 0.04], 15).cumsum()
    for scale, expected in ((0.5, Reach.EXPECTED), (1.5, Reach.MAY), (2.0, Reach.NOTHING)):
        tracks = followed(0.05 + scale * jerks)
        assert reach(tracks, tracks.level[0] + 0.01 * scale) == expected


def test_what_is_expected_has_an_end_to_its_interval():
    said = arrival(followed(STEADY), RULE, ONE, np.array([0.35]))
    assert said.reach[0] == Reach.EXPECTED
    assert 0.0 < said.earliest_s[0] < said.after_s[0] < said.latest_s[0] < RULE.horizon_s
    assert said.after_s[0] == pytest.approx(60.0, abs=10.0)  # 2 cm to go at 2 cm a minute


def test_many_sensors_at_once_are_followed_as_each_alone():
    rng = np.random.default_rng(2)
    rise = 0.1 + np.outer(np.arange(12), rng.uniform(0.0, 0.02, 7)) + rng.normal(0, 0.003, (12, 7))
    tracks = Tracks.empty(7)
    for k, row in enumerate(rise):
        tracks = follow(tracks, RULE, np.arange(7), np.full(7, k * 60_000), row)
    goals = rise[-1] + 0.02
    together = arrival(tracks, RULE, np.arange(7), goals)
    assert set(together.reach.tolist()) > {0}
    for sensor in range(7):
        alone = arrival(followed(rise[:, sensor]), RULE, ONE, goals[sensor : sensor + 1])
        for name in vars(alone):
            assert np.array_equal(
                getattr(alone, name), getattr(together, name)[[sensor]], equal_nan=True
            )
