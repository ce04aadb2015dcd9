"""The present state of a town's devices: what lists and maps are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from store import clocks, queries
from store.database import Connection


@dataclass(frozen=True)
class Device:
    """A device with its site, its link and its newest position.

    ``link_*`` is None for a device without a link record, ``fix_*`` for one that never sent a
    position, ``site_*`` for one that belongs to no site, ``clock_*`` for one whose clock was never
    wrong (`clock_ahead_s` also where the last message was refused). `clock_offset_s` is how far its
    clock is ahead at least; None for one that never sent a time of its own.
    `clock_drift_s_per_day` is None where it does not gain or lose evenly, or not for long enough.
    """

    device_id: int
    site_id: int | None
    code: str
    kind: str
    state: str
    name_ja: str
    name_en: str
    lat: float | None
    lon: float | None
    expected_interval_s: float
    site_code: str | None
    site_kind: str | None
    site_name_ja: str | None
    site_name_en: str | None
    close_at_m: float | None
    crew_minutes: float | None
    link_state: str | None
    link_since: datetime | None
    last_received: datetime | None
    link_router: str | None  # the network gateway to whose outage its silence is put down
    fix_time: datetime | None
    fix_received: datetime | None
    fix_lat: float | None
    fix_lon: float | None
    speed_kmh: float | None
    course_deg: float | None
    blade: bool | None
    fix_flag: int | None
    fix_marks: int | None
    clock_too_early: int | None
    clock_in_future: int | None
    clock_suspect: int | None
    clock_last: datetime | None
    clock_ahead_s: float | None
    clock_offset_s: float | None
    clock_drift_s_per_day: float | None


@dataclass(frozen=True)
class Latest:
    """A datastream with its newest reading, newest by phenomenon time.

    ``time`` is None for one that never had a reading; ``value`` also where the reading has none.
    ``revised_flag`` is what stands in place of ``flag``, None if nothing else was said since.
    ``rate_per_h`` is in the datastream's unit per hour, None where it was not evaluated.
    """

    datastream_id: int
    device_id: int
    device_code: str
    device_state: str
    property: str
    unit: str
    derived: bool
    time: datetime | None
    received: datetime | None
    flag: int | None
    revised_flag: int | None
    marks: int | None
    rate_per_h: float | None
    value: float | None


@dataclass(frozen=True)
class TrackPoint:
    """One position of a plow; positions that failed quality control are not among them."""

    device_id: int
    time: datetime
    lat: float
    lon: float
    blade: bool | None


def devices(
    conn: Connection,
    *,
    code: str | None = None,
    ids: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
) -> list[Device]:
    """List devices by code; retired ones only when asked for by code."""
    parameters = {
        "code": code,
        "ids": _list(ids),
        "kinds": _list(kinds),
        "clock_window": clocks.WINDOW,
        "clock_line": clocks.LINE,
        "catching_up": clocks.CATCHING_UP_S_PER_DAY,
    }
    with conn.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute(queries.load("map")["devices"], parameters).fetchall()


def latest(
    conn: Connection,
    *,
    device_ids: Sequence[int] = (),
    datastream_ids: Sequence[int] = (),
) -> list[Latest]:
    """List these devices' datastreams, and these, with their newest readings, by device."""
    parameters = {"device_ids": list(device_ids), "datastream_ids": list(datastream_ids)}
    with conn.cursor(row_factory=class_row(Latest)) as cursor:
        return cursor.execute(queries.load("map")["latest"], parameters).fetchall()


def track_points(
    conn: Connection, device_ids: Sequence[int], start: datetime, stop: datetime, limit: int
) -> list[TrackPoint]:
    """Read positions in ``[start, stop)``, by device and phenomenon time."""
    parameters = {"device_ids": _list(device_ids), "start": start, "stop": stop, "limit": limit}
    with conn.cursor(row_factory=class_row(TrackPoint)) as cursor:
        return cursor.execute(queries.load("map")["track_points"], parameters).fetchall()


def _list(ids: Sequence[Any] | None) -> list[Any] | None:
    return None if ids is None else list(ids)
