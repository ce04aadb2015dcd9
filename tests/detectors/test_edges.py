"""Every kind of rule at the edges: each is registered here, or a test fails.

One table of awkward series, one way to run each kind as it is run, and literal answers. What holds
for any series is held elsewhere: of streams in test_conformance, of the others by their plain loops
in test_twins, test_consistency and test_windows.
"""

import math
from itertools import pairwise

import numpy as np
import pytest

from detectors.consistency import (
    Neighbours,
    Rung,
    Stuck,
    ladder_suspect,
    lonely_wet,
    stuck,
)
from detectors.drift import Drift, daily_medians, drifted_days, flags_of_days
from detectors.errors import ParameterError
from detectors.fleet import Fleet
from detectors.forecast import Reach, TimeToThreshold, Tracks, arrival, follow
from detectors.hourly import Attenuated, StepAgainstScatter, attenuated, step_against_scatter
from detectors.profile import Profile
from detectors.quality import Climatology, FlatLine, GrossRange, RateOfChange, Season, Spike
from detectors.readings import Readings
from detectors.rules import KINDS, Level, RateOfRise, Silence, Threshold, rule_from_params
from detectors.sensor_series import SensorSeries
from detectors.silence import silent_after_s
from detectors.track import Location, Speed, distance_m, location_flags, speed_flags
from tests.detectors.ledger import Ledger

NAN = math.nan
MINUTE = 60_000

EDGES = {
    "empty": ([], []),
    "one": ([0], [0.5]),
    "all missing": ([0, MINUTE, 2 * MINUTE], [NAN] * 3),
    "missing before a jump": ([0, MINUTE, 2 * MINUTE, 3 * MINUTE], [0.0, NAN, 0.5, 0.5]),
    "sub-second": ([0, 400, 800, 1200], [0.0, 0.0, 0.5, 0.5]),
    "equal times": ([0, 0, MINUTE, MINUTE, MINUTE], [0.5, 0.5, 0.5, 0.0, 0.5]),
    "clock steps back": ([0, 2 * MINUTE, MINUTE, 3 * MINUTE], [0.0, 0.5, 0.0, 0.5]),
}


def streamed(profile, times, values):
    """Reading by reading, as they come; what the ledger holds in the end."""
    fleet = Fleet.compile([profile], [0])
    ledger, state = Ledger(), fleet.empty_state()
    for t, x in zip(times, values, strict=True):
        batch = Readings.of(0, [t], [x])
        outcome = fleet.step(state, batch)
        ledger.take(batch, outcome)
        state = outcome.state
    return ledger


def flags(test):
    def judge(times, values):
        ledger = streamed(Profile((test,)), times, values)
        return [ledger.flags[0, t][0] for t in ledger.series(0)]

    return judge


def levels(rule):
    def judge(times, values):
        ledger = streamed(Profile.of([("r", rule)]), times, values)
        return [(m[2], m[3], m[4]) for m in sorted(ledger.moves)]

    return judge


def stored(times, values):
    """As a job finds them: in order, the first of each moment."""
    rows: dict[int, float] = {}
    for t, x in zip(times, values, strict=True):
        rows.setdefault(t, x)
    ascending = sorted(rows)
    return np.array(ascending, np.int64), np.array([rows[t] for t in ascending], float)


def hourly(test, rule):
    def judge(times, values):
        time_ms, value = stored(times, values)
        return test(rule, time_ms, value, np.arange(len(value))).tolist()

    return judge


def drifting(times, values):
    time_ms, value = stored(times, values)
    days = daily_medians(time_ms, value, 0, 1)
    return flags_of_days(drifted_days(Drift(0.1, 0.1), days, np.zeros((0, 1))), 0, time_ms, value)


def series(times, values):
    return SensorSeries(*stored(times, values), 10 * MINUTE)


STILL = series([k * MINUTE for k in range(-30, 5)], [0.0] * 35)
MOVING = series([k * MINUTE for k in range(-30, 5)], [0.01 * k for k in range(35)])


def ladder(times, values):
    own, dry = Rung(series(times, values), (0.2,)), Rung(STILL, (0.1,))
    return ladder_suspect(30.0, own, dry).tolist()


def neighbours(times, values):
    return lonely_wet(Neighbours(dry_neighbours=1), series(times, values), [STILL]).tolist()


def standing_still(times, values):
    """A flat line of two hours at least: what is too short is no evidence."""
    return stuck(Stuck(flat_s=7200.0), series(times, values), [MOVING], [True]).tolist()


def ahead(times, values):
    rule, one, tracks, said = TimeToThreshold(), np.array([0]), Tracks.empty(1), []
    for t, x in zip(times, values, strict=True):
        tracks = follow(tracks, rule, one, np.array([t]), np.array([x]))
        said.append(Reach(arrival(tracks, rule, one, np.array([0.6])).reach[0]).name)
    return said


def moved(times, values):
    """Values as degrees of latitude on the meridian."""
    lat = np.array(values, float)
    apart = [NAN, *(distance_m(*np.array([[a], [0], [b], [0]]))[0] for a, b in pairwise(lat))]
    return lat, np.array(apart[: len(lat)], float), np.diff(times, prepend=times[:1]).astype(int)


def locations(times, values):
    lat, apart, _ = moved(times, values)
    return location_flags(Location(1_000.0), lat, 0.0 * lat, apart).tolist()


def speeds(times, values):
    _, apart, dt = moved(times, values)
    return speed_flags(Speed(), dt, apart).tolist()


def silences(times, values):  # noqa: ARG001 (silence looks at no value)
    """Between every two receptions: was the device silent?"""
    after_s = silent_after_s(Silence().loss_rate, 0.1)
    return [(b - a) / 1000.0 > after_s for a, b in pairwise(times)]


JUDGES = {
    "threshold": levels(Threshold((Level(0.1, 0.05), Level(0.5, 0.3)))),
    "rate_of_rise": levels(RateOfRise(limits_per_h=(0.6,), interval_s=1.0)),
    "silence": silences,
    "gross_range": flags(GrossRange((0.0, 1.0), (0.0, 0.4))),
    "climatology": flags(Climatology((Season(1, 1, (0.0, 0.4)),))),
    "spike": flags(Spike(0.1, 0.2)),
    "rate_of_change": flags(RateOfChange(0.001)),
    "flat_line": flags(FlatLine(60.0, 120.0)),
    "attenuated": hourly(attenuated, Attenuated(0.6, 0.1, 120.0)),
    "step_against_scatter": hourly(step_against_scatter, StepAgainstScatter(window_s=60.0)),
    "drift": lambda times, values: drifting(times, values).tolist(),
    "location": locations,
    "speed": speeds,
    "contact_ladder": ladder,
    "neighbours": neighbours,
    "stuck": standing_still,
    "time_to_threshold": ahead,
}
SOON, NEXT = 800, 2 * MINUTE
N, F, T = "NOTHING", False, True
# In the order of EDGES. Stored series are judged in order, one reading a moment; a stream takes a
# second value for a moment as a conflict, and one from behind in its place.
ANSWERS = {
    "threshold": [[], [(0, 0, 2)], [], [(NEXT, 0, 2)], [(SOON, 0, 2)], [(0, 0, 2)], [(NEXT, 0, 2)]],
    "rate_of_rise": [[], [], [], [], [], [], []],
    "silence": [[], [], [T, T], [T, T, T], [F, F, F], [F, T, F, F], [T, F, T]],
    "gross_range": [[], [3], [9, 9, 9], [1, 9, 3, 3], [1, 1, 3, 3], [3, 3], [1, 1, 3, 3]],
    "climatology": [[], [3], [9, 9, 9], [1, 9, 3, 3], [1, 1, 3, 3], [3, 3], [1, 1, 3, 3]],
    "spike": [[], [2], [9, 9, 9], [2, 9, 2, 2], [2, 4, 4, 2], [2, 2], [2, 4, 4, 2]],
    "rate_of_change": [[], [2], [9, 9, 9], [2, 9, 2, 1], [2, 1, 3, 1], [2, 1], [2, 1, 3, 1]],
    "flat_line": [[], [1], [9, 9, 9], [1, 9, 1, 1], [1, 1, 1, 1], [1, 1], [1, 1, 1, 1]],
    "attenuated": [[], [2], [9, 9, 9], [2, 9, 2, 2], [2, 2, 2, 2], [2, 2], [2, 2, 3, 3]],
    "step_against_scatter": [
        [], [2], [9, 9, 9], [2, 9, 2, 2], [2, 2, 2, 2], [2, 2], [2, 2, 2, 2],
    ],
    "drift": [[], [2], [9, 9, 9], [2, 9, 2, 2], [2, 2, 2, 2], [2, 2], [2, 2, 2, 2]],
    "location": [
        [], [1], [9, 9, 9], [1, 9, 1, 1], [1, 1, 3, 1], [1, 1, 1, 3, 3], [1, 3, 3, 3],
    ],
    "speed": [[], [2], [2, 2, 2], [2, 2, 2, 1], [2, 1, 4, 1], [2, 1, 1, 3, 3], [2, 4, 3, 4]],
    "contact_ladder": [[], [F], [F, F, F], [F, F, F, T], [F, F, F, F], [F, T], [F, F, F, T]],
    "neighbours": [[], [T], [F, F, F], [F, F, T, T], [F, F, T, T], [T, T], [F, F, T, T]],
    "stuck": [[], [F], [F, F, F], [F, F, F, F], [F, F, F, F], [F, F], [F, F, F, F]],
    "time_to_threshold": [[], [N], [N] * 3, [N] * 4, [N] * 4, [N] * 5, [N] * 4],
}  # fmt: skip


def test_no_kind_of_rule_is_registered_without_answers_here():
    assert JUDGES.keys() == ANSWERS.keys() == KINDS.keys() == ZERO.keys()


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("kind", KINDS)
def test_at_the_edges_every_kind_says_what_it_must(kind, edge):
    answers = dict(zip(EDGES, ANSWERS[kind], strict=True))
    assert JUDGES[kind](*EDGES[edge]) == answers[edge]


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("silence", "location", "speed")])
def test_a_jump_after_a_missing_reading_is_what_it_is_without_it(kind):
    """What is missing is no evidence: it neither hides the jump nor makes another verdict of it."""
    times, values = EDGES["missing before a jump"]
    known = [k for k, x in enumerate(values) if not math.isnan(x)]
    said = JUDGES[kind](times, values)
    bare = JUDGES[kind]([times[k] for k in known], [values[k] for k in known])
    if kind in ("rate_of_change", "spike", "step_against_scatter"):
        assert said[2] == 2  # not evaluated: nobody knows how steep it was
    elif kind in ("threshold", "rate_of_rise"):
        assert said == bare
    else:
        assert [said[k] for k in known] == bare


MINUTES = [k * MINUTE for k in range(5)]
# A limit of zero is a limit, or refused in words: it never switches a rule off.
ZERO = {
    "threshold": (levels(Threshold((Level(0.0, -1.0),))), [-0.5, 0.0, 0.0, -1.0, -1.0],
                  [(MINUTE, 0, 1), (3 * MINUTE, 1, 0)]),
    "rate_of_rise": ("limits_per_h", {"limits_per_h": [0.0]}),
    "silence": ("loss_rate", {"loss_rate": 0.0}),
    "gross_range": (flags(GrossRange((0.0, 0.0))), [0.0, 1e-9, -1e-9, NAN, 0.0], [1, 4, 4, 9, 1]),
    "climatology": (flags(Climatology((Season(1, 1, (0.0, 0.0)),))),
                    [0.0, 1e-9, -1e-9, NAN, 0.0], [1, 3, 3, 9, 1]),
    "spike": (flags(Spike(0.0, 0.5)), [0.0, 0.0, 1e-9, 1e-9, 1e-9], [2, 3, 3, 1, 2]),
    "rate_of_change": (flags(RateOfChange(0.0)), [0.0, 0.0, 1e-9, 1e-9, 0.0], [2, 1, 3, 1, 3]),
    "flat_line": (flags(FlatLine(60.0, None, 0.0)), [0.0] * 3 + [1e-9] * 2, [1, 1, 3, 1, 1]),
    "attenuated": (hourly(attenuated, Attenuated(0.0, 0.0, 120.0)), [0.0] * 5, [2, 2, 1, 1, 1]),
    "step_against_scatter": (
        hourly(step_against_scatter, StepAgainstScatter(window_s=120.0, smallest=0.0)),
        [0.0, 0.0, 0.0, 0.0, 1e-9], [2, 2, 2, 1, 3]),
    "drift": ("limit", {"limit": 0.0}),
    "location": ("most_m", {"most_m": 0.0}),
    "speed": ("suspect_kmh", {"suspect_kmh": 0.0}),
    "contact_ladder": ("heartbeat_s", {"heartbeat_s": 0.0}),
    "neighbours": (
        lambda times, values: lonely_wet(
            Neighbours(dry_neighbours=1, for_s=0.0, dry_m=0.0, lower_by_m=0.0),
            series(times, values), [STILL]).tolist(),
        [0.05, 0.0, NAN, 0.04, 0.05], [T, F, F, F, T]),
    "stuck": ("moved_m", {"moved_m": 0.0}),
    "time_to_threshold": ("noise", {"noise": 0.0}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_of_zero_is_a_limit_or_is_refused(kind):
    if isinstance(ZERO[kind][0], str):
        field, params = ZERO[kind]
        with pytest.raises(ParameterError) as caught:
            rule_from_params(kind, params)
        assert caught.value.field == field
        return
    judge, values, answer = ZERO[kind]
    assert judge(MINUTES, values) == answer
