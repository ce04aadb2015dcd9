"""Observations of one datastream, as a reader asks for them."""

import enum
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from psycopg.rows import class_row

from store import queries
from store.database import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RESOLUTION = timedelta(microseconds=1)  # of stored time


class Bucket(enum.StrEnum):
    """How observations are summed up."""

    RAW = "raw"
    TEN_MINUTES = "10m"
    HOUR = "1h"
    DAY = "1d"


@dataclass(frozen=True)
class Datastream:
    """Whose observations they are."""

    datastream_id: int
    property: str
    unit: str
    device: str


@dataclass(frozen=True)
class Observation:
    """One stored reading; ``value`` is None where the device reported none, or not a number.

    ``flag`` was given in real time; ``revised_flag`` is what stands since, None if nothing else
    was said.
    """

    time: datetime
    flag: int
    value: float | None
    revised_flag: int | None = None


@dataclass(frozen=True)
class Summary:
    """The readings of one bucket; ``time`` is its start.

    ``n`` counts readings with a value, ``n_suspect`` those with flag 3 or 4, as it stands.
    """

    time: datetime
    n: int
    n_suspect: int
    min: float | None
    max: float | None
    mean: float | None
    last: float | None


@dataclass(frozen=True)
class Span:
    """Which part of a datastream is asked for: ``[start, stop)``, both timezone-aware."""

    datastream_id: int
    start: datetime
    stop: datetime


def datastream(conn: Connection, datastream_id: int) -> Datastream | None:
    """Find a datastream of the town."""
    with conn.cursor(row_factory=class_row(Datastream)) as cursor:
        return cursor.execute(
            queries.load("readings")["datastream"], {"datastream_id": datastream_id}
        ).fetchone()


def raw(conn: Connection, span: Span, limit: int) -> list[Observation]:
    """Read at most ``limit`` observations, oldest first."""
    sql = queries.load("readings")
    with conn.cursor(row_factory=class_row(Observation)) as cursor:
        rows = cursor.execute(sql["raw"], {**vars(span), "limit": limit}).fetchall()
    if not rows:
        return rows
    # Two statements: both find their rows by an index, however many readings were revised.
    parameters = {"start": rows[0].time, "through": rows[-1].time}
    revised: dict[datetime, int] = dict(
        conn.execute(sql["revised"], {"datastream_id": span.datastream_id, **parameters}).fetchall()
    )
    return [replace(row, revised_flag=revised.get(row.time)) for row in rows] if revised else rows


def summaries(
    conn: Connection, span: Span, bucket: Bucket, zone: ZoneInfo, limit: int
) -> list[Summary]:
    """Read at most ``limit`` buckets, oldest first; empty ones are absent.

    Parameters
    ----------
    conn
        Connection of the town.
    span
        Buckets that it touches are read whole.
    bucket
        `Bucket.TEN_MINUTES` from the readings; `Bucket.HOUR` and `Bucket.DAY` from the rollups,
        with hours whose rollup is out of date from the readings.
    zone
        Time zone whose midnight begins a day.
    limit
        Most buckets.
    """
    last = bucket_start(span.stop - _RESOLUTION, bucket, zone)
    parameters = {
        "datastream_id": span.datastream_id,
        "start": bucket_start(span.start, bucket, zone),
        "stop": following(last, bucket, zone),
        "limit": limit,
    }
    statement = "ten_minutes"
    if bucket is not Bucket.TEN_MINUTES:
        day = bucket is Bucket.DAY
        statement = "hours"
        parameters |= {"unit": "day" if day else "hour", "zone": zone.key if day else "UTC"}
    with conn.cursor(row_factory=class_row(Summary)) as cursor:
        return cursor.execute(queries.load("readings")[statement], parameters).fetchall()


def bucket_start(moment: datetime, bucket: Bucket, zone: ZoneInfo) -> datetime:
    """Return the start, in UTC, of the bucket that a time falls into; raw: the time itself."""
    match bucket:
        case Bucket.RAW:
            return moment
        case Bucket.DAY:
            return datetime.combine(moment.astimezone(zone), time.min, zone).astimezone(UTC)
        case _:
            length = timedelta(minutes=10) if bucket is Bucket.TEN_MINUTES else timedelta(hours=1)
            return moment - (moment - _EPOCH) % length


def following(start: datetime, bucket: Bucket, zone: ZoneInfo) -> datetime:
    """Return where the bucket after the one that begins at ``start`` begins.

    A day with a clock change has 23 or 25 hours. For raw observations: the earliest time that the
    database can tell from ``start``.
    """
    match bucket:
        case Bucket.RAW:
            return start + _RESOLUTION
        case Bucket.TEN_MINUTES:
            return start + timedelta(minutes=10)
        case Bucket.HOUR:
            return start + timedelta(hours=1)
        case Bucket.DAY:
            tomorrow = start.astimezone(zone).date() + timedelta(days=1)
            return datetime.combine(tomorrow, time.min, zone).astimezone(UTC)
