"""Literal vectors of the alert rules of one datastream, edges first."""

import math

import numpy as np
import pytest

from detectors.errors import ParameterError, StateError
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.quality import GrossRange
from detectors.readings import Readings
from detectors.rules import Level, RateOfRise, Threshold, rule_from_params
from tests.detectors.ledger import Ledger

NAN, INF = math.nan, math.inf
MINUTE = 60_000


def moves(rule, values, times=None, *, quality=(), **profile):
    """[(index of the reading, from, to)] of one series, reading by reading."""
    times = [k * MINUTE for k in range(len(values))] if times is None else times
    kind = Profile.of([("r", rule), *((f"q{k}", q) for k, q in enumerate(quality))], **profile)
    fleet = Fleet.compile([kind], [0])
    ledger, state = Ledger(), fleet.empty_state()
    for t, x in zip(times, values, strict=True):
        outcome = fleet.step(state, Readings.of(0, [t], [x]))
        ledger.take(Readings.of(0, [t], [x]), outcome)
        state = outcome.state
    return [(times.index(m[2]), m[3], m[4]) for m in sorted(ledger.moves)]


STREET = Threshold((Level(0.05, 0.025), Level(0.10, 0.05), Level(0.20, 0.15)))


def test_nothing_comes_of_nothing():
    assert moves(STREET, []) == []
    assert moves(STREET, [0.0]) == []
    assert moves(STREET, [NAN] * 5) == []


def test_levels_come_on_at_their_value_and_go_off_at_the_lower_one():
    assert moves(STREET, [0.0, 0.0499, 0.05, 0.026, 0.025]) == [(2, 0, 1), (4, 1, 0)]
    assert moves(STREET, [0.25, 0.16, 0.15, 0.06, 0.05, 0.0]) == [
        (0, 0, 3), (2, 3, 2), (4, 2, 1), (5, 1, 0),
    ]  # fmt: skip


def test_the_first_reading_ever_can_raise():
    assert moves(STREET, [9.0]) == [(0, 0, 3)]


def test_a_missing_reading_neither_raises_nor_clears():
    assert moves(STREET, [0.12, NAN, NAN, 0.12, NAN]) == [(0, 0, 2)]
    assert moves(STREET, [NAN, 0.12, NAN, 0.0]) == [(1, 0, 2), (3, 2, 0)]


def test_a_gap_does_not_launder_a_flood():
    assert moves(STREET, [0.12, 0.07], [0, 10**10]) == [(0, 0, 2)]
    assert moves(STREET, [0.12, 0.0], [0, 10**10]) == [(0, 0, 2), (1, 2, 0)]


def delayed(on=0.0, off=0.0):
    return Threshold((Level(0.10, 0.05, on, off),))


def test_delays_count_from_the_first_reading_beyond_the_level():
    assert moves(delayed(on=120.0), [0.1, 0.1, 0.1]) == [(2, 0, 1)]
    assert moves(delayed(on=120.0), [0.1, 0.09, 0.1, 0.1, 0.1]) == [(4, 0, 1)]
    assert moves(delayed(off=120.0), [0.1, 0.0, 0.0, 0.0]) == [(0, 0, 1), (3, 1, 0)]
    assert moves(delayed(off=120.0), [0.1, 0.0, 0.06, 0.0, 0.0, 0.0]) == [(0, 0, 1), (5, 1, 0)]


def test_delays_are_exact_to_the_millisecond():
    assert moves(delayed(on=60.0), [0.1, 0.1, 0.1], [0, 59_999, 60_000]) == [(2, 0, 1)]
    assert moves(delayed(on=0.0005), [0.1, 0.1], [0, 1]) == [(1, 0, 1)]


def test_a_missing_reading_and_a_gap_restart_the_timers():
    assert moves(delayed(on=120.0), [0.1, NAN, 0.1, 0.1, 0.1]) == [(4, 0, 1)]
    assert moves(delayed(off=120.0), [0.1, 0.0, NAN, 0.0, 0.0, 0.0]) == [(0, 0, 1), (5, 1, 0)]
    times = [0, 60_000, 3_660_001, 3_720_001]
    assert moves(delayed(on=120.0), [0.1] * 4, times) == []
    assert moves(delayed(on=120.0), [0.1] * 3, [0, 3_600_000, 3_600_001]) == [(1, 0, 1)]


def test_a_falling_rule_is_a_rising_one_turned_over():
    oxygen = Threshold((Level(5.0, 5.5), Level(3.0, 3.5)), direction="falling")
    values = [6.0, 5.0, 5.4, 5.5, 2.9, 3.4, 9.0]
    assert moves(oxygen, values) == [(1, 0, 1), (3, 1, 0), (4, 0, 2), (6, 2, 0)]


def test_a_threshold_of_zero_is_a_threshold():
    assert moves(Threshold((Level(0.0, -1.0),)), [-0.5, 0.0, -0.5, -1.0]) == [(1, 0, 1), (3, 1, 0)]


def test_quality_control_mutes_no_flood_and_a_failed_reading_ends_none():
    range_ = GrossRange((0.0, 3.0))
    assert moves(STREET, [0.0, 9.0, 0.0], quality=[range_]) == [(1, 0, 3), (2, 3, 0)]
    assert moves(STREET, [0.12, -9.0, 0.12], quality=[range_]) == [(0, 0, 2)]
    assert moves(STREET, [0.12, -INF, INF], quality=[range_]) == [(0, 0, 2)]
    pond = Threshold((Level(30.0, 29.0),), failed_may_raise=False)
    assert moves(pond, [20.0, 85.0, 20.0], quality=[GrossRange((-5.0, 60.0))]) == []


JUMPY = Threshold(
    (Level(0.05, 0.02), Level(0.10, 0.05), Level(0.20, 0.15), Level(1.0, 0.9)), ceiling_per_h=6.0
)


def test_a_step_beyond_the_ceiling_waits_for_a_second_reading():
    # 6 m/h is 0.1 m a minute.
    assert moves(JUMPY, [0.0, 0.5, 0.0]) == []  # a return: a spike
    assert moves(JUMPY, [0.0, 0.5, 0.5]) == [(2, 0, 3)]  # stays: a jump
    assert moves(JUMPY, [0.0, 0.5, 0.3]) == [(2, 0, 3)]
    assert moves(JUMPY, [0.0, 0.09, 0.17, 0.25]) == [(1, 0, 1), (2, 1, 2), (3, 2, 3)]
    assert moves(JUMPY, [0.07, 0.5, 0.0]) == [(0, 0, 1), (2, 1, 0)]  # only what is new waits
    assert moves(JUMPY, [0.0, 0.5], [0, 10**10]) == [(1, 0, 3)]  # no forecast after a gap


def test_at_level_four_an_unconfirmed_step_is_told_at_once():
    fleet = Fleet.compile([Profile.of([("r", JUMPY)])], [0])
    outcome = fleet.step(fleet.empty_state(), Readings.of(0, [0, MINUTE], [0.0, 1.0]))
    assert outcome.transitions.to_level.tolist() == [4]
    assert outcome.transitions.unconfirmed.tolist() == [True]
    slow = fleet.step(fleet.empty_state(), Readings.of(0, [0, 20 * MINUTE], [0.0, 1.0]))
    assert slow.transitions.unconfirmed.tolist() == [False]


RISE = RateOfRise(limits_per_h=(0.6, 3.0), noise=0.005, delay_off_s=0.0)


def test_rate_of_rise_needs_four_points_and_a_slope_beyond_its_error():
    climb = [0.06 * k for k in range(6)]  # 3.6 m/h
    assert moves(RISE, climb[:3]) == []
    assert moves(RISE, climb) == [(3, 0, 2)]
    assert moves(RISE, [0.0, NAN, 0.06, NAN, 0.12, NAN, 0.18]) == [(6, 0, 1)]
    assert moves(RISE, [0.011 * k for k in range(8)]) == [(3, 0, 1)]  # 0.66 m/h


def test_one_outlier_raises_no_rate_alert():
    dry = [0.0] * 20
    for place in range(1, 19):
        spiked = dry.copy()
        spiked[place] = 2.0
        assert moves(RISE, spiked) == [], place


def test_rate_of_rise_clears_only_on_an_evaluated_slope():
    rise_then_silence = [0.06 * k for k in range(6)] + [NAN] * 20
    assert moves(RISE, rise_then_silence) == [(3, 0, 2)]
    then_level = [0.06 * k for k in range(6)] + [0.3] * 20
    told = moves(RISE, then_level)
    assert told[0] == (3, 0, 2)
    assert told[-1][2] == 0


def test_rate_is_given_per_hour_and_not_across_a_gap():
    fleet = Fleet.compile([Profile.of([("r", RISE)], max_gap_s=300.0)], [0])
    values = [0.02 * k for k in range(6)]
    times = [k * MINUTE for k in range(5)] + [5 * MINUTE + 300_001]
    outcome = fleet.step(fleet.empty_state(), Readings.of(0, times, values))
    assert np.isnan(outcome.rate_per_h[[0, 1, 2, 5]]).all()
    assert outcome.rate_per_h[3:5] == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("kind", "params", "field", "words"),
    [
        ("treshold", {}, "kind", "no rule of kind"),
        ("threshold", {}, "levels", "needs this parameter"),
        ("threshold", {"levels": []}, "levels", "1 to 8 levels"),
        ("threshold", {"levels": [{"on": 0.1, "off": 0.1}]}, "levels[0].off", "below that"),
        ("threshold", {"levels": [{"on": 0.1, "of": 0.1}]}, "levels[0].of", "did you mean 'off'"),
        ("threshold", {"levels": [{"on": "a", "off": 0.1}]}, "levels[0].on", "expected a number"),
        ("threshold", {"levels": [{"on": NAN, "off": 0.1}]}, "levels[0].on", "finite"),
        ("threshold", {"levels": [{"on": True, "off": 0.1}]}, "levels[0].on", "expected a number"),
        ("threshold", {"levels": [0.1]}, "levels[0]", "an object with on and off"),
        (
            "threshold",
            {"levels": [{"on": 0.2, "off": 0.1}, {"on": 0.1, "off": 0.05}]},
            "levels[1].on",
            "at 0.2 or higher",
        ),
        (
            "threshold",
            {"levels": [{"on": 5, "off": 6}, {"on": 6, "off": 7}], "direction": "falling"},
            "levels[1].on",
            "at 5 or lower",
        ),
        (
            "threshold",
            {"levels": [{"on": 0.1, "off": 0.0}, {"on": 0.2, "off": 0.1, "delay_off_s": 60}]},
            "levels[1].delay_off_s",
            "would still be on after level 1",
        ),
        (
            "threshold",
            {"levels": [{"on": 0.1, "off": 0.0, "delay_on_s": 60}, {"on": 0.2, "off": 0.1}]},
            "levels[1].delay_on_s",
            "would come on before level 1",
        ),
        ("threshold", {"levels": [{"on": 1, "off": 0}], "direction": "up"}, "direction", "rising"),
        ("rate_of_rise", {"limits_per_h": [3.0, 0.6]}, "limits_per_h", "ascend"),
        ("rate_of_rise", {"autocorrelation": 1.0}, "autocorrelation", "0.99 or less"),
        ("gross_range", {"sensor_span": [1, 0]}, "sensor_span", "above the highest"),
        ("gross_range", {"sensor_span": [0, 1], "user_span": [0, 2]}, "user_span", "within"),
        ("gross_range", {"sensor_span": 5}, "sensor_span", "two numbers"),
        ("spike", {"suspect": 2.0, "fail": 1.0}, "fail", "must be 2 or more"),
        ("flat_line", {"suspect_s": 0}, "suspect_s", "greater than 0"),
        ("climatology", {"seasons": []}, "seasons", "at least one"),
        (
            "climatology",
            {"seasons": [{"from_month": 13, "to_month": 1, "span": [0, 1]}]},
            "from_month",
            "month from 1 to 12",
        ),
        ("silence", {"loss_rate": 0}, "loss_rate", "greater than 0"),
    ],
)
def test_a_refused_parameter_is_named_with_what_would_be_accepted(kind, params, field, words):
    with pytest.raises(ParameterError) as caught:
        rule_from_params(kind, params)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_damaged_or_foreign_state_is_refused_in_words():
    fleet = Fleet.compile([Profile.of([("r", STREET)])], [0])
    blob = fleet.step(fleet.empty_state(), Readings.of(0, [0], [0.12])).state.dump(0)
    for damaged in (b"", blob[:1], blob[:5], blob[:-1]):
        with pytest.raises(StateError, match="cut short or damaged"):
            fleet.load_state([0], [damaged], Readings.none())
    with pytest.raises(StateError, match="version 9"):
        fleet.load_state([0], [b"\x09" + blob[1:]], Readings.none())


def test_readings_that_storage_has_lost_end_no_alert():
    fleet = Fleet.compile([Profile.of([("r", STREET)])], [0, 0])
    state = fleet.step(fleet.empty_state(), Readings.of([0, 1], [0, 0], [0.12, 0.0])).state
    back = fleet.load_state([0], [state.dump(0)], Readings.none())
    outcome = fleet.step(back, Readings.of([0, 1], [MINUTE, MINUTE], [0.0, 0.12]))
    assert outcome.transitions.from_level.tolist() == [2, 0]


def test_a_rule_keeps_its_state_when_others_come_and_go():
    other = Threshold((Level(1.0, 0.5), Level(2.0, 1.5)))
    first = Fleet.compile([Profile.of([("r", STREET)])], [0])
    state = first.step(first.empty_state(), Readings.of(0, [0], [0.12])).state
    more = Threshold((Level(0.03, 0.01), *STREET.levels))
    then = Fleet.compile([Profile.of([("o", other), ("r", more)])], [0])
    back = then.load_state([0], [state.dump(0)], Readings.of(0, [0], [0.12]))
    outcome = then.step(back, Readings.of(0, [MINUTE], [0.0]))
    assert outcome.transitions.rule.tolist() == [1]
    assert outcome.transitions.to_level.tolist() == [0]


def test_too_many_levels_on_one_datastream_are_refused():
    eight = Threshold(tuple(Level(k + 1.0, k + 0.5) for k in range(8)))
    with pytest.raises(ParameterError, match="at most 16 levels"):
        Fleet.compile([Profile.of([("a", eight), ("b", eight), ("c", RISE)])], [0])


def test_the_dump_of_a_quiet_stream_is_small():
    fleet = Fleet.compile([Profile.of([("a", STREET), ("b", RISE)])], [0])
    readings = Readings.of(0, np.arange(1000) * MINUTE, np.zeros(1000))
    assert len(fleet.step(fleet.empty_state(), readings).state.dump(0)) <= 32
