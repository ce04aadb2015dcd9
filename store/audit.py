"""Who changed what of towns, sites, devices and rules: append-only, without secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from store import queries
from store.database import Connection

_SQL = queries.load("audit")


@dataclass(frozen=True)
class Entry:
    """One change. `writer` is a token's name, a person at the terminal, or a service."""

    audit_id: int
    at: datetime
    writer: str
    by_token: bool
    action: str
    subject: str
    change: dict[str, Any]


def write_as(conn: Connection, writer: str) -> None:
    """Say who writes in this transaction, for doors without a token (the command line)."""
    conn.execute(_SQL["write_as"], {"writer": writer[:63]})


def record(
    conn: Connection, tenant_id: int, action: str, changes: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Write down changes of one kind, in the transaction that makes them.

    Parameters
    ----------
    action
        ``device.add``, ``site.set``, …
    changes
        Per code, the columns that were written. The caller leaves secrets out.
    """
    rows = [
        {"tenant_id": tenant_id, "action": action, "subject": code, "change": Jsonb(dict(change))}
        for code, change in changes
    ]
    with conn.cursor() as cursor:
        cursor.executemany(_SQL["record"], rows)


def entries(
    conn: Connection, tenant_id: int, subject: str | None = None, limit: int = 100
) -> list[Entry]:
    """List the newest changes, newest first, of one code or (None) of all."""
    parameters = {"tenant_id": tenant_id, "subject": subject, "limit": limit}
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_SQL["entries"], parameters).fetchall()
