"""What the jobs have to look at again, because readings of a datastream changed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from store import queries
from store.database import Connection

_SQL = queries.load("reviews")

Work = Literal["quality", "plateau", "drift", "flood", "pond"]


@dataclass(frozen=True, slots=True)
class Due:
    """A datastream with readings that a job has not looked at.

    `from_time` is the beginning of the oldest hour whose readings changed.
    """

    datastream_id: int
    from_time: datetime
    times_marked: int


def claim(conn: Connection, work: Work) -> bool:
    """Try to be the one who does a work until the transaction ends; False: another is."""
    [[mine]] = conn.execute(_SQL["claim"], {"work": work}).fetchall()
    return bool(mine)


def due(conn: Connection, work: Work, limit: int, skip: Collection[int] = ()) -> list[Due]:
    """List datastreams to look at, those marked first in front; some are left out."""
    parameters = {"work": work, "limit": limit, "skip": list(skip)}
    with conn.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(_SQL["due"], parameters).fetchall()


def done(conn: Connection, work: Work, seen: Sequence[Due]) -> None:
    """Take datastreams off the list, in the transaction that wrote what was found.

    What changed since they were listed stays on it. The last thing in a transaction: rollups
    wait for these rows.
    """
    parameters = {
        "work": work,
        "datastream_ids": [one.datastream_id for one in seen],
        "times_marked": [one.times_marked for one in seen],
    }
    conn.execute(_SQL["done"], parameters)


def mark(conn: Connection, work: Work, datastream_id: int, from_time: datetime) -> None:
    """Ask for a datastream to be looked at from a time on."""
    parameters = {"work": work, "datastream_id": datastream_id, "from_time": from_time}
    conn.execute(_SQL["mark"], parameters)


def waiting(conn: Connection, work: Work) -> int:
    """Count the datastreams that wait to be looked at."""
    [[datastreams]] = conn.execute(_SQL["waiting"], {"work": work}).fetchall()
    return int(datastreams)


def alike(conn: Connection, datastream_id: int) -> list[int]:
    """List what devices of its kind measure of its property in its town, itself included.

    Nothing for a derived one: those are not compared.
    """
    found = conn.execute(_SQL["alike"], {"datastream_id": datastream_id}).fetchall()
    return [int(row[0]) for row in found]
