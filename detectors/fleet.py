"""The streaming core: a fleet of sensors, stepped by micro-batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors import ordered, reordered, singly
from detectors.arrays import CONTEXT_ROWS, RING, Bools, Index
from detectors.checks import Checks, Verdict
from detectors.flags import Flag, Test
from detectors.intake import Intake
from detectors.lanes import Lanes
from detectors.outcome import Outcome, Transitions, Verdicts, Windows
from detectors.part import Accepted, Part, join, no_transitions, no_verdicts, no_windows
from detectors.plain_profile import PlainProfiles
from detectors.profile import Profile
from detectors.readings import Readings
from detectors.restore import restore
from detectors.state import State, Table, Write, rows_as_writes

__all__ = ["CONTEXT_ROWS", "RING", "Fleet"]

# Readings decided on at a time: their arrays stay within the processor's cache.
_CHUNK: Final = 16_384


@dataclass(frozen=True, eq=False)
class Fleet:
    """Sensors and what is decided about their readings.

    Attributes
    ----------
    profiles : tuple of Profile
    sensor_profile : int64[S]
        Profile of each sensor.

    Examples
    --------
    >>> from detectors.rules import Level, Threshold
    >>> depth = Threshold((Level(0.10, 0.05), Level(0.20, 0.15)))
    >>> fleet = Fleet.compile([Profile.of([("street-depth", depth)])], [0])
    >>> outcome = fleet.step(fleet.empty_state(), Readings.of(0, [0, 60_000], [0.0, 0.25]))
    >>> outcome.transitions.to_level.tolist()
    [2]
    """

    profiles: tuple[Profile, ...]
    sensor_profile: Index
    _lanes: Lanes
    _checks: Checks
    _plain: PlainProfiles

    @classmethod
    def compile(cls, profiles: Sequence[Profile], sensor_profile: ArrayLike) -> Self:
        """Lay the profiles out in tables.

        Parameters
        ----------
        profiles : sequence of Profile
        sensor_profile : int[S]
            Index into `profiles` for each sensor.

        Raises
        ------
        ParameterError
            Rules that do not fit together on one datastream.
        ValueError
            A sensor's profile does not exist.
        """
        of = np.asarray(sensor_profile, np.int64).reshape(-1)
        if len(of) and not (of.min() >= 0 and of.max() < len(profiles)):
            raise ValueError(f"sensor_profile points outside of the {len(profiles)} profiles")
        lanes, checks = Lanes.compile(profiles), Checks.compile(profiles)
        return cls(tuple(profiles), of, lanes, checks, PlainProfiles(lanes, checks))

    def empty_state(self) -> State:
        """State before the first reading."""
        return State(Table(len(self.sensor_profile), self._lanes, self.sensor_profile))

    def load_state(self, sensors: ArrayLike, blobs: Sequence[bytes], context: Readings) -> State:
        """Restore sensors from their dumps and their newest stored readings.

        Parameters
        ----------
        sensors : int[T]
        blobs : sequence of T bytes
            From `State.dump`, also of a fleet with other rules: a rule keeps its state by its key.
        context : Readings
            Of these sensors, the newest `CONTEXT_ROWS` each at least, in any order, without those
            that were late. Others and newer ones are ignored.

        Returns
        -------
        State
            The sensors that are not named are as in `empty_state`.

        Raises
        ------
        StateError
            A dump is damaged or of another release.
        """
        table = Table(len(self.sensor_profile), self._lanes, self.sensor_profile)
        restore(table, self._checks, np.asarray(sensors, np.int64).reshape(-1), blobs, context)
        return State(table)

    def reload(
        self, state: State, sensors: ArrayLike, blobs: Sequence[bytes], context: Readings
    ) -> State:
        """Replace what a state says about some sensors; the other parameters as in `load_state`.

        Parameters
        ----------
        state : State
            Keeps its meaning.

        Raises
        ------
        StateError
            A dump is damaged or of another release.
        """
        at = np.unique(np.asarray(sensors, np.int64).reshape(-1))
        place = np.searchsorted(at, np.asarray(sensors, np.int64).reshape(-1))
        own = np.isin(context.sensor, at)
        near = Readings(
            np.searchsorted(at, context.sensor[own]).astype(np.int32),
            context.time_ms[own],
            context.value[own],
        )
        table = Table(len(at), self._lanes, self.sensor_profile[at])
        restore(table, self._checks, place, blobs, near)
        return state.written(rows_as_writes(table, np.arange(len(at)), at))

    def carry_over(
        self, state: State, sensors: ArrayLike, former: State, formerly: ArrayLike
    ) -> tuple[State, Bools]:
        """Take over what another fleet knows about sensors whose rules are the same in both.

        Parameters
        ----------
        state : State
            Of this fleet; keeps its meaning.
        sensors : int[T]
            In this fleet, none twice.
        former : State
            Of the other fleet.
        formerly : int[T]
            The same sensors in the other fleet. Their profiles there must be equal to those here.

        Returns
        -------
        State
        bool[T]
            Which were taken over. Where a rule's lanes lie elsewhere now, as another profile has
            more levels than any had, a sensor has to be restored from its dump.
        """
        here, there = (np.asarray(s, np.int64).reshape(-1) for s in (sensors, formerly))
        table, source = state.table(), former.table()
        pairs = np.stack([table.profile[here], source.profile[there]])
        kinds, kind = np.unique(pairs, axis=1, return_inverse=True)
        alike = [
            table.lanes.lies_as(new, source.lanes, old)
            for new, old in zip(*kinds.tolist(), strict=True)
        ]
        fit = np.array(alike, np.bool_)[kind.reshape(-1)]
        return state.written(rows_as_writes(source, there[fit], here[fit], table)), fit

    def step(self, state: State, readings: Readings) -> Outcome:
        """Decide about a batch of readings in any order.

        Parameters
        ----------
        state : State
            Keeps its meaning.
        readings : Readings
            Not written.

        Returns
        -------
        Outcome

        Raises
        ------
        ValueError
            A sensor that the fleet does not have.

        Notes
        -----
        Cutting an ordered stream into other batches, and any order within a batch, gives the same
        bits. So does any order of arrival within the lateness bound, once all has arrived.
        """
        table = state.table()
        intake = Intake.sort(readings, table)
        accepted = Accepted(intake.rows, intake.sensor, intake.time_ms, intake.value)
        if np.count_nonzero(intake.reorders):
            mixed = _mixed(intake)
            in_order, behind = accepted.take(~mixed), accepted.take(mixed)
        else:
            in_order, behind = accepted, accepted.take(slice(0))
        parts = [self._advance(table, c) for c in _chunks(in_order)]
        parts += [reordered.settle(table, self._checks, c) for c in _chunks(behind)]
        return self._outcome(state, readings, intake, parts)

    def _advance(self, table: Table, accepted: Accepted) -> Part:
        """Decide on readings in order."""
        if singly.suits(accepted):
            part = singly.advance(table, self._plain, accepted)
            if part is not None:
                return part
        return ordered.advance(table, self._checks, accepted)

    def _outcome(
        self, state: State, readings: Readings, intake: Intake, parts: list[Part]
    ) -> Outcome:
        flag, evaluated = self._alone(readings, intake)
        rate = np.full(len(readings), np.nan)
        writes: list[Write] = []
        for part in parts:
            flag[part.row], evaluated[part.row] = part.flag, part.evaluated
            rate[part.row] = part.rate_per_h
            writes += part.writes
        if len(intake.repeat):
            flag[intake.repeat] = flag[intake.twin]
            evaluated[intake.repeat] = evaluated[intake.twin]
        touched = np.concatenate([np.zeros(0, np.int64), *(part.touched for part in parts)])
        if len(parts) > 1:
            touched.sort()
        return Outcome(
            state=state.written(writes),
            flag=flag,
            evaluated=evaluated,
            late=intake.late,
            duplicate=intake.duplicate,
            conflict=intake.conflict,
            rate_per_h=rate,
            touched=touched.astype(np.int32),
            transitions=join(Transitions, [p.transitions for p in parts], no_transitions()),
            windows=join(Windows, [p.windows for p in parts], no_windows()),
            verdicts=join(Verdicts, [p.verdicts for p in parts], no_verdicts()),
        )

    def _alone(
        self, readings: Readings, intake: Intake
    ) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        """Flag what is not decided on in its place: late, duplicate, conflict."""
        n = len(readings)
        flag = np.full(n, int(Flag.NOT_EVALUATED), np.uint8)
        evaluated = np.zeros(n, np.int16)
        at = (intake.late | intake.conflict | intake.duplicate).nonzero()[0]
        if len(at):
            value = readings.value[at]
            verdict = Verdict.blank(len(at))
            profile = self.sensor_profile[readings.sensor[at]]
            self._checks.alone(verdict, profile, readings.time_ms[at], value)
            clash = intake.conflict[at]
            verdict.add(Test.CONFLICT, clash, clash)
            flag[at], evaluated[at] = verdict.flag(np.isnan(value)), verdict.evaluated
        return flag, evaluated


def _mixed(intake: Intake) -> Bools:
    """Readings of the sensors that have any reading to be sorted in."""
    behind = np.zeros(int(intake.sensor[-1]) + 1, bool)
    behind[intake.sensor[intake.reorders]] = True
    mixed: Bools = behind[intake.sensor]
    return mixed


def _chunks(some: Accepted) -> Iterator[Accepted]:
    """Cut into pieces of whole sensors, of about `_CHUNK` readings."""
    if len(some) <= _CHUNK:
        yield from [some] * (len(some) > 0)
        return
    begins = np.flatnonzero(np.diff(some.sensor, prepend=-1))
    cuts = np.unique(np.searchsorted(begins, np.arange(0, len(some), _CHUNK), side="right") - 1)
    for low, high in pairwise([*begins[cuts].tolist(), len(some)]):
        yield some.take(slice(low, high))
