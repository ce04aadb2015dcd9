"""Hourly rollups, made from the hours whose readings changed."""

from store import queries
from store.database import Connection

_SQL = queries.load("rollups")


def roll_up(conn: Connection, limit: int = 500) -> int:
    """Renew the rollups of at most `limit` changed hours; returns how many it were.

    Right after late and corrected readings too: whoever writes a reading marks its hour. What the
    jobs have to look at again because of it is marked in the same transaction (`store.reviews`).
    """
    picked = conn.execute(_SQL["pick"], {"limit": limit}).fetchall()
    if picked:
        datastreams, buckets = zip(*picked, strict=True)
        parameters = {"datastream_ids": list(datastreams), "buckets": list(buckets)}
        conn.execute(_SQL["roll_up"], parameters)
        conn.execute(_SQL["mark_reviews"], parameters)
    return len(picked)


def waiting(conn: Connection) -> int:
    """Count the hours whose rollup is out of date."""
    [[hours]] = conn.execute(_SQL["waiting"]).fetchall()
    return int(hours)
