"""Messages that were refused, kept with their reason until they are replayed or pruned."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.rows import class_row

from store import queries
from store.database import Connection

_SQL = queries.load("quarantine")
_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A message that could not be accepted, and why."""

    tenant_id: int
    received_time: datetime
    topic: str
    payload: bytes
    device_code: str | None
    reason: str
    detail: str


@dataclass(frozen=True)
class Refused:
    """A message in quarantine; `payload` may be the beginning of its `size` bytes."""

    quarantine_id: int
    tenant_id: int
    received_time: datetime
    topic: str
    payload: bytes
    size: int
    device_code: str | None
    reason: str
    detail: str
    replayed_at: datetime | None


@dataclass(frozen=True)
class Count:
    """What was refused of one device for one reason.

    Attributes
    ----------
    device
        Its code; None: no device, or one that the town does not have.
    waiting, replayed
        Messages that are kept.
    beyond
        Messages that came faster than they are kept: counted, not kept.
    newest
        When the newest of the kept ones was received; None: none is kept.
    """

    device: str | None
    reason: str
    waiting: int
    replayed: int
    beyond: int
    newest: datetime | None


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
    """List a town's refused messages after an id, oldest first and whole, to replay them.

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


def newest(
    conn: Connection,
    tenant_id: int,
    *,
    before: int | None = None,
    reason: str | None = None,
    device: str | None = None,
    waiting: bool = False,
    limit: int = 100,
) -> list[Refused]:
    """List refused messages with the beginning of each, newest first, to look at them.

    Parameters
    ----------
    before
        The last id of the page before.
    reason, device, waiting
        As in `entries`.
    """
    parameters = {
        "tenant_id": tenant_id,
        "before": before,
        "reason": reason,
        "device": device,
        "waiting": waiting,
        "limit": limit,
        "head": _HEAD_BYTES,
    }
    with conn.cursor(row_factory=class_row(Refused)) as cursor:
        return cursor.execute(_SQL["newest"], parameters).fetchall()


def counts(conn: Connection, tenant_id: int) -> list[Count]:
    """Count what was refused by device and reason, the most first."""
    with conn.cursor(row_factory=class_row(Count)) as cursor:
        return cursor.execute(_SQL["counts"], {"tenant_id": tenant_id}).fetchall()


def waiting(conn: Connection, tenant_id: int, device: str) -> int:
    """Count the messages of a device that were not replayed."""
    parameters = {"tenant_id": tenant_id, "device": device}
    [[count]] = conn.execute(_SQL["waiting"], parameters).fetchall()
    return int(count)


def mark_replayed(conn: Connection, ids: Sequence[int]) -> int:
    """Mark messages as replayed; returns how many had not been."""
    return conn.execute(_SQL["mark_replayed"], {"ids": list(ids)}).rowcount


def request_replay(conn: Connection, tenant_id: int, device: str) -> None:
    """Ask the jobs to send a device's refused messages again, some seconds after the commit."""
    conn.execute(_SQL["request_replay"], {"tenant_id": tenant_id, "device": device})


def is_replay_requested(conn: Connection, tenant_id: int, device: str) -> bool:
    """Tell whether the jobs have still to do it."""
    parameters = {"tenant_id": tenant_id, "device": device}
    return conn.execute(_SQL["is_requested"], parameters).fetchone() is not None


def replay_requests(conn: Connection) -> list[tuple[str, str]]:
    """List what is to be replayed: (town's code, device's code), the oldest request first.

    Only what was asked for some seconds ago: by then the gateways know what has changed.
    """
    rows = conn.execute(_SQL["replay_requests"]).fetchall()
    return [(str(town), str(device)) for town, device in rows]


def replay_done(conn: Connection, town: str, device: str) -> None:
    """Take a request back: it was done, or somebody else did it."""
    conn.execute(_SQL["replay_done"], {"town": town, "device": device})


def add(conn: Connection, rows: Iterable[QuarantineRow]) -> None:
    """Keep refused messages. A NUL, which no text column holds, becomes U+FFFD."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _SQL["add"],
            [
                {
                    **asdict(row),
                    "topic": row.topic.replace("\0", "\ufffd"),
                    "detail": row.detail.replace("\0", "\ufffd"),
                }
                for row in rows
            ],
        )


def count_overflow(conn: Connection, rows: Iterable[tuple[int, str, datetime, str, int]]) -> None:
    """Count refused messages that are not kept: (tenant_id, device, hour, reason, messages)."""
    names = ("tenant_id", "device_code", "bucket", "reason", "messages")
    with conn.cursor() as cursor:
        cursor.executemany(
            _SQL["count_overflow"], [dict(zip(names, row, strict=True)) for row in rows]
        )
