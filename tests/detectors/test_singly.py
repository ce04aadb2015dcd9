"""A handful of readings decided one by one, held equal to the core's own way, bit for bit."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import ordered, singly
from detectors.checks import Checks
from detectors.fleet import Fleet
from detectors.intake import Intake
from detectors.lanes import Lanes
from detectors.part import Accepted
from detectors.plain_profile import PlainProfiles
from detectors.plain_slope import guarded_slope
from detectors.profile import Profile
from detectors.profiles import DEFAULT_RULES
from detectors.readings import Readings
from detectors.slope import guarded_slopes
from detectors.state import State, Table
from tests.detectors.series import START, profiles, ramps, series

MORE = settings(max_examples=max(200, settings.default.max_examples))
MINUTE = 60_000


class Both:
    """A fleet whose every batch is decided in both ways."""

    def __init__(self, kinds, of):
        self.lanes, self.checks = Lanes.compile(kinds), Checks.compile(kinds)
        self.plain = PlainProfiles(self.lanes, self.checks)
        self.state = State(Table(len(of), self.lanes, np.array(of, np.int64)))
        self.singly = self.left = 0

    def step(self, sensors, times, values):
        """Take one reading of each of these sensors."""
        intake = Intake.sort(Readings.of(sensors, times, values), self.state.table())
        accepted = Accepted(intake.rows, intake.sensor, intake.time_ms, intake.value)
        assert singly.suits(accepted)
        many = ordered.advance(self.state.table(), self.checks, accepted)
        few = singly.advance(self.state.table(), self.plain, accepted)
        after = self.state.written(many.writes)
        if few is None:
            assert len(many.transitions)
            self.left += 1
        else:
            self.singly += 1
            wanted = columns(after.table())
            assert_same(parts(few), parts(many))
            assert_same(columns(self.state.written(few.writes).table()), wanted)
            after = self.state.written(many.writes)
        self.state = after


def columns(table):
    return {k: v.copy() for k, v in vars(table).items() if isinstance(v, np.ndarray)}


def parts(part):
    found = {f.name: getattr(part, f.name) for f in fields(part) if f.name != "writes"}
    for name in ("transitions", "windows", "verdicts"):
        of = found.pop(name)
        found |= {f"{name}.{f.name}": getattr(of, f.name) for f in fields(of)}
    return found


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, column in one.items():
        assert column.dtype == other[name].dtype, name
        assert np.array_equal(*(bits(c) for c in (column, other[name]))), name


def bits(column):
    """Floats as their bits, but one NaN: its sign and payload mean nothing."""
    if column.dtype != np.float64:
        return column
    return np.where(np.isnan(column), np.nan, column).view(np.int64)


@given(st.data())
def test_one_by_one_gives_the_bits_of_all_at_once(data):
    kinds = data.draw(st.lists(profiles(), min_size=1, max_size=3))
    lines = [data.draw(series(60) | ramps(60)) for _ in range(data.draw(st.integers(1, 4)))]
    both = Both(kinds, [data.draw(st.integers(0, len(kinds) - 1)) for _ in lines])
    places = [0] * len(lines)
    while any(place < len(times) for place, (times, _) in zip(places, lines, strict=True)):
        due = [s for s, (times, _) in enumerate(lines) if places[s] < len(times)]
        # Some of them, so that rings fill at different paces.
        some = [s for s in due if data.draw(st.integers(0, 3))] or due[:1]
        both.step(
            some,
            [lines[s][0][places[s]] for s in some],
            [lines[s][1][places[s]] for s in some],
        )
        for s in some:
            places[s] += 1


@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_what_a_town_starts_with_is_decided_one_by_one_but_for_the_changes_of_level(noise):
    """Every default rule of a datastream, dry for an hour, in flood for two, dry again."""
    by_property = {}
    for rule in DEFAULT_RULES:
        key = (rule.device_kind, rule.observed_property, rule.site_kinds)
        by_property.setdefault(key, []).append((rule.code, rule.rule))
    kinds = [Profile.of(rules) for rules in by_property.values()]
    both = Both(kinds, range(len(kinds)))
    rng = np.random.default_rng(7)
    depth = np.concatenate([np.zeros(60), np.linspace(0.0, 0.5, 60), np.linspace(0.5, 0, 60),
                            np.zeros(60)])  # fmt: skip
    for minute, level in enumerate(depth):
        for low in range(0, len(kinds), singly.MOST):
            some = np.arange(low, min(low + singly.MOST, len(kinds)))
            value = rng.normal(level, noise, len(some))
            both.step(some, np.full(len(some), START + minute * MINUTE), value)
    assert both.left
    assert both.singly > 10 * both.left


def test_the_fleet_goes_by_it_only_for_a_few_of_different_sensors(monkeypatch):
    taken = []
    advance = singly.advance

    def seen(table, profiles_of, accepted):
        taken.append(len(accepted))
        return advance(table, profiles_of, accepted)

    monkeypatch.setattr(singly, "advance", seen)
    many = singly.MOST + 1
    fleet = Fleet.compile([Profile()], np.zeros(many, int))
    state = fleet.empty_state()
    state = fleet.step(state, Readings.of(np.arange(3), [START] * 3, [0.0] * 3)).state
    state = fleet.step(state, Readings.of([0, 0], [START + 1, START + 2], [0.0] * 2)).state
    fleet.step(state, Readings.of(np.arange(many), [START + 9] * many, [0.0] * many))
    assert taken == [3]


windows = st.lists(
    st.tuples(
        st.integers(1, 400_000),
        st.sampled_from((0.0, 0.001, 0.01, 0.5, -0.02)) | st.floats(-9.0, 9.0, width=32),
    ),
    max_size=15,
)


@MORE
@given(windows, st.sampled_from((0.0, 0.005)))
def test_the_slope_of_one_window_has_the_bits_of_many(steps, noise):
    hours, values = [0.0], [0.0]
    for step_ms, value in steps:
        hours.append(hours[-1] - step_ms / 3.6e6)
        values.append(value)
    fit = guarded_slopes(
        np.array(hours)[:, None],
        np.array(values)[:, None],
        np.ones((len(hours), 1), bool),
        np.array([noise]),
        np.array([1.3]),
    )
    found = guarded_slope(hours, values, noise, 1.3)
    assert_same({"fit": np.array(found)}, {"fit": np.array([fit.per_h[0], fit.error[0]])})
