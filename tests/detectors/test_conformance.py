"""What every rule must hold, whichever it is: one suite that all of them pass."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.consistency import ContactLadder, Neighbours, Stuck
from detectors.drift import Drift
from detectors.errors import ParameterError
from detectors.fleet import Fleet
from detectors.forecast import TimeToThreshold
from detectors.hourly import Attenuated, StepAgainstScatter
from detectors.profile import STREAM_KINDS, Profile
from detectors.profiles import DEFAULT_RULES, LEVEL_LABELS, default_rules, river_threshold
from detectors.quality import Climatology, FlatLine, GrossRange, RateOfChange, Season, Spike
from detectors.readings import Readings
from detectors.rules import KINDS, Level, RateOfRise, Silence, Threshold, rule_from_params
from detectors.track import Location, Speed
from tests.detectors.series import START, profiles, ramps, series, thresholds
from tests.detectors.twin import tell

NESTED = (Level(0.05, 0.02, 0.0, 600.0), Level(0.2, 0.1, 60.0, 60.0), Level(0.9, 0.5, 60.0, 0.0))
FALLING = tuple(Level(-v.on, -v.off, v.delay_on_s, v.delay_off_s) for v in NESTED)
STREAM_RULES = {
    "rising": Threshold(NESTED),
    "falling": Threshold(FALLING, direction="falling"),
    "ceiling": Threshold(NESTED, ceiling_per_h=6.0, noise=0.01, unconfirmed_from=3),
    "error codes": Threshold(NESTED, failed_may_raise=False),
    "rise": RateOfRise(limits_per_h=(0.3, 1.0), delay_off_s=120.0),
    "fall": RateOfRise(limits_per_h=(0.3,), delay_off_s=0.0, direction="falling"),
}
ALL_RULES = [
    *STREAM_RULES.values(),
    Silence(0.1, 86_400.0),
    GrossRange((0.0, 5.0), (0.0, 3.0)),
    Climatology((Season(11, 2, (0.0, 5.0)), Season(3, 10, (5.0, 30.0)))),
    Spike(0.1, 0.5),
    RateOfChange(0.01),
    FlatLine(3600.0, 7200.0, 0.001),
    Attenuated(0.5, 0.1),
    StepAgainstScatter(),
    Drift(0.2, 0.3),
    Location(5_000.0),
    Speed(),
    ContactLadder(600.0),
    Neighbours(),
    Stuck(),
    TimeToThreshold(),
]


@pytest.fixture(params=STREAM_RULES, scope="module")
def rule(request):
    return STREAM_RULES[request.param]


def decide(rule, times, values, *tests):
    fleet = Fleet.compile([Profile(tests, Profile.of([("r", rule)]).rules)], [0])
    return fleet.step(fleet.empty_state(), Readings.of(0, times, values))


def told(outcome):
    t = outcome.transitions
    return list(zip(t.time_ms.tolist(), t.from_level.tolist(), t.to_level.tolist(), strict=True))


any_series = series(50) | ramps(50)


def test_no_kind_of_rule_is_registered_that_is_not_held_to_this():
    assert {rule.kind for rule in ALL_RULES} == KINDS.keys()
    assert {type(rule) for rule in STREAM_RULES.values()} == set(STREAM_KINDS)


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.kind)
def test_a_rule_is_written_down_and_read_back(rule):
    params = rule.to_params()
    assert rule_from_params(rule.kind, params) == rule
    with pytest.raises(ParameterError, match="no such parameter"):
        rule_from_params(rule.kind, params | {"colour": "red"})
    with pytest.raises(ParameterError, match="object of parameters"):
        rule_from_params(rule.kind, [])


@given(any_series)
def test_missing_readings_neither_fire_nor_clear(rule, one):
    times, values = one
    for t, _, _ in told(decide(rule, times, values)):
        assert math.isfinite(values[times.index(t)])


@given(any_series)
def test_levels_follow_each_other_without_a_break(rule, one):
    level = 0
    for _, before, after in told(decide(rule, *one)):
        assert before == level != after
        level = after


@given(any_series, st.integers(-(10**12), 10**12))
def test_a_shift_in_time_shifts_the_answer(rule, one, shift):
    times, values = one
    moved = told(decide(rule, [t + shift for t in times], values))
    assert moved == [(t + shift, a, b) for t, a, b in told(decide(rule, times, values))]


@given(any_series, any_series)
def test_a_sensor_does_not_depend_on_its_neighbours_or_its_number(rule, one, other):
    fleet = Fleet.compile([Profile.of([("r", rule)])], [0, 0, 0])
    sensor = np.concatenate([np.full(len(one[0]), 2), np.full(len(other[0]), 1)])
    readings = Readings.of(sensor, [*one[0], *other[0]], [*one[1], *other[1]])
    moves = fleet.step(fleet.empty_state(), readings).transitions
    mine = moves.sensor == 2
    assert moves.time_ms[mine].tolist() == [t for t, _, _ in told(decide(rule, *one))]


@given(any_series, profiles())
def test_flags_are_qartods_and_good_means_evaluated(one, profile):
    fleet = Fleet.compile([profile], [0])
    outcome = fleet.step(fleet.empty_state(), Readings.of(0, *one))
    assert set(outcome.flag.tolist()) <= {1, 2, 3, 4, 9}
    assert ((outcome.flag == 9) == np.isnan(one[1])).all()
    assert (outcome.evaluated[np.isin(outcome.flag, (1, 3, 4))] != 0).all()
    assert (outcome.evaluated[np.isin(outcome.flag, (2, 9))] == 0).all()


@given(any_series, thresholds(), st.sampled_from((0.01, 0.1, 1.0)))
def test_raising_on_never_advances_an_alert(one, rule, by):
    sign = 1.0 if rule.direction == "rising" else -1.0
    higher = replace(
        rule,
        ceiling_per_h=None,
        levels=tuple(replace(level, on=level.on + sign * by) for level in rule.levels),
    )
    first, then = (told(decide(r, *one)) for r in (replace(rule, ceiling_per_h=None), higher))
    assert not then or (first and first[0][0] <= then[0][0])


@given(any_series, st.sampled_from(((0.1, 0.1), (0.3, 1.0))), st.sampled_from((0.05, 0.5, 5.0)))
def test_raising_a_rate_limit_never_advances_an_alert(one, limits, by):
    low = RateOfRise(limits_per_h=limits, interval_s=10.0)
    high = replace(low, limits_per_h=tuple(limit + by for limit in limits))
    first, then = told(decide(low, *one)), told(decide(high, *one))
    assert not then or (first and first[0][0] <= then[0][0])


@given(any_series, thresholds())
def test_no_level_is_on_above_one_that_is_off(one, rule):
    tell(Profile.of([("r", rule)]), *one)  # asserts it at every reading


def test_a_configuration_that_could_break_the_nesting_is_refused():
    for broken in (
        (Level(0.1, 0.05, 0.0, 0.0), Level(0.2, 0.15, 0.0, 60.0)),
        (Level(0.1, 0.05, 60.0, 0.0), Level(0.2, 0.15, 0.0, 0.0)),
        (Level(0.2, 0.15), Level(0.1, 0.05)),
        (Level(0.1, 0.05), Level(0.2, 0.01)),
    ):
        with pytest.raises(ParameterError):
            Threshold(broken)


@given(any_series)
def test_inputs_are_not_written(rule, one):
    times, values = np.array(one[0], np.int64), np.array(one[1], float)
    sensor = np.zeros(len(times), np.int32)
    for array in (times, values, sensor):
        array.flags.writeable = False
    fleet = Fleet.compile([Profile.of([("r", rule)])], [0])
    fleet.step(fleet.empty_state(), Readings(sensor, times, values))


@pytest.mark.parametrize("device", ["flood_contact", "flood_level", "pond_probe", "plow"])
@pytest.mark.parametrize("site", ["street", "underpass", "river", "pond", "depot", None])
def test_default_rules_compile_for_every_place_and_property(device, site):
    rules = default_rules(device, site)
    for prop in {rule.observed_property for rule in rules}:
        pairs = [
            (r.code, rule_from_params(r.kind, r.params))
            for r in rules
            if r.observed_property == prop
        ]
        fleet = Fleet.compile([Profile.of(pairs)], [0])
        fleet.step(fleet.empty_state(), Readings.of(0, [START], [0.0]))


def test_default_rules_have_codes_sources_and_labels():
    codes = [rule.code for rule in DEFAULT_RULES]
    assert len(set(codes)) == len(codes)
    named = {(label.scheme, label.level) for label in LEVEL_LABELS}
    for rule in DEFAULT_RULES:
        assert rule.source
        if isinstance(rule.rule, Threshold):
            assert all((rule.label_scheme, k) in named for k in range(len(rule.rule.levels) + 1))


def test_street_levels_end_above_zero_and_streets_use_no_river_words():
    street = next(rule.rule for rule in DEFAULT_RULES if rule.code == "street-depth")
    assert all(level.off >= 0.025 for level in street.levels)
    labels = [label for label in LEVEL_LABELS if label.scheme == "street"]
    assert not any(
        word in label.label_ja for label in labels for word in ("氾濫", "避難", "警報", "危険")
    )
    assert not {"#aa00aa", "#0c000c"} & {label.colour for label in labels}


def test_river_labels_change_their_wording_on_28_may_2026():
    river = [label for label in LEVEL_LABELS if (label.scheme, label.level) == ("river", 4)]
    old, new = sorted(river, key=lambda label: label.valid_from)
    assert (old.label_ja, new.label_ja) == ("氾濫危険水位（警戒レベル4相当）", "氾濫危険水位")
    assert new.valid_from.isoformat() == "2026-05-28T00:00:00+09:00"
    with pytest.raises(ParameterError, match="levels"):
        river_threshold([2.0, 1.0])
