"""Sparkplug births, kept so that the data after them can be read by whoever comes later."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from store import queries
from store.database import Connection

_SQL = queries.load("births")


@dataclass(frozen=True, slots=True)
class BirthRow:
    """The newest birth of an edge node, or (with `device_id`) of a device behind it."""

    tenant_id: int
    group_id: str
    edge_id: str
    device_id: str
    received_time: datetime
    payload: bytes


def births(conn: Connection, tenant_id: int, group_id: str | None = None) -> list[BirthRow]:
    """Return what is kept of a group, or (None) of all groups of a town."""
    parameters = {"tenant_id": tenant_id, "group_id": group_id}
    rows = conn.execute(_SQL["births"], parameters).fetchall()
    return [BirthRow(*row) for row in rows]


def keep(conn: Connection, rows: Iterable[BirthRow]) -> None:
    """Keep births in their order; that of an edge node ends those of its devices."""
    with conn.cursor() as cursor:
        for row in rows:
            parameters = asdict(row)
            if not row.device_id:
                cursor.execute(_SQL["forget_devices"], parameters)
            cursor.execute(_SQL["keep"], parameters)
