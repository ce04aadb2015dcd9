"""What changed, for the live feed: one visit to the database for all who watch a town."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import msgspec

from store import map as town_map
from store.alerts import Alert, alerts_by_id
from store.database import Connection, Database
from store.doubts import Doubt, doubts
from store.unconfirmed import unconfirmed

CHANNEL = "mizumori_live"
CONFIG_CHANNEL = "mizumori_config"
# The server refuses a payload of 8,000 bytes or more; an id has up to ten digits, and a comma.
_IDS_PER_NOTICE = 640


@dataclass
class Changes:
    """Ids that changed in one town; further notifications are added to the same sets."""

    datastreams: set[int] = field(default_factory=set)
    devices: set[int] = field(default_factory=set)
    alerts: set[int] = field(default_factory=set)
    links: set[int] = field(default_factory=set)

    def add(self, other: Self) -> None:
        """Take over the ids of ``other``."""
        for name, ids in vars(other).items():
            getattr(self, name).update(ids)


@dataclass(frozen=True)
class News:
    """The rows behind the ids of `Changes`."""

    latest: list[town_map.Latest]
    positions: list[town_map.Device]
    alerts: list[Alert]
    doubts: dict[int, list[Doubt]]
    unconfirmed: dict[int, datetime]
    links: list[town_map.Device]


def parse(payload: str) -> tuple[int, Changes]:
    """Read the payload of a notification on `CHANNEL`: the town's id and what changed.

    Raises
    ------
    ValueError
        If it is not what the gateway and the jobs send.
    """
    body = json.loads(payload)
    try:
        ids = {name: {int(i) for i in body.get(name, ())} for name in vars(Changes())}
        return int(body["tenant_id"]), Changes(**ids)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a notification of {CHANNEL}: {payload[:200]}") from error


def notices(tenant_id: int, **ids: Collection[int]) -> Iterator[str]:
    """Write the payloads that say which `datastreams`, `devices`, `alerts`, `links` changed."""
    queue = [(kind, int(one)) for kind, many in ids.items() for one in many]
    for start in range(0, len(queue), _IDS_PER_NOTICE):
        payload: dict[str, Any] = {"tenant_id": tenant_id, **{kind: [] for kind in ids}}
        for kind, one in queue[start : start + _IDS_PER_NOTICE]:
            payload[kind].append(one)
        yield msgspec.json.encode(payload).decode()


def notify(conn: Connection, tenant_id: int, **ids: Collection[int]) -> None:
    """Tell the live feed what changed, when this commits; see `notices`."""
    for payload in notices(tenant_id, **ids):
        conn.execute("select pg_notify(%s, %s)", (CHANNEL, payload))


def news(database: Database, tenant_id: int, changes: Changes) -> News:
    """Read the present rows of what changed.

    Raises
    ------
    DatabaseAwayError
        If the database does not answer.
    """
    alerts, ids = sorted(changes.alerts), sorted(changes.devices | changes.links)
    # Devices are asked for in many ways by one statement: its plan for any of them reads them all.
    with database.transaction(tenant_id=tenant_id, plan_once=not ids) as conn:
        latest = (
            town_map.latest(conn, datastream_ids=sorted(changes.datastreams))
            if changes.datastreams
            else []
        )
        devices = town_map.devices(conn, ids=ids) if ids else []
        return News(
            latest=[row for row in latest if row.device_state != "retired"],
            positions=[
                d for d in devices if d.device_id in changes.devices and d.fix_time is not None
            ],
            alerts=alerts_by_id(conn, alerts) if alerts else [],
            doubts=doubts(conn, alerts) if alerts else {},
            unconfirmed=unconfirmed(conn, alerts) if alerts else {},
            links=[d for d in devices if d.device_id in changes.links],
        )
