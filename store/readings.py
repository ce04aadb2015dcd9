"""Observations of one datastream, as a reader asks for them."""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from store import queries
from store.database import Connection


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
    """One stored reading; ``value`` is None where the device reported none, or not a number."""

    time: datetime
    flag: int
    value: float | None


@dataclass(frozen=True)
class Summary:
    """The readings of one bucket; ``time`` is its start.

    ``n`` counts readings with a value, ``n_suspect`` those of them with flag 3 or 4.
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
    """Read at most ``limit`` observations, oldest first.

    The next page starts one microsecond (the resolution of stored time) after the last one.
    """
    with conn.cursor(row_factory=class_row(Observation)) as cursor:
        return cursor.execute(
            queries.load("readings")["raw"], {**vars(span), "limit": limit}
        ).fetchall()


def summaries(conn: Connection, span: Span, bucket: Bucket, zone: str, limit: int) -> list[Summary]:
    """Read at most ``limit`` buckets, oldest first; empty ones are absent.

    Parameters
    ----------
    conn
        Connection of the town.
    span
        The bucket that ``start`` falls into is whole, and is the first.
    bucket
        `Bucket.TEN_MINUTES` from the readings; `Bucket.HOUR` and `Bucket.DAY` from the rollups,
        with hours whose rollup is out of date from the readings.
    zone
        IANA name of the time zone whose midnight begins a day.
    limit
        Most buckets.
    """
    parameters = {**vars(span), "limit": limit}
    statement = "ten_minutes"
    if bucket is not Bucket.TEN_MINUTES:
        day = bucket is Bucket.DAY
        statement = "hours"
        parameters |= {"unit": "day" if day else "hour", "zone": zone if day else "UTC"}
    with conn.cursor(row_factory=class_row(Summary)) as cursor:
        return cursor.execute(queries.load("readings")[statement], parameters).fetchall()


def after(time: datetime) -> datetime:
    """Return the earliest time after ``time`` that the database can tell from it."""
    return time + timedelta(microseconds=1)
