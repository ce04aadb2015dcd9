"""The scores themselves, on small cases counted by hand."""

import math

import numpy as np
import pytest

from detectors.fleet import Fleet
from detectors.forecast import TimeToThreshold
from detectors.profile import Profile
from detectors.readings import Readings
from detectors.rules import Level, Threshold
from tests.evaluate.arrivals import Said
from tests.evaluate.blind import of_streets, verdict
from tests.evaluate.events import Span, alerts_of, runs, score
from tests.evaluate.nab import FEW_FALSE, FEW_MISSED, STANDARD, normalised, raw_score, worth
from tests.evaluate.split import PARTS, TUNED, part_of
from tests.evaluate.storms import Streets

MINUTE = 60_000
# 2 / (1 + e^(5 y)) - 1 by hand
AT_HALF = 0.848283639957513
AT_EDGE = 0.986614298151430


@pytest.mark.parametrize(
    ("position", "value"),
    [(-1.0, AT_EDGE), (-0.5, AT_HALF), (0.0, 0.0), (0.5, -AT_HALF), (1.0, -AT_EDGE), (99.0, -1.0)],
)
def test_the_worth_of_a_detection_is_the_published_function(position, value):
    assert worth(position) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        ([], -1.0),  # the window is missed
        ([40], 1.0),  # its left edge
        ([45], AT_HALF / AT_EDGE),  # its middle
        ([50], 0.0),  # its right edge: found, but worth nothing
        ([40, 44, 50], 1.0),  # only the first in it counts
        ([40, 55], 1.0 - 0.11 * AT_HALF),  # half a width behind it
        ([40, 99], 1.0 - 0.11),  # far behind it
        ([30], -1.0 - 0.11),  # before any window
        ([10], -1.0),  # among the 15 of 100 rows that are not scored
    ],
)
def test_a_series_scores_what_is_found_false_and_missed(detections, expected):
    assert raw_score(detections, [(40, 50)], 100, STANDARD) == pytest.approx(expected, abs=1e-9)


def test_the_score_of_a_set_is_0_for_silence_and_100_for_perfection():
    windows = [(40, 50), (70, 80)]
    for weights in (STANDARD, FEW_FALSE, FEW_MISSED):
        assert normalised([([], windows, 100)], weights) == 0.0
        assert normalised([([40, 70], windows, 100)], weights) == pytest.approx(100.0)
    assert normalised([([40], windows, 100)], STANDARD) == pytest.approx(50.0)
    false = [([40, 70, 30], windows, 100)]
    assert normalised(false, FEW_FALSE) < normalised(false, STANDARD) < 100.0


def test_alerts_are_matched_to_events_of_their_own_sensor():
    events = [
        Span(0, 10 * MINUTE, 20 * MINUTE, grave=True),
        Span(0, 50 * MINUTE, 60 * MINUTE),
        Span(1, 10 * MINUTE, 20 * MINUTE, grave=True),
    ]
    alerts = [
        Span(0, 12 * MINUTE, 15 * MINUTE),
        Span(0, 16 * MINUTE, 18 * MINUTE),  # the same event again: chatter
        Span(0, 62 * MINUTE, 63 * MINUTE),  # after it: false, unless it may be late
        Span(2, 10 * MINUTE, 20 * MINUTE),  # another sensor
        Span(0, 30 * MINUTE, 31 * MINUTE, tentative=True),
    ]
    strict = score(events, alerts, months=2.0)
    assert (strict.events, strict.found, strict.missed_grave) == (3, 1, 1)
    assert (strict.alerts, strict.true_alerts) == (5, 2)
    assert (strict.false_alerts, strict.false_tentative) == (2, 1)
    assert strict.delay_s.tolist() == [120.0]
    assert "1.00 (0.12-3.61), 0.50 | 2.00" in strict.cells()
    patient = score(events, alerts, months=2.0, after_ms=5 * MINUTE)
    assert (patient.found, patient.true_alerts) == (2, 3)
    assert patient.delay_s.tolist() == [120.0, 720.0]


def test_an_alert_that_stands_before_its_event_is_not_late_and_leads_only_where_it_may():
    events, alerts = [Span(0, 600_000, 900_000)], [Span(0, 300_000, 700_000)]
    assert score(events, alerts, 1.0).delay_s.tolist() == [0.0]
    assert score(events, alerts, 1.0, ahead_ms=3_600_000).delay_s.tolist() == [-300.0]


def test_runs_and_alerts_have_their_first_and_last_times():
    times = np.arange(6) * MINUTE
    on = np.array([True, True, False, False, True, False])
    assert runs(3, times, on) == [Span(3, 0, MINUTE), Span(3, 4 * MINUTE, 4 * MINUTE)]
    assert runs(3, times[:0], on[:0]) == []
    rule = Threshold((Level(0.1, 0.05), Level(0.2, 0.15)))
    fleet = Fleet.compile([Profile.of([("r", rule)])], [0])
    depth = [0.0, 0.12, 0.25, 0.12, 0.0, 0.3]
    moves = fleet.step(fleet.empty_state(), Readings.of(0, times, depth)).transitions
    assert alerts_of(moves, 0, 1, 99) == [Span(0, MINUTE, 4 * MINUTE), Span(0, 5 * MINUTE, 99)]
    assert alerts_of(moves, 0, 2, 99) == [
        Span(0, 2 * MINUTE, 3 * MINUTE),
        Span(0, 5 * MINUTE, 99),
    ]


def test_every_flood_belongs_to_one_part_and_the_tuned_one_is_even_and_odd():
    march = int(np.datetime64("2024-03-31T23:59:59", "ms").astype(np.int64))
    assert part_of(4, march) == TUNED
    assert part_of(4, march + 1_000) == "even sensors, even months"
    assert part_of(5, march) == "odd sensors, odd months"
    assert len(set(PARTS.values())) == 4


def said(inside, outside, never, expected):
    """Statements of one flood, of which so many hold, and so many of the last are expected."""
    truth = np.array([300.0] * inside + [900.0] * outside + [np.inf] * never)
    n = len(truth)
    after, earliest, latest = np.full(n, 300.0), np.full(n, 200.0), np.full(n, 400.0)
    return Said(np.zeros(n), np.arange(n) >= n - expected, after, earliest, latest, truth)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((80, 17, 3, 30), "interval holds; expected holds"),
        ((80, 16, 4, 30), "interval holds; expected does not"),
        ((86, 14, 0, 30), "interval does not; expected holds"),
        ((74, 26, 0, 29), "interval does not; expected: too few to tell"),
        ((79, 20, 0, 0), "too few to tell; expected: too few to tell"),
    ],
)
def test_an_acceptance_says_yes_no_or_that_there_is_too_little(counts, words):
    assert verdict(said(*counts)) == words


def test_statements_on_drawn_streets_are_held_against_the_true_depth():
    minutes = np.arange(30)
    truth = np.where(minutes < 10, 0.0, 0.012 * (minutes - 10))[None, :]
    reported = truth + 0.001 * (minutes % 2)
    reported[0, 5] = np.nan
    told = of_streets(Streets(truth, reported), TimeToThreshold())
    # Asked from minute 13 on: 5 cm truly stand from minute 15, 10 cm from 19, 20 cm from 27 on.
    ahead = [2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1]
    assert (told.truth_s / 60.0).tolist() == [*ahead, math.inf, math.inf, math.inf]
    dry = of_streets(Streets(truth * 0.0, reported), TimeToThreshold())
    assert len(dry.truth_s) == len(told.truth_s)
    assert np.isinf(dry.truth_s).all()
