"""The journal: what was said, to whom and when. Only ever appended to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from store import queries
from store.database import Connection

Kind = Literal["raised", "escalated", "lowered", "cleared", "corrected", "link", "note"]
_SQL = queries.load("journal")


@dataclass(frozen=True)
class Entry:
    """One thing that was said. Entries about alerts name the revision of the ledger."""

    journal_id: int
    tenant_id: int
    alert_id: int | None
    revision_id: int | None
    kind: str
    said_at: datetime
    audience: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Correction:
    """What an alert was said to be from then on, because of readings that came late."""

    said_at: datetime
    onset: datetime | None
    clear: datetime | None
    level: int | None


def append(
    conn: Connection,
    tenant_id: int,
    kind: Kind,
    body: Mapping[str, Any],
    *,
    alert_id: int | None = None,
    revision_id: int | None = None,
    audience: str = "desk",
) -> Entry:
    """Append an entry. All kinds but "link" and "note" need the alert and its revision."""
    parameters = {
        "tenant_id": tenant_id,
        "alert_id": alert_id,
        "revision_id": revision_id,
        "kind": kind,
        "audience": audience,
        "body": Jsonb(dict(body)),
    }
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        [entry] = cursor.execute(_SQL["append"], parameters).fetchall()
    return entry


def entries(
    conn: Connection, tenant_id: int, *, after: int = 0, kind: Kind | None = None, limit: int = 100
) -> list[Entry]:
    """List a town's entries after an id, oldest first."""
    parameters = {"tenant_id": tenant_id, "after": after, "kind": kind, "limit": limit}
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_SQL["entries"], parameters).fetchall()


def corrections(conn: Connection, tenant_id: int, alert_id: int) -> list[Correction]:
    """List what was corrected of an alert, oldest first."""
    parameters = {"tenant_id": tenant_id, "alert_id": alert_id}
    with conn.cursor(row_factory=class_row(Correction)) as cursor:
        return cursor.execute(_SQL["corrections"], parameters).fetchall()


def outage_told(conn: Connection, tenant_id: int) -> bool:
    """Tell whether the last thing said about the gateway's listening is that it does not."""
    row = conn.execute(_SQL["last_link_event"], {"tenant_id": tenant_id}).fetchone()
    return row is not None and row[0] == "gateway_outage"
