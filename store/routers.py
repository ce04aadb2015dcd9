"""Routers (LoRaWAN gateways and the like) between devices and us, and their outages."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from psycopg.rows import class_row

from store import queries
from store.binary import INT4, TIMESTAMPTZ, Column
from store.database import Connection

_SQL = queries.load("routers")


@dataclass(frozen=True, slots=True)
class Heard:
    """A router passed on a message of a device; `received_ms` is when we had it."""

    device_id: int
    tenant_id: int
    router: str
    received_ms: int


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage of a router; `over_at` None: it lasts.

    `since` is when something was last heard through it.
    """

    router_outage_id: int
    tenant_id: int
    router: str
    since: datetime
    over_at: datetime | None


def heard(conn: Connection, rows: Sequence[Heard]) -> None:
    """Write down which routers heard which devices; no pair twice."""
    if not rows:
        return
    parameters = {
        "device_id": Column(INT4, np.array([row.device_id for row in rows], np.int32)),
        "tenant_id": Column(INT4, np.array([row.tenant_id for row in rows], np.int32)),
        "router": [row.router for row in rows],
        "heard_at": Column(TIMESTAMPTZ, np.array([row.received_ms for row in rows], np.int64)),
    }
    conn.execute(_SQL["heard"], parameters)


def of_devices(conn: Connection) -> dict[int, list[str]]:
    """List by active device the routers that heard it in its last week."""
    found: dict[int, list[str]] = defaultdict(list)
    for device_id, router in conn.execute(_SQL["of_devices"]).fetchall():
        found[device_id].append(router)
    return found


def outages(conn: Connection) -> dict[tuple[int, str], Outage]:
    """List by town and router the outages that last, or that silent devices are put down to."""
    with conn.cursor(row_factory=class_row(Outage)) as cursor:
        rows = cursor.execute(_SQL["lasting"]).fetchall()
    return {(row.tenant_id, row.router): row for row in rows}


def out(conn: Connection) -> list[tuple[str, datetime]]:
    """List the town's routers that are out, and when something was last heard through them."""
    return [(name, since) for name, since in conn.execute(_SQL["out"]).fetchall()]


def begin(
    conn: Connection, tenant_id: int, router: str, since: datetime, told_at: datetime
) -> None:
    """Write down that a router is out."""
    parameters = {"tenant_id": tenant_id, "router": router, "since": since, "told_at": told_at}
    conn.execute(_SQL["begin"], parameters)


def over(conn: Connection, outage: Outage, at: datetime) -> None:
    """Write down that an outage is over."""
    conn.execute(_SQL["over"], {"router_outage_id": outage.router_outage_id, "at": at})
