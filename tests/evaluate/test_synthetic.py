"""The synthetic streets and ponds: small ones, held to what the report says of the large ones."""

import numpy as np
import pytest

from detectors.forecast import TimeToThreshold
from tests.evaluate import ponds, storms
from tests.evaluate.arrivals import Said, Stretch, statements, stretches
from tests.evaluate.pond_month import Ponds
from tests.evaluate.recordings import Recording


@pytest.fixture(scope="module")
def streets():
    return storms.scores(storms.Streets.seeded(7, sensors=24, days=12))


@pytest.fixture(scope="module")
def month():
    return ponds.scores(Ponds.seeded(7, ponds=5))


def test_a_seed_draws_the_same_month_again():
    one, two, other = (storms.Streets.seeded(seed, sensors=2, days=2) for seed in (3, 3, 4))
    assert np.array_equal(one.reported_m, two.reported_m, equal_nan=True)
    assert not np.array_equal(one.truth_m, other.truth_m)
    a, b = Ponds.seeded(3, ponds=2), Ponds.seeded(3, ponds=2)
    assert np.array_equal(a.oxygen, b.oxygen, equal_nan=True)


def test_storms_are_all_found_within_minutes_and_without_chatter(streets):
    for what in (0, 1):
        core = streets["core"][what]
        assert core.events == core.found >= 5
        assert np.percentile(core.delay_s, 95) <= 600.0
        assert core.true_alerts == core.found


def test_a_street_is_called_false_far_less_often_than_by_what_it_is_measured_against(streets):
    for what in (0, 1):
        core, plain = streets["core"][what], streets["plain threshold / difference"][what]
        assert 3 * core.false_alerts < plain.false_alerts
    held = streets["core, held above 6 m/h"][0]
    assert held.found == held.events
    assert 2 * held.false_alerts < streets["core"][0].false_alerts
    assert streets["do nothing"][0].missed_grave > 0


def test_no_pond_is_lost_and_what_is_beside_the_rules_does_worse(month):
    for (what, by), one in month.items():
        assert one.events >= 5
        if by != "core":
            continue
        assert one.missed_grave == 0
        assert one.found >= 0.9 * one.events, what
        assert one.false_alerts / one.months <= 2.0, what
    shock = "temperature shock"
    assert (
        5 * month[shock, "core"].false_alerts < month[shock, "plain: 2 degC an hour"].false_alerts
    )
    assert month["oxygen below 4 mg/L", "do nothing"].missed_grave > 0


def test_oxygen_that_will_not_last_is_told_hours_before_it_is_gone(month):
    ahead = month["below 3 mg/L by sunrise, ahead", "core"]
    assert np.median(ahead.delay_s) < -3 * 3600.0


def test_what_is_said_of_a_steady_rise_comes_true():
    times = 60_000 * np.arange(30)
    rise = Recording("a", times, 0.02 * np.arange(30))
    parts = list(stretches([rise], [(0.2, 0.3)], 3600.0))
    assert len(parts) == 1
    assert parts[0].truth_s[0].tolist() == [600.0, 900.0]
    said = statements(parts, [(0.2, 0.3)], TimeToThreshold())
    assert isinstance(said, Said)
    assert np.isfinite(said.truth_s).all()
    assert said.expected.any()
    inside = (said.earliest_s <= said.truth_s) & (said.truth_s <= said.latest_s)
    assert inside.mean() >= 0.8
    assert f"{100 * inside.mean():.1f}% | " in said.cells()


def test_a_gap_ends_a_stretch_and_a_crossing_after_hours_is_none():
    hours = np.array([0, 1, 2, 60, 361, 362]) * 60_000
    depth = Recording("a", hours, np.array([0.0, 0.1, np.nan, 0.0, 0.3, 0.0]))
    first, last = stretches([depth], [(0.2,)], 3600.0)
    assert isinstance(first, Stretch)
    assert first.time_ms.tolist() == [0, 60_000, 3_600_000]
    assert first.truth_s.ravel().tolist() == [np.inf, np.inf, np.inf]
    assert last.truth_s.ravel().tolist() == [np.inf, np.inf]
