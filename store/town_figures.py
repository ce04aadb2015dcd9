"""Figures of one town for monitoring."""

from dataclasses import dataclass

from psycopg.rows import class_row

from store import queries
from store.database import Connection


@dataclass(frozen=True)
class TownFigures:
    """What a town has and how fresh it is; ages are None where there is no reading at all."""

    datastreams: int
    newest_age_s: float | None
    oldest_age_s: float | None
    open_alerts: int
    refused_last_hour: int


def figures(conn: Connection) -> TownFigures:
    """Count what the connection's town has."""
    with conn.cursor(row_factory=class_row(TownFigures)) as cursor:
        [row] = cursor.execute(queries.load("town_figures")["figures"]).fetchall()
    return row


def links(conn: Connection) -> dict[str, int]:
    """Count the town's active devices by the state of their link."""
    return dict(conn.execute(queries.load("town_figures")["links"]).fetchall())
