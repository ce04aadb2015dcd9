"""What levels are called, their colours and symbols: dated rows."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from psycopg.rows import class_row

from detectors.level_labels import LevelLabel
from store import queries
from store.database import Connection

_SQL = queries.load("level_labels")


def add(conn: Connection, labels: Sequence[LevelLabel]) -> None:
    """Add dated level labels; those that are there are left alone."""
    with conn.cursor() as cursor:
        cursor.executemany(_SQL["add"], [asdict(label) for label in labels])


def in_force(conn: Connection, at: datetime) -> dict[tuple[str, int], LevelLabel]:
    """Read what levels are called at a time, by scheme and level."""
    with conn.cursor(row_factory=class_row(LevelLabel)) as cursor:
        rows = cursor.execute(_SQL["in_force"], {"at": at}).fetchall()
    return {(row.scheme, row.level): row for row in rows}
