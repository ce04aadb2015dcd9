"""Datastreams whose alerts have to be decided anew from storage, and what that reads and writes."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import class_row

from detectors.readings import Readings
from store import queries
from store.binary import INT4, TIMESTAMPTZ, Column
from store.database import Connection
from store.marks import Mark
from store.times import milliseconds, moment

_SQL = queries.load("unsettled")
PIECE: Final = 50_000


@dataclass(frozen=True)
class Unsettled:
    """A datastream to be decided anew, and its detector state (None: nothing was decided yet)."""

    from_time: datetime
    times_marked: int
    revision: int | None
    through_time: datetime | None
    rules_since: datetime | None
    state: bytes | None


@dataclass(frozen=True)
class StreamRow:
    """Whose datastream it is."""

    datastream_id: int
    tenant_id: int
    device_code: str
    town_code: str
    training: bool
    expected_interval_s: float


@dataclass(frozen=True, eq=False)
class Stored:
    """Stored readings of one datastream (as sensor 0), in order of time.

    Attributes
    ----------
    readings : Readings
    marks : int16[n]
        Of `store.marks.Mark`.
    """

    readings: Readings
    marks: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.readings)

    def take(self, rows: slice) -> "Stored":
        """Return some of them."""
        return Stored(self.readings.take(np.arange(len(self))[rows]), self.marks[rows])

    @property
    def unsettled_ms(self) -> NDArray[np.int64]:
        """Times of those that were late and are not settled yet."""
        late = self.marks & np.int16(Mark.LATE | Mark.SETTLED) == np.int16(Mark.LATE)
        times: NDArray[np.int64] = self.readings.time_ms[late]
        return times


def mark(conn: Connection, datastream_id: NDArray[np.int32], from_ms: NDArray[np.int64]) -> None:
    """Ask for datastreams to be decided anew.

    Parameters
    ----------
    datastream_id : int32[n]
        Some may come twice.
    from_ms : int64[n]
        From which phenomenon time on.
    """
    if len(datastream_id):
        columns = {
            "datastream_id": Column(INT4, datastream_id),
            "from_time": Column(TIMESTAMPTZ, from_ms),
        }
        conn.execute(_SQL["mark"], columns)


def waiting(conn: Connection, skip: Collection[int] = (), limit: int = 100) -> list[int]:
    """List datastreams that wait, those that were marked first in front."""
    found = conn.execute(_SQL["waiting"], {"skip": list(skip), "limit": limit}).fetchall()
    return [int(row[0]) for row in found]


def count(conn: Connection) -> tuple[int, float]:
    """Count what waits; and for how many seconds the longest does."""
    [[datastreams, oldest_s]] = conn.execute(_SQL["count"]).fetchall()
    return int(datastreams), float(oldest_s or 0.0)


def look(conn: Connection, datastream_id: int) -> Unsettled | None:
    """Read how a datastream stands; None: it is settled."""
    with conn.cursor(row_factory=class_row(Unsettled)) as cursor:
        parameters = {"datastream_id": datastream_id}
        return cursor.execute(_SQL["look"], parameters, binary=True).fetchone()


def lock(conn: Connection, datastream_id: int, empty_state: bytes) -> None:
    """Keep gateways and other settlements from the datastream until the transaction ends."""
    parameters = {"datastream_id": datastream_id, "state": empty_state}
    for name in ("make_state", "lock_state", "lock_mark"):
        conn.execute(_SQL[name], parameters)


def stream(conn: Connection, datastream_id: int) -> StreamRow:
    """Read whose datastream it is."""
    with conn.cursor(row_factory=class_row(StreamRow)) as cursor:
        [row] = cursor.execute(_SQL["stream"], {"datastream_id": datastream_id}).fetchall()
    return row


def readings(
    conn: Connection, datastream_id: int, *, after_ms: int | None, through_ms: int | None
) -> Iterator[Stored]:
    """Read a datastream after a time (None: from the beginning), up to and with another.

    In pieces, so that ten years of it are no question of memory.
    """
    while True:
        piece = _piece(conn, datastream_id, after_ms, through_ms)
        if len(piece):
            yield piece
        if len(piece) < PIECE:
            return
        after_ms = int(piece.readings.time_ms[-1])


def _piece(
    conn: Connection, datastream_id: int, after_ms: int | None, through_ms: int | None
) -> Stored:
    parameters = {
        "datastream_id": datastream_id,
        "after": "-infinity" if after_ms is None else moment(after_ms),
        "through": None if through_ms is None else moment(through_ms),
        "rows": PIECE,
    }
    return _stored(conn.execute(_SQL["readings"], parameters, binary=True).fetchall())


def readings_before(conn: Connection, datastream_id: int, through_ms: int, rows: int) -> Stored:
    """Read the newest so many up to and with a time."""
    parameters = {
        "datastream_id": datastream_id,
        "through": moment(through_ms),
        "rows": rows,
    }
    found = conn.execute(_SQL["readings_before"], parameters, binary=True).fetchall()
    return _stored(found[::-1])


def mark_settled(conn: Connection, datastream_id: int, times_ms: NDArray[np.int64]) -> None:
    """Write down that the late readings of these phenomenon times (int64[n]) are decided on."""
    if len(times_ms):
        parameters = {
            "datastream_id": datastream_id,
            "settled": int(Mark.SETTLED),
            "times": [moment(t) for t in times_ms.tolist()],
        }
        conn.execute(_SQL["mark_settled"], parameters)


def write_state(
    conn: Connection, datastream_id: int, state: bytes, *, through_ms: int, rules_since_ms: int
) -> None:
    """Replace a detector state; gateways that hold the old one then read this one."""
    parameters = {
        "datastream_id": datastream_id,
        "state": state,
        "through_time": moment(through_ms),
        "rules_since": moment(rules_since_ms),
    }
    conn.execute(_SQL["write_state"], parameters)


def done(conn: Connection, datastream_id: int) -> None:
    """Take a datastream off the list."""
    conn.execute(_SQL["done"], {"datastream_id": datastream_id})


def checkpoint_before(
    conn: Connection, datastream_id: int, before: datetime
) -> tuple[int, bytes] | None:
    """Return the newest moment before a time at which the state is known, and the state.

    Where readings were deleted since, the oldest moment from which on they are all there, which
    may be later than `before`: what was deleted is not decided on anew.
    """
    parameters = {"datastream_id": datastream_id, "before": before}
    row = conn.execute(_SQL["checkpoint_before"], parameters, binary=True).fetchone()
    if row is None:
        row = conn.execute(_SQL["checkpoint_kept"], parameters, binary=True).fetchone()
    return None if row is None else (milliseconds(row[0]), bytes(row[1]))


def forget_checkpoint(conn: Connection, datastream_id: int, through_ms: int) -> None:
    """Forget one checkpoint, which cannot be read."""
    parameters = {"datastream_id": datastream_id, "through_time": moment(through_ms)}
    conn.execute(_SQL["forget_checkpoint"], parameters)


def mark_for_checkpoint(conn: Connection, after_s: float, limit: int) -> int:
    """Ask for new checkpoints where the newest is long past; returns for how many datastreams."""
    parameters = {"after_s": after_s, "limit": limit}
    return conn.execute(_SQL["mark_for_checkpoint"], parameters).rowcount


def replace_checkpoints(
    conn: Connection, datastream_id: int, from_time: datetime, known: tuple[int, bytes] | None
) -> None:
    """Forget the checkpoints from a time on, and keep a new one."""
    row = {"datastream_id": datastream_id, "from_time": from_time}
    conn.execute(_SQL["forget_checkpoints"], row)
    if known is not None:
        parameters = {**row, "through_time": moment(known[0]), "state": known[1]}
        conn.execute(_SQL["add_checkpoint"], parameters)


def _stored(found: Sequence[tuple[Any, ...]]) -> Stored:
    times = np.array([row[0] for row in found], np.int64)
    values = np.array([row[1] for row in found], np.float64)
    return Stored(Readings.of(0, times, values), np.array([row[2] for row in found], np.int16))
