"""How many bytes a stored reading takes, and how long a reader waits for a sensor's."""

import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import psycopg

from store import readings
from store.database import Database
from store.migrate import Engine
from store.observations import Observations
from tests.bench import table_copy
from tests.bench.rig import Rig

MINUTE_MS = 60_000
READERS = 200
_PLAIN = "select sum(pg_total_relation_size(relid)) from pg_partition_tree('observation')"
_HYPER = "select hypertable_size('observation')"
_COMPRESS = "select count(compress_chunk(c, true)) from show_chunks('observation') c"


@dataclass(frozen=True)
class Stored:
    """A full table.

    Attributes
    ----------
    how
        On what engine, and how.
    each
        Bytes of a reading, with its part of the index.
    raw_ms, tens_ms
        How long the API waits for one sensor's readings of a day, and for the same in buckets of
        ten minutes; the median of `READERS` sensors.
    """

    how: str
    each: float
    raw_ms: float
    tens_ms: float


def measure(rig: Rig, minutes: int) -> list[Stored]:
    """Store so many minutes of every sensor in an empty table; look at its size, and read it."""
    rng = np.random.default_rng(1)
    with psycopg.connect(rig.dsn.gateway) as conn:
        found = conn.execute(
            "select datastream_id from datastream where property = 'depth_m' order by 1"
        ).fetchall()
        streams = np.array([row[0] for row in found], np.int32)
        start, n = rig.start_ms(), len(streams)
        for minute in range(minutes):
            # Sensors count by themselves, in no step with each other, and the air wavers by 3 mm.
            time_ms = start + minute * MINUTE_MS + np.arange(n) * MINUTE_MS // n
            table_copy.copy(
                conn,
                Observations(
                    streams,
                    np.ones(n, np.int32),
                    time_ms,
                    time_ms + rng.integers(100, 3000, n),
                    np.round(rng.normal(0.0, 0.003, n), 3),
                    np.full(n, minute),
                    np.ones(n, np.uint8),
                    np.full(n, 31, np.int16),
                    np.zeros(n, np.int16),
                    np.full(n, np.nan),
                ),
            )
        conn.commit()
    rows = minutes * n
    end = datetime.fromtimestamp(start / 1000, UTC) + timedelta(minutes=minutes)

    def look(conn: psycopg.Connection, how: str, size: str) -> Stored:
        conn.execute("vacuum analyze observation")  # as the database does by itself, later
        each = _size(conn, size) / rows
        return Stored(how, each, *_read_ms(rig, rng.choice(streams, READERS), end))

    with psycopg.connect(rig.dsn.owner, autocommit=True) as conn:
        if rig.dsn.engine == Engine.PLAIN:
            return [look(conn, "PostgreSQL", _PLAIN)]
        by_row = look(conn, "TimescaleDB, by row", _HYPER)
        conn.execute(_COMPRESS)
        return [by_row, look(conn, "TimescaleDB, columnstore", _HYPER)]


def _read_ms(rig: Rig, streams: np.ndarray, end: datetime) -> tuple[float, float]:
    """Read some sensors' last day as the API does; return the median times."""
    kinds = (
        lambda conn, span: readings.raw(conn, span, 10_000),
        lambda conn, span: readings.summaries(
            conn, span, readings.Bucket.TEN_MINUTES, ZoneInfo("Asia/Tokyo"), 10_000
        ),
    )
    took: list[list[float]] = [[], []]
    with (
        Database(rig.dsn.api, name="bench") as database,
        database.transaction(rig.account.tenant_id) as conn,
    ):
        for stream in streams.tolist():
            span = readings.Span(stream, end - timedelta(days=1), end)
            for read, times in zip(kinds, took, strict=True):
                began = time.perf_counter()
                assert read(conn, span)
                times.append(1000 * (time.perf_counter() - began))
    return statistics.median(took[0]), statistics.median(took[1])


def _size(conn: psycopg.Connection, statement: str) -> int:
    row = conn.execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])
