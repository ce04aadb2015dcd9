"""State of a fleet: one table in memory, seen by each `State` as it was at its own moment."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import NEVER, RING, Bits, Index, Marks, Times, slots
from detectors.dump import pack
from detectors.hysteresis import Carry
from detectors.lanes import Lanes

# The ring's columns, as a strip names them too.
RING_COLUMNS: Final = ("time_ms", "value", "reach", "leave", "mark", "flag", "evaluated")
# The state machine's columns, as a carry names them too, and its two states of a sensor.
STATE_COLUMNS: Final = ("bits", "timer", "flat")
HEAD, TAIL = 0, 1

# Several of a sensor, which lie flat one after the other.
_NESTED: Final = dict.fromkeys(RING_COLUMNS, RING) | dict.fromkeys(STATE_COLUMNS, 2)

_Undo = list[tuple[str, Index, NDArray[Any]]]


class Table:
    """Struct of arrays of S sensors: a ring of readings, the state after it, the state before it.

    Attributes
    ----------
    count, next : int64[S]
        Readings in the ring, and the slot that the next one takes.
    time_ms, value, reach, leave, mark, flag, evaluated : [S, RING]
        The ring, as in `Strip`.
    bits, timer, flat : uint16[S, 2], int64[S, 2, K], int64[S, 2]
        State after the newest reading (HEAD), and after the last reading that left the ring (TAIL).
    tail_ms : int64[S]
        Time of that one; `begin_ms`: nothing has left the ring, it holds the whole series.
    begin_ms : int64[S]
        The series began after this time: what is not newer was stored already, and is not decided
        on. NEVER: it began with the first reading that is stored.
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
        self.bits: Bits = np.zeros((sensors, 2), np.uint16)
        self.timer: Times = np.full((sensors, 2, lanes.count), NEVER, np.int64)
        self.flat: Times = np.full((sensors, 2), NEVER, np.int64)
        self.tail_ms: Times = np.full(sensors, NEVER, np.int64)
        self.begin_ms: Times = np.full(sensors, NEVER, np.int64)
        self._columns: Final[dict[str, NDArray[Any]]] = {
            name: _flat(array) if name in _NESTED else array
            for name, array in vars(self).items()
            if isinstance(array, np.ndarray)
        }

    def column(self, name: str) -> NDArray[Any]:
        """Return an array by name; what a sensor has several of lies flat, sensor after sensor.

        Picking by one flat index is about twice as fast as by two.
        """
        return self._columns[name]

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(a.nbytes for a in vars(self).values() if isinstance(a, np.ndarray))

    def states(self, places: Index) -> Carry:
        """State machines at flat places: HEAD or TAIL of a sensor s is at 2 s or 2 s + 1."""
        columns = self._columns
        return Carry(columns["bits"][places], columns["timer"][places], columns["flat"][places])

    def newest_ms(self, sensors: Index) -> Times:
        """Time of the newest reading; NEVER before the first.

        A ring that storage could not fill again is empty: then it is that of the last that left;
        and before the first of a series, where it begins.
        """
        newest = self.column("time_ms")[sensors * RING + slots(self.next[sensors] - 1)]
        return np.where(self.count[sensors] > 0, newest, self.tail_ms[sensors])


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Join the first two axes."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


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
        count = table.count[sensors]
        oldest = sensors * RING + slots(table.next[sensors] - count)
        both = table.states(2 * sensors[:, None] + np.array([HEAD, TAIL]))
        columns = (
            count,
            table.column("time_ms")[oldest],
            table.newest_ms(sensors),
            table.tail_ms[sensors],
            table.begin_ms[sensors],
            table.lanes.ids[table.profile[sensors]],
            both.bits,
            both.timer,
            both.flat,
        )
        return list(map(pack, *(column.tolist() for column in columns)))


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
    for name, column in vars(source).items():
        if not isinstance(column, np.ndarray) or name == "profile":
            continue
        values, place = column[rows], at
        if name == "timer" and like is not None:
            both = min(source.lanes.count, like.lanes.count)
            fitted = np.full((len(rows), 2, like.lanes.count), NEVER, np.int64)
            fitted[..., :both] = values[..., :both]
            values = fitted
        if name in _NESTED:
            place = (at[:, None] * _NESTED[name] + np.arange(_NESTED[name])).reshape(-1)
            values = _flat(values)
        writes.append(Write(name, place, values))
    return writes
