"""Time to threshold: what may be said of the next level, and when it is more than a maybe."""

import math

import numpy as np
import pytest

from detectors.forecast import Reach, TimeToThreshold, Tracks, arrival, follow
from tests.detectors.tracks import ONE, RULE, followed

FINE = TimeToThreshold(noise=0.005)


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


def said_of(tracks, level):
    return arrival(tracks, FINE, ONE, np.array([level]))


def test_steady_rise_is_expected_with_an_interval_around_the_truth():
    rng = np.random.default_rng(1)
    tracks = followed(0.02 * np.arange(20) + rng.normal(0, 0.005, 20), FINE)
    said = said_of(tracks, 0.5)  # 0.12 m to go at 0.02 m a minute: 6 minutes, damped nearly 8
    assert said.reach[0] == Reach.MAY
    assert said.earliest_s[0] < 360
    assert said.after_s[0] == pytest.approx(460, abs=60)
    near = said_of(tracks, 0.395)
    assert near.reach[0] == Reach.EXPECTED
    assert near.earliest_s[0] < 45 < near.latest_s[0] < 600


def test_nothing_is_said_of_calm_falling_or_far_water():
    rng = np.random.default_rng(1)
    for values, level in (
        (rng.normal(0.1, 0.005, 30), 0.2),
        (0.5 - 0.01 * np.arange(20), 0.6),
        (0.001 * np.arange(20), 3.0),
        ([], 1.0),
        ([0.1], 1.0),
        ([0.5, 0.6], 0.3),
    ):
        said = said_of(followed(values, FINE), level)
        assert said.reach[0] == Reach.NOTHING
        assert math.isnan(said.after_s[0])


def test_a_gap_starts_the_filter_anew_and_missing_or_old_readings_change_nothing():
    tracks = followed([0.0, 0.1, 0.2], FINE)
    again = follow(tracks, FINE, ONE, np.array([120_000]), np.array([9.0]))
    again = follow(again, FINE, ONE, np.array([180_000]), np.array([math.nan]))
    assert again.level[0] == tracks.level[0]
    after = follow(tracks, FINE, ONE, np.array([120_000 + 3_600_001]), np.array([0.0]))
    assert (after.level[0], after.slope[0], after.sure[0]) == (0.0, 0.0, 0)
