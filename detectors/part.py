"""What came of some of a batch's readings, and how the pieces join into one outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Bits, Bools, Floats, Index, Times
from detectors.lanes import Lanes
from detectors.outcome import Transitions, Verdicts, Windows
from detectors.state import Table, Write
from detectors.strip import BROKEN, Strip

_Columns = TypeVar("_Columns", Transitions, Verdicts, Windows)


@dataclass(frozen=True, eq=False)
class Accepted:
    """Accepted readings, by sensor and time.

    Attributes
    ----------
    row : int64[m]
        Their places in the batch.
    sensor, time_ms, value : [m]
    """

    row: Index
    sensor: Index
    time_ms: Times
    value: Floats

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: Bools | slice) -> "Accepted":
        """Some of them, in the same order."""
        return Accepted(self.row[index], self.sensor[index], self.time_ms[index], self.value[index])


@dataclass(frozen=True, eq=False)
class Group:
    """The T sensors of m readings that are sorted by sensor.

    Attributes
    ----------
    sensor : int64[T]
    owner : int64[m]
        Which of the T each reading is of.
    first, count : int64[T]
        Their first readings, and how many each has.
    """

    sensor: Index
    owner: Index
    first: Index
    count: Index

    @classmethod
    def of(cls, sensor: Index) -> "Group":
        """Find the sensors."""
        begins = np.empty(len(sensor), bool)
        begins[:1] = True
        np.not_equal(sensor[1:], sensor[:-1], out=begins[1:])
        first = begins.nonzero()[0]
        count = np.empty_like(first)
        np.subtract(first[1:], first[:-1], out=count[:-1])
        count[-1:] = len(sensor) - first[-1:]
        return cls(sensor[first], np.arange(len(first)).repeat(count), first, count)


@dataclass(frozen=True, eq=False)
class Part:
    """Pieces of an `Outcome`, and what is to be written.

    Attributes
    ----------
    row : int64[m]
        Readings of the batch that these are about.
    flag, evaluated, rate_per_h : uint8[m], int16[m], float64[m]
    touched : int64[t]
        Sensors whose state changes, ascending.
    transitions, windows, verdicts
        In the outcome's order.
    writes : list of Write
        Into the columns of the table.
    """

    row: Index
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]
    rate_per_h: Floats
    touched: Index
    transitions: Transitions
    windows: Windows
    verdicts: Verdicts
    writes: list[Write]


def transitions_of(
    table: Table, sensor: Index, strip: Strip, rows: Index, before: Bits, after: Bits
) -> Transitions:
    """Changes of level at `rows`, given the lanes that were on before and after each."""
    changed = (before != after).nonzero()[0]
    if not len(changed):
        return no_transitions()
    rows, before, after = rows[changed], before[changed], after[changed]
    owner = strip.owner[rows]
    profile = table.profile[sensor[owner]]
    pieces = []
    for rule in range(table.lanes.rule_mask.shape[1]):
        mask = table.lanes.rule_mask[profile, rule]
        low, high = np.bitwise_count(before & mask), np.bitwise_count(after & mask)
        at = np.flatnonzero(low != high)
        if not len(at):
            continue
        pieces.append(
            Transitions(
                sensor[owner[at]].astype(np.int32),
                np.full(len(at), rule, np.int32),
                strip.time_ms[rows[at]],
                low[at].astype(np.int16),
                high[at].astype(np.int16),
                strip.value[rows[at]],
                (high[at] > low[at])
                & (high[at] >= table.lanes.rule_tells[profile[at], rule])
                & _told_early(table.lanes, profile[at], rule, strip, rows[at]),
            )
        )
    return join(Transitions, pieces, no_transitions())


def _told_early(lanes: Lanes, profile: Index, rule: int, strip: Strip, rows: Index) -> Bools:
    """Whether a step beyond the ceiling, with no second reading yet, carried over `tell_at`."""
    at = (profile, lanes.rule_lane[profile, rule])
    prev = np.maximum(rows - 1, 0)
    before, value, sign = strip.value[prev], strip.value[rows], lanes.sign[at]
    linked = ((strip.mark[rows] & BROKEN) == 0) & np.isfinite(before) & np.isfinite(value)
    size = np.abs(np.subtract(value, before, out=np.zeros(len(rows)), where=linked))
    dt_ms = strip.time_ms[rows] - strip.time_ms[prev]
    jump = linked & (size > lanes.ceiling_per_ms[at] * dt_ms + lanes.slack[at])
    early: Bools = jump & (sign * value >= lanes.tell_at[at]) & (sign * before < lanes.tell_at[at])
    return early


@cache
def no_transitions() -> Transitions:
    """Nothing changed."""
    none = np.zeros(0, np.int32)
    level = np.zeros(0, np.int16)
    return Transitions(
        none, none, np.zeros(0, np.int64), level, level, np.zeros(0), np.zeros(0, bool)
    )


@cache
def no_windows() -> Windows:
    """Nothing was decided anew."""
    return Windows(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))


@cache
def no_verdicts() -> Verdicts:
    """No earlier flag changed."""
    return Verdicts(
        np.zeros(0, np.int32),
        np.zeros(0, np.int64),
        np.zeros(0, np.uint8),
        np.zeros(0, np.int16),
        np.zeros(0, bool),
    )


def join(kind: type[_Columns], pieces: Sequence[_Columns], empty: _Columns) -> _Columns:
    """Join structs of arrays, each sorted by sensor, rule (if any) and time, into one."""
    pieces = [piece for piece in pieces if len(piece)]
    if len(pieces) < 2:
        return pieces[0] if pieces else empty
    columns = {
        f.name: np.concatenate([getattr(piece, f.name) for piece in pieces]) for f in fields(kind)
    }
    keys = [columns[name] for name in ("time_ms", "rule", "sensor") if name in columns]
    order = np.lexsort(keys)
    return kind(**{name: column[order] for name, column in columns.items()})
