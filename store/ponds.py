"""The probes of ponds, and the datastreams that are derived from their readings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import class_row

from detectors.derived import LIFTED_OUT, Series
from detectors.flags import Flag, Test
from store import queries, unsettled
from store.batch_writer import BatchWriter
from store.database import Connection
from store.marks import Mark
from store.observations import Observations
from store.times import milliseconds, moment

_SQL = queries.load("ponds")
_KEPT: Final = int(Mark.TRAINING)


@dataclass(frozen=True, slots=True)
class Probe:
    """A datastream at a pond; `newest` is None while it never had a reading."""

    datastream_id: int
    device_id: int
    site_id: int | None
    tenant_id: int
    property: str
    derived: bool
    lat: float
    lon: float
    newest: datetime | None


@dataclass(frozen=True, eq=False)
class Origins:
    """When the readings of a device arrived, by phenomenon time.

    Attributes
    ----------
    time_ms, received_ms : int64[n]
    marks : int16[n]
        Of those that what is derived from a reading takes over.
    """

    time_ms: NDArray[np.int64]
    received_ms: NDArray[np.int64]
    marks: NDArray[np.int16]


def probes(conn: Connection, datastream_id: int) -> list[Probe]:
    """List all datastreams of the pond that a datastream belongs to, by device."""
    with conn.cursor(row_factory=class_row(Probe)) as cursor:
        return cursor.execute(_SQL["probes"], {"datastream_id": datastream_id}).fetchall()


def add_derived(conn: Connection, device_id: int, observed_property: str, unit: str) -> int | None:
    """Add a derived datastream; None: the device has a property of that name itself."""
    parameters = {"device_id": device_id, "property": observed_property, "unit": unit}
    row = conn.execute(_SQL["add_derived"], parameters).fetchone()
    return None if row is None else int(row[0])


def first_from(conn: Connection, datastream_ids: Sequence[int], from_ms: int | None) -> int | None:
    """Time of the oldest reading from a time on (None: of all); None: there is none."""
    parameters = {
        "datastream_ids": list(datastream_ids),
        "from_time": "-infinity" if from_ms is None else moment(from_ms),
    }
    [[found]] = conn.execute(_SQL["first_from"], parameters).fetchall()
    return None if found is None else milliseconds(found)


def series(conn: Connection, datastream_id: int, from_ms: int, until_ms: int) -> Series:
    """Read a datastream in `[from_ms, until_ms)`."""
    parameters = {
        "datastream_id": datastream_id,
        "from_time": moment(from_ms),
        "until_time": moment(until_ms),
    }
    found = conn.execute(_SQL["series"], parameters, binary=True).fetchall()
    return Series(
        np.array([row[0] for row in found], np.int64), np.array([row[1] for row in found], float)
    )


def origins(
    conn: Connection, datastream_ids: Sequence[int], from_ms: int, until_ms: int
) -> Origins:
    """Read when the readings of some datastreams in `[from_ms, until_ms)` arrived."""
    parameters = {
        "datastream_ids": list(datastream_ids),
        "from_time": moment(from_ms),
        "until_time": moment(until_ms),
        "kept": _KEPT,
    }
    found = conn.execute(_SQL["origins"], parameters, binary=True).fetchall()
    return Origins(
        np.array([row[0] for row in found], np.int64),
        np.array([row[1] for row in found], np.int64),
        np.array([row[2] for row in found], np.int16),
    )


def put_derived(
    conn: Connection,
    tenant_id: int,
    datastream_id: int,
    computed: Series,
    origins: Origins,
    until_ms: int,
) -> int:
    """Bring a derived datastream up to date, and ask for its alerts to be decided anew.

    Parameters
    ----------
    computed
        All its values from some time on, up to `until_ms`.
    origins
        With every time of `computed`.

    Returns
    -------
    int
        How many values are new or others than before.
    """
    if not len(computed.time_ms):
        return 0
    stored = series(conn, datastream_id, int(computed.time_ms[0]), until_ms)
    place = np.searchsorted(stored.time_ms, computed.time_ms)
    there = np.minimum(place, max(len(stored.time_ms) - 1, 0))
    same = np.zeros(len(computed.time_ms), np.bool_)
    if len(stored.time_ms):
        same = stored.time_ms[there] == computed.time_ms
        old = stored.value[there]
        same &= (old == computed.value) | (np.isnan(old) & np.isnan(computed.value))
    time_ms, value = computed.time_ms[~same], computed.value[~same]
    n = len(time_ms)
    if not n:
        return 0
    source = np.searchsorted(origins.time_ms, time_ms)
    known = ~np.isnan(value)
    rows = Observations(
        datastream_id=np.full(n, datastream_id, np.int32),
        tenant_id=np.full(n, tenant_id, np.int32),
        time_ms=time_ms,
        received_ms=origins.received_ms[source],
        value=value,
        seq=np.full(n, -1, np.int64),
        # What it rests on lies within what the probes can measure.
        flag=np.where(known, Flag.GOOD, Flag.MISSING).astype(np.uint8),
        evaluated=np.where(known, Test.GROSS_RANGE, 0).astype(np.int16),
        marks=origins.marks[source],
        rate_per_h=np.full(n, np.nan),
    )
    conn.execute(_SQL["put_derived"], rows.columns())
    writer = BatchWriter(conn, ())
    writer.follow(rows)
    writer.flush()
    unsettled.mark(conn, rows.datastream_id[:1], time_ms[:1])
    return n


def mark_changed_rules(conn: Connection) -> int:
    """Ask for derived datastreams whose rules changed to be decided anew; returns how many."""
    return conn.execute(_SQL["mark_changed_rules"]).rowcount


def thin_checkpoints(conn: Connection, datastream_ids: Sequence[int]) -> None:
    """Forget all but one checkpoint an hour of the newest day, and one a day before."""
    conn.execute(_SQL["thin_checkpoints"], {"datastream_ids": list(datastream_ids)})


def quiet_until(conn: Connection, datastream_id: int) -> datetime | None:
    """Tell until when the alerts of a datastream are held back; None: they are not.

    While the probes of its device are out of the water. That they are is itself not held back.
    """
    parameters = {"datastream_id": datastream_id, "lifted_out": LIFTED_OUT}
    row = conn.execute(_SQL["quiet_until"], parameters).fetchone()
    return None if row is None else row[0]
