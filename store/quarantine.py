"""Messages that were refused, kept with their reason until they are replayed or pruned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from store import queries
from store.database import Connection

_SQL = queries.load("quarantine")


@dataclass(frozen=True)
class Refused:
    """A message in quarantine, as it came."""

    quarantine_id: int
    tenant_id: int
    received_time: datetime
    topic: str
    payload: bytes
    device_code: str | None
    reason: str
    detail: str
    replayed_at: datetime | None


def entries(
    conn: Connection, tenant_id: int, *, after: int = 0, reason: str | None = None, limit: int = 100
) -> list[Refused]:
    """List a town's refused messages after an id, oldest first, to look at or to replay."""
    parameters = {"tenant_id": tenant_id, "after": after, "reason": reason, "limit": limit}
    with conn.cursor(row_factory=class_row(Refused)) as cursor:
        return cursor.execute(_SQL["entries"], parameters).fetchall()


def mark_replayed(conn: Connection, ids: Sequence[int]) -> int:
    """Mark messages as replayed; returns how many had not been."""
    return conn.execute(_SQL["mark_replayed"], {"ids": list(ids)}).rowcount


def counts(conn: Connection, tenant_id: int) -> dict[str, int]:
    """Count the messages that were not replayed, by reason."""
    rows = conn.execute(_SQL["counts"], {"tenant_id": tenant_id}).fetchall()
    return {str(reason): int(messages) for reason, messages in rows}
