"""Radio beacons that fall silent under water, and who else their routers hear."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from psycopg.rows import class_row

from detectors.silence import BeaconState, beacon_states
from store import queries
from store.database import Connection
from store.times import milliseconds


@dataclass(frozen=True, slots=True)
class _Way:
    """A device, and a router that has heard it in its last week of being heard."""

    device_id: int
    router: str
    last_received: datetime
    expected_interval_s: float
    silent: bool


def under_water(conn: Connection, device_ids: Collection[int], now: datetime) -> set[int]:
    """Tell which silent beacons of the town are probably under water.

    Those whose router hears others: so it is not the router that is silent. A device that several
    routers hear is no witness for any of them, since nobody knows by which its last message came.
    """
    if not device_ids:
        return set()
    with conn.cursor(row_factory=class_row(_Way)) as cursor:
        parameters = {"device_ids": list(device_ids)}
        ways: Sequence[_Way] = cursor.execute(
            queries.load("beacons")["beside"], parameters
        ).fetchall()
    routers = sorted({way.router for way in ways})
    states = beacon_states(
        np.array([routers.index(way.router) for way in ways], np.int64),
        np.array([milliseconds(way.last_received) for way in ways], np.int64),
        np.array([way.expected_interval_s for way in ways], np.float64),
        milliseconds(now),
        np.array([way.silent for way in ways], bool),
    )
    wet = {
        way.device_id for way, state in zip(ways, states, strict=True) if state == BeaconState.WET
    }
    return wet & set(device_ids)
