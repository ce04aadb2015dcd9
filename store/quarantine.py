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
    conn: Connection,
    tenant_id: int,
    *,
    after: int = 0,
    reason: str | None = None,
    device: str | None = None,
    waiting: bool = False,
    limit: int = 100,
) -> list[Refused]:
    """List a town's refused messages after an id, oldest first, to look at or to replay.

    Parameters
    ----------
    reason, device
        Only those of this reason and this device's code.
    waiting
        Only those that were not replayed.
    """
    parameters = {
        "tenant_id": tenant_id,
        "after": after,
        "reason": reason,
        "device": device,
        "waiting": waiting,
        "limit": limit,
    }
    with conn.cursor(row_factory=class_row(Refused)) as cursor:
        return cursor.execute(_SQL["entries"], parameters).fetchall()


def mark_replayed(conn: Connection, ids: Sequence[int]) -> int:
    """Mark messages as replayed; returns how many had not been."""
    return conn.execute(_SQL["mark_replayed"], {"ids": list(ids)}).rowcount


def newest(conn: Connection, tenant_id: int, device: str | None, limit: int) -> list[Refused]:
    """List the newest refused messages, newest first, of a device or (None) of all."""
    parameters = {"tenant_id": tenant_id, "device": device, "limit": limit}
    with conn.cursor(row_factory=class_row(Refused)) as cursor:
        return cursor.execute(_SQL["newest"], parameters).fetchall()


def overflow(conn: Connection, tenant_id: int) -> list[tuple[str, datetime, int]]:
    """Count what was refused beyond a device's rate and not kept: (device, last hour, messages)."""
    rows = conn.execute(_SQL["overflow"], {"tenant_id": tenant_id}).fetchall()
    return [(str(device), hour, int(messages)) for device, hour, messages in rows]


def counts(conn: Connection, tenant_id: int) -> dict[str, int]:
    """Count the messages that were not replayed, by reason."""
    rows = conn.execute(_SQL["counts"], {"tenant_id": tenant_id}).fetchall()
    return {str(reason): int(messages) for reason, messages in rows}
