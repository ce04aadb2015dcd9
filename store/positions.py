"""Fixes of vehicles on their way into their table, with the flags of their places."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.flags import Flag, Test
from detectors.track import Location, location_flags
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
)
from store.database import Connection
from store.marks import Mark
from store.observations import AlreadyStoredError

_SQL = queries.load("positions")


@dataclass(frozen=True, slots=True)
class Position:
    """One GPS fix. Numbers the device left out are None, a number of its own is -1."""

    device_id: int
    tenant_id: int
    time_ms: int
    received_ms: int
    lat: float | None
    lon: float | None
    speed_kmh: float | None
    course_deg: float | None
    hdop: float | None
    blade: bool | None
    seq: int
    marks: int


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

    @classmethod
    def of(cls, fixes: Sequence[Position]) -> "Positions":
        """Lay fixes out in columns, with the flags of their places; see `place_flags`."""
        lat, lon = _floats([fix.lat for fix in fixes]), _floats([fix.lon for fix in fixes])
        marks = np.array([fix.marks for fix in fixes], np.int16)
        flag, evaluated = place_flags(lat, lon, marks)
        return cls(
            device_id=np.array([fix.device_id for fix in fixes], np.int32),
            tenant_id=np.array([fix.tenant_id for fix in fixes], np.int32),
            time_ms=np.array([fix.time_ms for fix in fixes], np.int64),
            received_ms=np.array([fix.received_ms for fix in fixes], np.int64),
            lat=lat,
            lon=lon,
            seq=np.array([fix.seq for fix in fixes], np.int64),
            speed_kmh=_floats([fix.speed_kmh for fix in fixes]),
            course_deg=_floats([fix.course_deg for fix in fixes]),
            hdop=_floats([fix.hdop for fix in fixes]),
            blade=np.array([-1 if fix.blade is None else int(fix.blade) for fix in fixes], np.int8),
            flag=flag,
            evaluated=evaluated,
            marks=marks,
        )

    def content(self) -> NDArray[np.float64]:
        """Return float64[n, 6]: what tells a fix from another one, as the table keeps it."""
        measures = [
            column.astype(np.float32) for column in (self.speed_kmh, self.course_deg, self.hdop)
        ]
        # Adding nothing makes one zero of two.
        return np.column_stack([self.lat, self.lon, *measures, self.blade]).astype(np.float64) + 0.0

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


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def place_flags(
    lat: NDArray[np.float64], lon: NDArray[np.float64], marks: NDArray[np.int16]
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Flag fixes by their places alone; what was contradicted is suspect at least.

    Parameters
    ----------
    lat, lon : float64[n]
        Degrees; NaN: missing.
    marks : int16[n]

    Returns
    -------
    uint8[n], int16[n]
        Flags, and the tests that were evaluated.
    """
    flag = location_flags(Location(), lat, lon, np.full(len(lat), np.nan))
    evaluated = np.full(len(lat), Test.LOCATION, np.int16)
    contradicted = marks & np.int16(Mark.CONFLICT) != 0
    suspect = contradicted & (flag != Flag.MISSING)
    flag[suspect] = np.maximum(flag[suspect], Flag.SUSPECT)
    evaluated[contradicted] |= Test.CONFLICT
    return flag, evaluated


NO_POSITIONS: Final = Positions.of(())


def equal_content(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return bool[n]: which fixes are the same; both float64[n, 6] of `Positions.content`."""
    equal: NDArray[np.bool_] = ((one == other) | (np.isnan(one) & np.isnan(other))).all(axis=1)
    return equal


def known_positions(
    conn: Connection, device_id: NDArray[np.int32], time_ms: NDArray[np.int64]
) -> tuple[NDArray[np.intp], Positions]:
    """Look which fixes are in `position` already.

    Parameters
    ----------
    device_id : int32[n]
    time_ms : int64[n]

    Returns
    -------
    intp[k], Positions
        Their places in the arguments, and what is stored; of it `content` and `seq` count.
    """
    keys = {"device_id": Column(INT4, device_id), "phenomenon_time": Column(TIMESTAMPTZ, time_ms)}
    found = conn.execute(_SQL["known_positions"], keys, binary=True).fetchall()
    places = np.array([row[0] - 1 for row in found], np.intp)
    stored = [Position(0, 0, 0, 0, *row[1:]) for row in found]
    return places, Positions.of(stored)


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
