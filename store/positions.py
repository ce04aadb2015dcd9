"""Fixes of vehicles on their way into their table."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.flags import Flag
from store import latest, queries
from store.binary import (
    BOOL,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    TIMESTAMPTZ,
    Column,
    copy_rows,
    use_columns,
)
from store.database import Connection
from store.observations import AlreadyStoredError

_SQL = queries.load("positions")


@dataclass(frozen=True, eq=False)
class Positions:
    """n rows of `position`; times are int64 milliseconds, places degrees.

    Null is -1 in `seq` and `blade`, NaN in `speed_kmh`, `course_deg` and `hdop`.
    """

    device_id: NDArray[np.int32]
    tenant_id: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    received_ms: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    seq: NDArray[np.int64]
    speed_kmh: NDArray[np.float64]
    course_deg: NDArray[np.float64]
    hdop: NDArray[np.float64]
    blade: NDArray[np.int8]
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]
    marks: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.time_ms)

    def columns(self) -> dict[str, Column]:
        """Return the columns of the table, in the statements' order."""
        return {
            "phenomenon_time": Column(TIMESTAMPTZ, self.time_ms),
            "received_time": Column(TIMESTAMPTZ, self.received_ms),
            "lat": Column(FLOAT8, self.lat),
            "lon": Column(FLOAT8, self.lon),
            "seq": Column(INT8, self.seq, self.seq < 0),
            "device_id": Column(INT4, self.device_id),
            "speed_kmh": Column(FLOAT4, self.speed_kmh, np.isnan(self.speed_kmh)),
            "course_deg": Column(FLOAT4, self.course_deg, np.isnan(self.course_deg)),
            "hdop": Column(FLOAT4, self.hdop, np.isnan(self.hdop)),
            "blade": Column(BOOL, np.maximum(self.blade, 0), self.blade < 0),
            "flag": Column(INT2, self.flag),
            "evaluated": Column(INT2, self.evaluated),
            "marks": Column(INT2, self.marks),
        }

    def take(self, index: NDArray[Any]) -> "Positions":
        """Rows picked by mask or index."""
        return Positions(*(getattr(self, field.name)[index] for field in fields(self)))


def known_positions(
    conn: Connection, device_id: NDArray[np.int32], time_ms: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Look which fixes are in `position` already.

    Parameters
    ----------
    device_id : int32[n]
    time_ms : int64[n]

    Returns
    -------
    intp[k]
        Their places in the arguments.
    """
    use_columns(conn)
    keys = {"device_id": Column(INT4, device_id), "phenomenon_time": Column(TIMESTAMPTZ, time_ms)}
    found = conn.execute(_SQL["known_positions"], keys, binary=True).fetchall()
    return np.array([row[0] - 1 for row in found], np.intp)


def fixes_before(
    conn: Connection, device_id: NDArray[np.int32], time_ms: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the stored fix before each, of those that have one within the day before.

    Parameters
    ----------
    device_id : int32[n]
    time_ms : int64[n]

    Returns
    -------
    intp[k], int64[k], float64[k], float64[k]
        Their places in the arguments; time (ms), latitude and longitude (degrees) of the fix
        before.
    """
    use_columns(conn)
    keys = {"device_id": Column(INT4, device_id), "phenomenon_time": Column(TIMESTAMPTZ, time_ms)}
    found = conn.execute(_SQL["fixes_before"], keys, binary=True).fetchall()
    return (
        np.array([row[0] - 1 for row in found], np.intp),
        np.array([row[1] for row in found], np.int64),
        np.array([row[2] for row in found], np.float64),
        np.array([row[3] for row in found], np.float64),
    )


def write_positions(conn: Connection, rows: Positions, *, copy: bool) -> None:
    """Write fixes, and the newest of each device to `latest_position`.

    A fix that failed or is missing (flags 4 and 9) is stored, but is nobody's latest position.

    Parameters
    ----------
    rows
        No two with one device and time.
    copy
        True: binary COPY, the fast way, which a row that is there already aborts together with
        the transaction (psycopg.errors.UniqueViolation). False: row by row.

    Raises
    ------
    AlreadyStoredError
        With `copy` False, if a row is there already. Roll back and look again.
    """
    if not len(rows):
        return
    use_columns(conn)
    columns = rows.columns()
    if copy:
        with conn.cursor() as cursor, cursor.copy(_SQL["copy_positions"]) as stream:
            stream.write(copy_rows(list(columns.values())))
    else:
        written = conn.execute(_SQL["insert_positions"], columns).rowcount
        if written != len(rows):
            missing = len(rows) - written
            raise AlreadyStoredError(f"{missing} of {len(rows)} fixes were stored meanwhile")
    placed = np.flatnonzero((rows.flag != Flag.FAIL) & (rows.flag != Flag.MISSING))
    if len(placed):
        order, last = latest.by_key(rows.device_id[placed], rows.time_ms[placed])
        newest = placed[order[last]]
        picked = {name: column.take(newest) for name, column in columns.items()}
        picked["tenant_id"] = Column(INT4, rows.tenant_id[newest])
        conn.execute(_SQL["upsert_latest_position"], picked)
