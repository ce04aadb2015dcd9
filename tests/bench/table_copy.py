"""Readings into their table by binary COPY and nothing else: what the gateway can reach at most."""

import psycopg

from store import queries
from store.binary import copy_rows
from store.observations import Observations


def copy(conn: psycopg.Connection, rows: Observations) -> None:
    """Write rows in the caller's transaction."""
    statement = queries.load("observations")["copy"]
    with conn.cursor() as cursor, cursor.copy(statement) as stream:
        stream.write(copy_rows(list(rows.columns().values())))
