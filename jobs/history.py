"""A datastream's stored readings decided on anew, in order of time, rules by phenomenon time."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from detectors.dump import nothing_since
from detectors.fleet import CONTEXT_ROWS, Fleet
from detectors.profile import Profile
from detectors.readings import Readings
from store import evidence
from store.episodes import Change
from store.evidence import Before
from store.ledger_writer import told
from store.marks import Mark
from store.rule_profile import AlertRule, Period
from store.times import moment
from store.unsettled import Stored

if TYPE_CHECKING:
    from detectors.state import State

# Readings stepped at once while nothing happens.
BLOCK: Final = 4096
# What a datastream is in on which nothing was decided yet.
EMPTY_STATE: Final = Fleet.compile([Profile()], [0]).empty_state().dump(0)


class History:
    """Goes over a datastream from a moment at which its detector state is known.

    Where a rule changes, the state is carried over as a gateway carries it over: dumped, and
    loaded under the new rules with the newest readings.

    Parameters
    ----------
    periods
        The rules of the datastream; see `store.rule_profile.timeline`.
    start
        The time through which `state` knows the readings, and the state; None: nothing yet.
    context : Readings
        The newest `CONTEXT_ROWS` readings through `start`, or all there are.

    Attributes
    ----------
    decided
        By rule code, its changes of level so far.
    through_ms
        Newest reading that was decided on.
    rules_since_ms
        Since when the rules hold under which it was.
    """

    def __init__(
        self, periods: Sequence[Period], start: tuple[int, bytes] | None, context: Readings
    ) -> None:
        self._periods = periods
        self._since = np.array([period.since_ms for period in periods], np.int64)
        self._blob = None if start is None else start[1]
        self._context = context
        self._period = -1
        self._passed_ms: int | None = None
        self._fleet: Fleet | None = None
        self._state: State | None = None
        self.decided: dict[str, list[Change]] = {
            version.code: [] for period in periods for version in period.compiled.versions
        }
        self.through_ms: int | None = None if start is None else start[0]
        self.rules_since_ms = 0

    @property
    def context(self) -> Readings:
        """The newest readings that were decided on."""
        return self._context

    @property
    def state(self) -> bytes | None:
        """The detector state now; None: nothing was decided on."""
        return self._blob if self._state is None else self._state.dump(0)

    def versions(self) -> list[AlertRule]:
        """Return the newest version of each alert rule that ever held."""
        newest = {
            version.code: version
            for period in self._periods
            for version in period.compiled.versions
        }
        return list(newest.values())

    def span(self) -> tuple[float, float]:
        """Return what the instrument can measure, by the rules that hold now."""
        return self._periods[max(self._period, 0)].compiled.span

    def go_on(self, stored: Stored) -> None:
        """Decide on the readings that follow."""
        readings = stored.readings
        period = np.searchsorted(self._since, readings.time_ms, side="right") - 1
        edges = [0, *(np.flatnonzero(np.diff(period)) + 1).tolist(), len(readings)]
        for low, high in itertools.pairwise(edges):
            number = int(period[low]) if high > low else -1
            # While no rule holds, nothing is decided and nothing remembered.
            if number < 0 or not self._periods[number].compiled.ruled:
                if high > low:
                    self._passed_ms = int(readings.time_ms[high - 1])
                continue
            self._enter(number)
            for at in range(low, high, BLOCK):
                self._take(stored.take(slice(at, min(at + BLOCK, high))))

    def _enter(self, number: int) -> None:
        if number == self._period:
            return
        blob = self.state
        if blob is None and self._passed_ms is not None:
            blob = nothing_since(self._passed_ms)
        self._period = number
        self._fleet = Fleet.compile([self._periods[number].compiled.profile], [0])
        self._state = (
            self._fleet.empty_state()
            if blob is None
            else self._fleet.load_state([0], [blob], self._context)
        )
        self.rules_since_ms = self._periods[number].since_ms

    def _take(self, block: Stored) -> None:
        """Step a block at once; where the level changes in it, again in steps that evidence keeps.

        Nearly all blocks are of dry days, and a step costs more than the readings in it.
        """
        assert self._fleet is not None, "a period was entered"
        assert self._state is not None, "a period was entered"
        outcome = self._fleet.step(self._state, block.readings)
        if not len(outcome.transitions):
            self._state = outcome.state
            self._remember(block.readings)
            return
        for at in range(0, len(block), evidence.STEP):
            some = block.take(slice(at, at + evidence.STEP))
            self._step(some.readings, some.marks)

    def _remember(self, readings: Readings) -> None:
        self._context = Readings(
            np.concatenate([self._context.sensor, readings.sensor])[-CONTEXT_ROWS:],
            np.concatenate([self._context.time_ms, readings.time_ms])[-CONTEXT_ROWS:],
            np.concatenate([self._context.value, readings.value])[-CONTEXT_ROWS:],
        )
        self.through_ms = int(readings.time_ms[-1])

    def _step(self, readings: Readings, marks: NDArray[np.int16]) -> None:
        assert self._fleet is not None, "a period was entered"
        assert self._state is not None, "a period was entered"
        before = Before(self._state.dump(0), self._context, readings)
        outcome = self._fleet.step(self._state, readings)
        moves, compiled = outcome.transitions, self._periods[self._period].compiled
        for i in range(len(moves)):
            version, time_ms = compiled.versions[int(moves.rule[i])], int(moves.time_ms[i])
            unconfirmed = bool(moves.unconfirmed[i])
            why = evidence.of_transition(
                [before], compiled.profile, version, time_ms, unconfirmed=unconfirmed
            )
            at = int(np.searchsorted(readings.time_ms, time_ms))
            self.decided[version.code].append(
                Change(
                    moment(time_ms),
                    int(moves.from_level[i]),
                    int(moves.to_level[i]),
                    told(float(moves.value[i])),
                    version.version,
                    why,
                    training=bool(marks[at] & Mark.TRAINING),
                )
            )
        self._state = outcome.state
        self._remember(readings)
