"""Messages to send after the commit that decided them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from store import queries
from store.database import Connection

CHANNEL = "mizumori_outbox"
_SQL = queries.load("outbox")


@dataclass(frozen=True)
class Message:
    """A message that waits. A payload of None clears the retained message of the topic."""

    outbox_id: int
    topic: str
    payload: dict[str, Any] | None
    retain: bool
    created_at: datetime


@dataclass(frozen=True)
class Backlog:
    """How many messages wait, and for how long the oldest does."""

    messages: int
    age_s: float


def waiting_tenants(conn: Connection) -> list[tuple[int, str]]:
    """List (tenant_id, code) of the towns for which messages wait."""
    return [(row[0], row[1]) for row in conn.execute(_SQL["waiting_tenants"]).fetchall()]


def unsent(conn: Connection, tenant_id: int, limit: int = 200) -> list[Message]:
    """List a town's waiting messages in the order they were written."""
    with conn.cursor(row_factory=class_row(Message)) as cursor:
        parameters = {"tenant_id": tenant_id, "limit": limit}
        return cursor.execute(_SQL["unsent"], parameters).fetchall()


def mark_sent(conn: Connection, ids: Sequence[int]) -> None:
    """Mark messages that the broker has acknowledged."""
    conn.execute(_SQL["mark_sent"], {"ids": list(ids)})


def add(
    conn: Connection,
    tenant_id: int,
    topic: str,
    payload: Mapping[str, Any] | None,
    *,
    retain: bool = True,
) -> None:
    """Write a message; it goes out after the commit."""
    body = None if payload is None else Jsonb(dict(payload))
    conn.execute(
        _SQL["add"], {"tenant_id": tenant_id, "topic": topic, "payload": body, "retain": retain}
    )
    announce(conn)


def announce(conn: Connection) -> None:
    """Tell who sends that something waits."""
    conn.execute(_SQL["announce"])


def backlog(conn: Connection) -> Backlog:
    """Measure what waits."""
    with conn.cursor(row_factory=class_row(Backlog)) as cursor:
        [found] = cursor.execute(_SQL["backlog"]).fetchall()
    return found
