"""Doubts about alerts: readings between onset and clear that their neighbours contradict."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from detectors.flags import Test
from store import queries
from store.database import Connection

_SQL = queries.load("doubts")


@dataclass(frozen=True)
class Doubt:
    """A test that objects to readings of an alert, and the first and last of them."""

    alert_id: int
    test: int
    first: datetime
    last: datetime


def doubts(conn: Connection, alert_ids: Collection[int]) -> dict[int, list[Doubt]]:
    """Read the doubts about some alerts of the town; those without any are absent."""
    tests = [int(test) for test in (Test.LADDER, Test.CONSISTENCY, Test.STUCK)]
    found: dict[int, list[Doubt]] = {}
    if alert_ids:
        with conn.cursor(row_factory=class_row(Doubt)) as cursor:
            parameters = {"alert_ids": list(alert_ids), "tests": tests}
            for row in cursor.execute(_SQL["doubts"], parameters):
                found.setdefault(row.alert_id, []).append(row)
    return found
