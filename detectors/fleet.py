"""The streaming core: a fleet of sensors, stepped by micro-batches."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.flags import Flag, Test
from detectors.outcome import Outcome, Transitions, Verdicts, Windows
from detectors.profile import Profile
from detectors.quality import GrossRange
from detectors.readings import Readings
from detectors.rules import Threshold
from detectors.state import SensorState, State, load_sensor

# Readings per sensor, newest last and not marked late, that `load_state` wants beside a blob.
CONTEXT_ROWS: Final = 48


@dataclass(frozen=True, eq=False)
class Fleet:
    """Sensors and their profiles.

    Attributes
    ----------
    profiles : tuple of Profile
    sensor_profile : int32[S]
    """

    profiles: tuple[Profile, ...]
    sensor_profile: NDArray[np.int32]

    @classmethod
    def compile(cls, profiles: Sequence[Profile], sensor_profile: ArrayLike) -> Self:
        """Prepare the tables for a fleet; `sensor_profile[s]` is the profile of sensor s."""
        return cls(tuple(profiles), np.asarray(sensor_profile, np.int32))

    def empty_state(self) -> State:
        """State before the first reading."""
        return State({})

    def load_state(self, sensors: ArrayLike, blobs: Sequence[bytes], context: Readings) -> State:
        """Restore the state of `sensors` from their dumps and their newest stored readings."""
        state = {int(s): load_sensor(b) for s, b in zip(np.asarray(sensors), blobs, strict=True)}
        for s, t, v in zip(context.sensor, context.time_ms, context.value, strict=True):
            if int(s) in state:
                state[int(s)].seen.append((int(t), float(v)))
        return State(state)

    def step(self, state: State, readings: Readings) -> Outcome:
        """Decide about a batch; neither `state` nor `readings` is written."""
        n = len(readings)
        flag = np.full(n, Flag.NOT_EVALUATED, np.uint8)
        evaluated = np.zeros(n, np.int16)
        late, duplicate, conflict = (np.zeros(n, bool) for _ in range(3))
        sensors = dict(state.sensors)
        touched: dict[int, SensorState] = {}
        moves: list[tuple[int, int, int, int, int, float]] = []
        for i in np.lexsort((readings.value, readings.time_ms, readings.sensor)):
            s, t, x = int(readings.sensor[i]), int(readings.time_ms[i]), float(readings.value[i])
            profile = self.profiles[self.sensor_profile[s]]
            flag[i], evaluated[i] = _quality(profile, x)
            if s not in touched:
                touched[s] = deepcopy(sensors.get(s, SensorState()))
            one = touched[s]
            known = dict(one.seen)
            if t in known:
                same = known[t] == x or (np.isnan(known[t]) and np.isnan(x))
                (duplicate if same else conflict)[i] = True
                continue
            if one.last_ms is not None and t <= one.last_ms:
                late[i] = True
                continue
            one.seen = [*one.seen, (t, x)][-CONTEXT_ROWS:]
            gap = one.last_ms is None or t - one.last_ms > profile.max_gap_s * 1000
            one.last_ms = t
            moves += [(s, *move) for move in _decide(profile, one, t, x, gap)]
        sensors |= touched
        moves.sort(key=lambda m: m[:3])
        columns = list(zip(*moves, strict=True)) if moves else [()] * 6
        return Outcome(
            state=State(sensors),
            flag=flag,
            evaluated=evaluated,
            late=late,
            duplicate=duplicate,
            conflict=conflict,
            rate_per_h=np.full(n, np.nan),
            touched=np.array(sorted(touched), np.int32),
            transitions=Transitions(
                sensor=np.array(columns[0], np.int32),
                rule=np.array(columns[1], np.int32),
                time_ms=np.array(columns[2], np.int64),
                from_level=np.array(columns[3], np.int16),
                to_level=np.array(columns[4], np.int16),
                value=np.array(columns[5], np.float64),
                unconfirmed=np.zeros(len(moves), bool),
            ),
            windows=Windows(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64)),
            verdicts=Verdicts(
                np.zeros(0, np.int32),
                np.zeros(0, np.int64),
                np.zeros(0, np.uint8),
                np.zeros(0, np.int16),
                np.zeros(0, bool),
            ),
        )


def _quality(profile: Profile, x: float) -> tuple[int, int]:
    for test in profile.quality:
        if isinstance(test, GrossRange):
            if np.isnan(x):
                return Flag.MISSING, Test.GROSS_RANGE
            user = test.user_span or test.sensor_span
            if not test.sensor_span[0] <= x <= test.sensor_span[1]:
                return Flag.FAIL, Test.GROSS_RANGE
            inside = user[0] <= x <= user[1]
            return (Flag.GOOD if inside else Flag.SUSPECT), Test.GROSS_RANGE
    return (Flag.MISSING if np.isnan(x) else Flag.NOT_EVALUATED), 0


def _decide(
    profile: Profile, one: SensorState, t: int, x: float, gap: bool
) -> list[tuple[int, int, int, int, float]]:
    moves = []
    for r, keyed in enumerate(profile.rules):
        rule = keyed.rule
        levels = rule.levels if isinstance(rule, Threshold) else ()
        if r >= len(one.bits):
            one.bits.append([False] * len(levels))
            one.run_a.append([None] * len(levels))
            one.run_b.append([None] * len(levels))
        before = sum(one.bits[r])
        if not isinstance(rule, Threshold):
            continue
        sign = 1.0 if rule.direction == "rising" else -1.0
        for k, level in enumerate(levels):
            for run, meets, delay, to in (
                (one.run_a[r], sign * x >= sign * level.on, level.delay_on_s, True),
                (one.run_b[r], sign * x <= sign * level.off, level.delay_off_s, False),
            ):
                start = run[k]
                run[k] = None if not meets else t if gap or start is None else start
                begun = run[k]
                if begun is not None and t - begun >= delay * 1000:
                    one.bits[r][k] = to
        after = sum(one.bits[r])
        if after != before:
            moves.append((r, t, before, after, x))
    return moves
