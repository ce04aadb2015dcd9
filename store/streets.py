"""Flood sensors of a town side by side: where they stand, how they moved, what they reported."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import class_row

from store import queries
from store.database import Connection

_SQL = queries.load("streets")


@dataclass(frozen=True, slots=True)
class Sensor:
    """A depth datastream of a flood sensor, and where it stands.

    The position is the device's own, or else its site's; the ground is its site's. None: unknown.
    `active` is false in maintenance, out of season and when retired: such a sensor is no witness.
    """

    datastream_id: int
    tenant_id: int
    site_id: int | None
    kind: str
    lat: float | None
    lon: float | None
    ground_m: float | None
    expected_interval_s: float
    active: bool


@dataclass(frozen=True, slots=True)
class Activity:
    """What a datastream did in some hours, from its rollups: a first look, never too strict.

    A reading that failed is not in an hour's values, so an hour that has one counts as any.

    Attributes
    ----------
    readings
    stirred, stirred_since
        Some value was high enough to be wet: at all, and in the hours that are gone over.
    moved
        Its highest and lowest value lie that far apart.
    still
        It did not change for a whole hour.
    """

    datastream_id: int
    readings: int
    stirred: bool
    stirred_since: bool
    moved: bool
    still: bool


def sensors_beside(conn: Connection, datastream_ids: Collection[int]) -> list[Sensor]:
    """List the flood sensors of the towns that these datastreams belong to."""
    with conn.cursor(row_factory=class_row(Sensor)) as cursor:
        parameters = {"datastream_ids": list(datastream_ids)}
        return cursor.execute(_SQL["sensors"], parameters).fetchall()


def activity(
    conn: Connection,
    tenant_ids: Collection[int],
    start: datetime,
    stop: datetime,
    *,
    back: timedelta,
    stir_m: float,
) -> dict[int, Activity]:
    """Tell how the flood sensors of towns moved in `[start, stop)` and for so long before.

    In whole hours; those without a reading are absent. `stir_m`: how much is wet, or a movement.
    """
    with conn.cursor(row_factory=class_row(Activity)) as cursor:
        parameters = {
            "tenant_ids": list(tenant_ids),
            "before": start - back,
            "start": start,
            "stop": stop,
            "stir_m": stir_m,
        }
        found = cursor.execute(_SQL["activity"], parameters).fetchall()
    return {row.datastream_id: row for row in found}


def readings(
    conn: Connection, since: Mapping[int, datetime], stop: datetime
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Read each of some datastreams from a time of its own on, up to `stop`.

    Returns
    -------
    dict of (int64[n], float64[n])
        By datastream: times in ms, ascending, and values; NaN where the device reported none.
    """
    parameters = {"datastream_ids": list(since), "since": list(since.values()), "stop": stop}
    found = conn.execute(_SQL["readings"], parameters, binary=True).fetchall()
    table = np.array(found, np.dtype([("id", np.int32), ("time", np.int64), ("value", np.float64)]))
    ids, first = np.unique(table["id"], return_index=True)
    series = {
        int(one): (part["time"].copy(), part["value"].copy())
        for one, part in zip(ids, np.split(table, first[1:]), strict=False)
    }
    nothing = np.zeros(0, np.int64), np.zeros(0)
    return {one: series.get(one, nothing) for one in since}


def newest(conn: Connection, datastream_ids: Collection[int]) -> datetime | None:
    """Tell the newest phenomenon time of some datastreams."""
    parameters = {"datastream_ids": list(datastream_ids)}
    row = conn.execute(_SQL["newest"], parameters).fetchone()
    return row[0] if row else None


def objected(
    conn: Connection, tenant_ids: Collection[int], start: datetime, stop: datetime
) -> set[int]:
    """List datastreams of which a review of streets has doubted a reading in `[start, stop)`."""
    parameters = {"tenant_ids": list(tenant_ids), "start": start, "stop": stop}
    return {int(row[0]) for row in conn.execute(_SQL["objected"], parameters).fetchall()}


def alerts_at(
    conn: Connection, datastream_ids: Sequence[int], times: Sequence[datetime]
) -> dict[int, list[int]]:
    """List the standing alerts that were open at readings, by town."""
    parameters = {"datastream_ids": list(datastream_ids), "times": list(times)}
    found: dict[int, list[int]] = {}
    for tenant_id, alert_id in conn.execute(_SQL["alerts_at"], parameters).fetchall():
        found.setdefault(int(tenant_id), []).append(int(alert_id))
    return found
