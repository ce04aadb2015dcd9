"""How many bytes a stored reading takes."""

from dataclasses import dataclass

import numpy as np
import psycopg

from store.migrate import Engine
from store.observations import Observations
from tests.bench import table_copy
from tests.bench.rig import Rig

MINUTE_MS = 60_000
_PLAIN = "select sum(pg_total_relation_size(relid)) from pg_partition_tree('observation')"
_HYPER = "select hypertable_size('observation')"
_COMPRESS = "select count(compress_chunk(c, true)) from show_chunks('observation') c"


@dataclass(frozen=True)
class Bytes:
    """Of a reading, with its part of the index."""

    how: str
    each: float


def measure(rig: Rig, minutes: int) -> list[Bytes]:
    """Store so many minutes of every sensor in an empty table; look at its size."""
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
    with psycopg.connect(rig.dsn.owner, autocommit=True) as conn:
        if rig.dsn.engine == Engine.PLAIN:
            return [Bytes("PostgreSQL", _size(conn, _PLAIN) / rows)]
        by_row = _size(conn, _HYPER) / rows
        conn.execute(_COMPRESS)
        return [
            Bytes("TimescaleDB, by row", by_row),
            Bytes("TimescaleDB, columnstore", _size(conn, _HYPER) / rows),
        ]


def _size(conn: psycopg.Connection, statement: str) -> int:
    row = conn.execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])
