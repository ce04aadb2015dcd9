"""State of a fleet: one table in memory, seen by each `State` as it was at its own moment."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import NEVER, RING, Bits, Index, Marks, Times, slots
from detectors.dump import Tail, pack
from detectors.hysteresis import Carry
from detectors.lanes import Lanes

# The ring's columns, as a strip names them too.
RING_COLUMNS: Final = ("time_ms", "value", "reach", "leave", "mark", "flag", "evaluated")

_Undo = list[tuple[str, Index, NDArray[Any]]]


class Table:
    """Struct of arrays of S sensors: a ring of readings, the state after it, the state before it.

    Attributes
    ----------
    count, next : int64[S]
        Readings in the ring, and the slot that the next one takes.
    time_ms, value, reach, leave, mark, flag, evaluated : [S, RING]
        The ring, as in `Strip`.
    head_bits, head_timer, head_flat : uint16[S], int64[S, K], int64[S]
        State after the newest reading.
    tail_bits, tail_timer, tail_flat : uint16[S], int64[S, K], int64[S]
        State after the last reading that left the ring.
    tail_ms : int64[S]
        Its time; NEVER: nothing has left the ring, it holds the whole series.
    """

    def __init__(self, sensors: int, lanes: Lanes, profile: Index) -> None:
        self.lanes: Final = lanes
        self.profile: Final = profile
        ring = (sensors, RING)
        self.count: Index = np.zeros(sensors, np.int64)
        self.next: Index = np.zeros(sensors, np.int64)
        self.time_ms: Times = np.zeros(ring, np.int64)
        self.value = np.zeros(ring, np.float64)
        self.reach: Bits = np.zeros(ring, np.uint16)
        self.leave: Bits = np.zeros(ring, np.uint16)
        self.mark: Marks = np.zeros(ring, np.uint8)
        self.flag = np.zeros(ring, np.uint8)
        self.evaluated = np.zeros(ring, np.int16)
        self.head_bits: Bits = np.zeros(sensors, np.uint16)
        self.tail_bits: Bits = np.zeros(sensors, np.uint16)
        self.head_timer: Times = np.full((sensors, lanes.count), NEVER, np.int64)
        self.tail_timer: Times = np.full((sensors, lanes.count), NEVER, np.int64)
        self.head_flat: Times = np.full(sensors, NEVER, np.int64)
        self.tail_flat: Times = np.full(sensors, NEVER, np.int64)
        self.tail_ms: Times = np.full(sensors, NEVER, np.int64)
        self._columns: Final[dict[str, NDArray[Any]]] = {
            name: array.reshape(-1) if name in RING_COLUMNS else array
            for name, array in vars(self).items()
            if isinstance(array, np.ndarray)
        }

    def column(self, name: str) -> NDArray[Any]:
        """Return an array by name; ring columns flat, sensor after sensor.

        Picking by one flat index is about twice as fast as by two.
        """
        return self._columns[name]

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(a.nbytes for a in vars(self).values() if isinstance(a, np.ndarray))

    def head(self, sensors: Index) -> Carry:
        """State after the newest reading of some sensors."""
        return Carry(self.head_bits[sensors], self.head_timer[sensors], self.head_flat[sensors])

    def tail(self, sensors: Index) -> Carry:
        """State before the ring of some sensors."""
        return Carry(self.tail_bits[sensors], self.tail_timer[sensors], self.tail_flat[sensors])

    def newest_ms(self, sensors: Index) -> Times:
        """Time of the newest reading; NEVER before the first.

        A ring that storage could not fill again is empty: then it is that of the last that left.
        """
        newest = self.column("time_ms")[sensors * RING + slots(self.next[sensors] - 1)]
        return np.where(self.count[sensors] > 0, newest, self.tail_ms[sensors])


class Write(NamedTuple):
    """One assignment ``table.column(name)[at] = values``."""

    name: str
    at: Index
    values: NDArray[Any]


class State:
    """What the fleet knows after some batches. A value: it never changes.

    Notes
    -----
    Successive states share one table. The newest is the table itself; an older one remembers
    what to put back, so that a step costs what the batch touches and not what the fleet holds,
    and a batch whose transaction failed can be stepped again from the same state. Going back
    and forth between states of one line is right but not free; several threads need a lock.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._newer: tuple[State, _Undo] | None = None

    def table(self) -> Table:
        """Return the table as of this state; valid until another state of the line is used."""
        if self._newer is not None:
            line: list[State] = [self]
            while (link := line[-1]._newer) is not None:  # noqa: SLF001 (same class)
                line.append(link[0])
            for older, newer in zip(line[-2::-1], line[:0:-1], strict=True):
                older._turn(newer)  # noqa: SLF001 (same class)
        return self._table

    def _turn(self, newer: "State") -> None:
        assert self._newer is not None
        redo: _Undo = []
        for name, at, values in reversed(self._newer[1]):
            array = self._table.column(name)
            redo.append((name, at, array[at]))
            array[at] = values
        self._newer = None
        newer._newer = (self, redo)  # noqa: SLF001 (same class)

    def written(self, writes: list[Write]) -> "State":
        """Return the state after some assignments."""
        table = self.table()
        undo: _Undo = []
        for name, at, values in writes:
            array = table.column(name)
            undo.append((name, at, array[at]))
            array[at] = values
        state = State(table)
        self._newer = (state, undo)
        return state

    def dump(self, sensor: int) -> bytes:
        """Return what the newest readings of a sensor cannot restore; see `Fleet.load_state`."""
        return self.dumps(np.array([sensor]))[0]

    def dumps(self, sensors: Index | NDArray[np.int32]) -> list[bytes]:
        """Dump many sensors at once, which is much faster than one by one."""
        table = self.table()
        sensors = np.asarray(sensors, np.int64)
        ids = table.lanes.ids[table.profile[sensors]]
        oldest = table.time_ms[sensors, slots(table.next[sensors] - table.count[sensors])]
        parts = zip(
            table.count[sensors].tolist(),
            oldest.tolist(),
            table.newest_ms(sensors).tolist(),
            table.tail_ms[sensors].tolist(),
            ids.tolist(),
            _tails(table.head(sensors)),
            _tails(table.tail(sensors)),
            strict=True,
        )
        return [pack(*part) for part in parts]


def _tails(carry: Carry) -> list[Tail]:
    return [
        Tail(bits, timer, flat)
        for bits, timer, flat in zip(
            carry.bits.tolist(), carry.timer.tolist(), carry.flat.tolist(), strict=True
        )
    ]


def rows_as_writes(source: Table, rows: Index, at: Index, like: Table | None = None) -> list[Write]:
    """Write all that a table knows about some sensors to others.

    Parameters
    ----------
    source
        Where it stands.
    rows, at : int64[T]
        The sensors there, and in the table that is written.
    like
        The table that is written, if it has other lanes than `source`: what lies in the lanes that
        both have is kept.
    """
    writes = []
    slots = np.arange(RING)
    for name, column in vars(source).items():
        if not isinstance(column, np.ndarray) or name == "profile":
            continue
        values = column[rows]
        if name in RING_COLUMNS:
            writes.append(Write(name, (at[:, None] * RING + slots).reshape(-1), values.reshape(-1)))
            continue
        if values.ndim > 1 and like is not None:
            both = min(source.lanes.count, like.lanes.count)
            fitted = np.full((len(rows), like.lanes.count), NEVER, values.dtype)
            fitted[:, :both] = values[:, :both]
            values = fitted
        writes.append(Write(name, at, values))
    return writes
