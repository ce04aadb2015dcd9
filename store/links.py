"""The link record: which devices are heard, and whether anybody was listening."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal

from psycopg.rows import class_row

from store import outbox, queries
from store.database import Connection

State = Literal["online", "offline", "silent", "unknown"]
Reason = Literal[
    "message", "status", "will", "silence", "gateway_outage", "router_outage", "created"
]
_SQL = queries.load("links")
_IDS_PER_NOTIFICATION = 500  # ten digits and a comma each stay below the limit of 8,000 bytes


@dataclass(frozen=True)
class Watched:
    """An active device and its link."""

    device_id: int
    tenant_id: int
    tenant_code: str
    code: str
    expected_interval_s: float
    training: bool
    state: State
    since: datetime
    last_received_time: datetime | None
    router: str | None  # silent: to whose outage that is put down


@dataclass(frozen=True)
class Listening:
    """Since when all intakes of a town listen; None: at least one does not.

    `beat_at` is the oldest of their last signs of life.
    """

    tenant_id: int
    since: datetime | None
    beat_at: datetime


@dataclass(frozen=True)
class Change:
    """What is newly known of a link, and the last received time that it was concluded from."""

    device_id: int
    state: State
    reason: Reason
    at: datetime
    seen: datetime | None
    router: str | None = None


@dataclass(frozen=True)
class Event:
    """A change of a link that was recorded."""

    device_id: int
    state: State
    reason: Reason
    at: datetime


def clock(conn: Connection) -> datetime:
    """Read the database's clock: the one that all processes share."""
    [[now]] = conn.execute(_SQL["clock"]).fetchall()
    assert isinstance(now, datetime)
    return now


def watched(conn: Connection) -> list[Watched]:
    """List the active devices of all towns."""
    with conn.cursor(row_factory=class_row(Watched)) as cursor:
        return cursor.execute(_SQL["watched"]).fetchall()


def listening(conn: Connection) -> dict[int, Listening]:
    """Read by town whether its messages are being listened to."""
    with conn.cursor(row_factory=class_row(Listening)) as cursor:
        rows = cursor.execute(_SQL["listening"]).fetchall()
    return {row.tenant_id: row for row in rows}


def change(conn: Connection, changes: Iterable[Change]) -> list[int]:
    """Record changes; one that is known already, or overtaken by a message, changes nothing.

    Returns
    -------
    list of int
        The devices whose state is another one now.
    """
    rows = list(changes)
    parameters = {
        "device_ids": [row.device_id for row in rows],
        "states": [row.state for row in rows],
        "reasons": [row.reason for row in rows],
        "at": [row.at for row in rows],
        "seen": [row.seen for row in rows],
        "routers": [row.router for row in rows],
    }
    return [row[0] for row in conn.execute(_SQL["change"], parameters).fetchall()]


def said(
    conn: Connection, tenant_id: int, device_id: int, at: datetime, *, online: bool, retained: bool
) -> bool:
    """Set a device's link as its status or last will says; return whether that is a change."""
    parameters = {
        "tenant_id": tenant_id,
        "device_id": device_id,
        "state": "online" if online else "offline",
        "reason": "status" if online else "will",
        "retained": retained,
        "at": at,
    }
    return conn.execute(_SQL["said"], parameters).fetchone() is not None


def publish(conn: Connection) -> int:
    """Put into the outbox what has changed of silent devices; returns how many messages."""
    said = conn.execute(_SQL["publish"]).rowcount
    if said:
        outbox.announce(conn)
    return said


def events(conn: Connection, device_id: int, limit: int = 100) -> list[Event]:
    """List what happened to a device's link, newest first."""
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        parameters = {"device_id": device_id, "limit": limit}
        return cursor.execute(_SQL["events"], parameters).fetchall()


def announce(conn: Connection, tenant_id: int, device_ids: Sequence[int]) -> None:
    """Tell the live feed which links changed."""
    for part in _parts(device_ids):
        payload = json.dumps({"tenant_id": tenant_id, "links": part})
        conn.execute(_SQL["announce"], {"payload": payload})


def _parts(ids: Sequence[int]) -> Iterator[list[int]]:
    rest = iter(ids)
    while part := list(islice(rest, _IDS_PER_NOTIFICATION)):
        yield part
