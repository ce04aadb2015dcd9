"""One sensor held against those of its place, by the rules that held at each reading's time."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Bools, Floats, Times
from detectors.consistency import (
    ContactLadder,
    Neighbours,
    Rung,
    Stuck,
    ladder_suspect,
    lonely_wet,
    stuck,
)
from detectors.flags import Flag, Test
from detectors.parameters import Parameters
from detectors.quality import GrossRange
from detectors.rules import Silence
from detectors.sensor_series import SensorSeries
from detectors.silence import silent_after_s
from store.rule_profile import Held
from store.streets import Sensor

KINDS: Final = (ContactLadder.kind, Neighbours.kind, Stuck.kind, GrossRange.kind)
R = TypeVar("R", bound=Parameters)


@dataclass(frozen=True, eq=False)
class Witness:
    """A sensor, the rules that held there, and its readings in order of time.

    Attributes
    ----------
    sensor : Sensor
    held : sequence of Held
    time_ms : int64[n]
    value : float64[n]
    """

    sensor: Sensor
    held: Sequence[Held]
    time_ms: Times
    value: Floats

    def rule(self, kind: type[R], at_ms: int) -> R | None:
        """Return the rule of a kind that holds at a time; of several the first by code."""
        return rule_at(self.held, kind, at_ms)

    @functools.cached_property
    def series(self) -> SensorSeries:
        """The readings as evidence: what the instrument cannot have measured is none.

        By the gross range and not by the stored flags: those depend on what had come by then.
        """
        value = self.value.copy()
        for begin_ms, end_ms in _periods(self.held):
            test = self.rule(GrossRange, begin_ms)
            if test is not None:
                low, high = test.sensor_span
                within = (self.time_ms >= begin_ms) & (self.time_ms < end_ms)
                value[within & ((value < low) | (value > high))] = np.nan
        value[np.isinf(value)] = np.nan
        return SensorSeries(self.time_ms, value, holds_ms(self.sensor))


@dataclass(frozen=True, eq=False)
class Place:
    """A sensor and those that it is held against.

    Attributes
    ----------
    own : Witness
    ladder : sequence of Witness
        Other contact devices of its site.
    near : sequence of (Witness, float)
        Neighbours with their distance in metres.
    """

    own: Witness
    ladder: Sequence[Witness]
    near: Sequence[tuple[Witness, float]]

    def judge(self, from_ms: int) -> tuple[Times, NDArray[np.uint8], NDArray[np.int16]]:
        """Judge the own readings from a time on.

        Returns
        -------
        time_ms : int64[m]
        flag : uint8[m]
            SUSPECT, GOOD, or NOT_EVALUATED where no rule holds or nobody is near.
        evaluated : int16[m]
            The tests that object to a suspect reading; else those that were evaluated.
        """
        time = self.own.time_ms
        against, tests = np.zeros(len(time), np.int16), np.zeros(len(time), np.int16)
        rows = time >= from_ms
        if rows.any():
            last_ms = int(time[-1])
            witnesses = (self.own.held, *(one.held for one in self.ladder))
            for begin_ms, end_ms in _periods(*witnesses):
                if begin_ms > last_ms or end_ms <= from_ms:
                    continue
                within = rows & (time >= begin_ms) & (time < end_ms)
                for test, suspect in self._verdicts(begin_ms):
                    tests[within & np.isfinite(self.own.series.value)] |= test
                    against[within & suspect] |= test
        flag = np.where(tests != 0, np.uint8(Flag.GOOD), np.uint8(Flag.NOT_EVALUATED))
        flag[against != 0] = Flag.SUSPECT
        evaluated = np.where(against != 0, against, tests)
        return time[rows], flag[rows], evaluated[rows]

    def _verdicts(self, at_ms: int) -> Iterator[tuple[np.int16, Bools]]:
        """Go through the tests that can be evaluated under the rules of a time."""
        own = self.own
        ladder = own.rule(ContactLadder, at_ms)
        if ladder is not None:
            rung = Rung(own.series, ladder.contacts_m)
            found = [
                ladder_suspect(
                    heartbeat_s(ladder, own.sensor, other.sensor),
                    rung,
                    Rung(other.series, theirs.contacts_m),
                )
                for other in self.ladder
                if (theirs := other.rule(ContactLadder, at_ms)) is not None
            ]
            if found:
                yield np.int16(Test.LADDER), np.logical_or.reduce(found)
        neighbours = own.rule(Neighbours, at_ms)
        if neighbours is not None:
            lower = [
                other.series
                for other, distance in self.near
                if distance <= neighbours.within_m
                and lies_lower(other.sensor, own.sensor, neighbours.lower_by_m)
            ]
            if lower:
                yield np.int16(Test.CONSISTENCY), lonely_wet(neighbours, own.series, lower)
        still = own.rule(Stuck, at_ms)
        if still is not None:
            near = [other for other, distance in self.near if distance <= still.within_m]
            if near:
                # The same height counts as well: whoever lies no lower.
                above = [lies_lower(own.sensor, other.sensor, 0.0) for other in near]
                around = [other.series for other in near]
                yield np.int16(Test.STUCK), stuck(still, own.series, around, above)


def rule_at(held: Sequence[Held], kind: type[R], at_ms: int) -> R | None:
    """Return the rule of a kind that holds at a time; of several the first by code."""
    past = [period for period in held if period.since_ms <= at_ms]
    if not past:
        return None
    rules = past[-1].rules
    return next((rule for _, rule in sorted(rules.items()) if isinstance(rule, kind)), None)


def lies_lower(one: Sensor, than: Sensor, by_m: float) -> bool:
    """Whether the ground of one sensor is known to lie so much lower than that of another."""
    if one.ground_m is None or than.ground_m is None:
        return False
    return one.ground_m <= than.ground_m - by_m


def holds_ms(sensor: Sensor) -> int:
    """For how long a reading speaks for the present: until its sensor counts as silent."""
    return _silent_after_ms(sensor.expected_interval_s)


@functools.cache  # a town has a handful of intervals
def _silent_after_ms(interval_s: float) -> int:
    return round(silent_after_s(Silence().loss_rate, interval_s) * 1000.0)


def heartbeat_s(rule: ContactLadder, own: Sensor, other: Sensor) -> float:
    """Return how long two contacts may honestly disagree."""
    if rule.heartbeat_s is not None:
        return rule.heartbeat_s
    return max(own.expected_interval_s, other.expected_interval_s)


def look_back_s(
    held: Sequence[Held], own: Sensor, others: Sequence[Sensor], *, still: bool
) -> float:
    """How far before a reading its verdict looks, by whatever version of the rules.

    Parameters
    ----------
    still
        Whether the flat line is looked at as well, which looks back for hours.
    """
    longest = 0.0
    for period in held:
        for rule in period.rules.values():
            match rule:
                case ContactLadder():
                    beats = [heartbeat_s(rule, own, other) for other in others]
                    longest = max([longest, *beats])
                case Neighbours():
                    longest = max(longest, rule.for_s)
                case Stuck() if still:
                    longest = max(longest, rule.flat_s)
                case _:
                    pass
    # What held at the window's beginning was said at most one such time before it.
    return longest + 2.0 * max(holds_ms(one) for one in (own, *others)) / 1000.0


def _periods(*timelines: Sequence[Held]) -> Iterator[tuple[int, int]]:
    """Go through the times between two changes of any of the rules: [begin, end) in ms."""
    edges = sorted({period.since_ms for held in timelines for period in held})
    if edges:
        yield from itertools.pairwise([*edges, int(np.iinfo(np.int64).max)])
