"""Towns, devices, datastreams, rules and detector state, as a gateway loads them."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import class_row

from detectors.readings import Readings
from store import queries, rules_in_force
from store.database import Connection
from store.marks import Mark
from store.rules_in_force import RuleInForce
from store.times import milliseconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TownRow:
    """A town."""

    tenant_id: int
    code: str
    training: bool


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device."""

    device_id: int
    tenant_id: int
    site_id: int | None
    code: str
    kind: str
    state: str
    codec: str
    expected_interval_s: float
    codec_params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatastreamRow:
    """One observed property of a device."""

    datastream_id: int
    tenant_id: int
    device_id: int
    property: str


@dataclass(frozen=True, slots=True)
class FleetRows:
    """Everything of one moment.

    `derived` are (device_id, property) that no device may send: a job computes them.
    """

    towns: list[TownRow]
    devices: list[DeviceRow]
    datastreams: list[DatastreamRow]
    rules: list[RuleInForce]
    next_rule_change: datetime | None
    unchanged_since: dict[int, datetime]
    derived: frozenset[tuple[int, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class StoredState:
    """A detector state, the settlement it comes from, and what it includes."""

    state: bytes
    revision: int
    through_ms: int


def load(conn: Connection, at: datetime) -> FleetRows:
    """Read towns, devices, datastreams and the rules in force, each in the order of its key."""
    return FleetRows(
        _rows(conn, "towns", TownRow),
        _rows(conn, "devices", DeviceRow),
        _rows(conn, "datastreams", DatastreamRow),
        rules_in_force.of_datastreams(conn, at),
        rules_in_force.next_change(conn, at),
        rules_in_force.unchanged_since(conn, at),
        frozenset(conn.execute(queries.load("fleet")["derived"]).fetchall()),
    )


def properties(
    conn: Connection, devices: Collection[tuple[int, str]]
) -> dict[tuple[int, str], frozenset[str]]:
    """Return what devices may send, by town and code; absent: the town has none of this code."""
    towns, codes = zip(*devices, strict=True)
    parameters = {"tenant_id": list(towns), "code": list(codes)}
    found = conn.execute(queries.load("fleet")["properties"], parameters)
    return {(row[0], row[1]): frozenset(row[2]) for row in found}


def states(conn: Connection, datastream_ids: Collection[int]) -> dict[int, StoredState]:
    """Read the stored detector state by datastream; absent where there is none yet."""
    statement = queries.load("fleet")["states"]
    found = conn.execute(statement, {"datastream_ids": list(datastream_ids)}, binary=True)
    return {row[0]: StoredState(bytes(row[1]), *row[2:]) for row in found}


def newest_stored(conn: Connection, datastream_ids: Collection[int]) -> dict[int, int]:
    """Read the newest phenomenon time that is stored, ms, by datastream; absent: nothing is."""
    statement = queries.load("fleet")["newest_stored"]
    found = conn.execute(statement, {"datastream_ids": list(datastream_ids)}, binary=True)
    return dict(found.fetchall())


def context(conn: Connection, datastream_ids: NDArray[np.int32], rows: int) -> Readings:
    """Read the newest `rows` readings of each datastream that its stored state includes.

    Returns
    -------
    Readings
        `sensor` counts positions in `datastream_ids`; ordered by sensor and time.
    """
    statement = queries.load("fleet")["context"]
    found = conn.execute(
        statement,
        {
            "datastream_ids": datastream_ids.tolist(),
            "rows": rows,
            "undecided": int(Mark.LATE),
            "decision": int(Mark.LATE | Mark.SETTLED),
        },
        binary=True,
    ).fetchall()
    place = {datastream: i for i, datastream in enumerate(datastream_ids.tolist())}
    return Readings.of(
        np.array([place[row[0]] for row in found], np.int32),
        np.array([milliseconds(row[1]) for row in found], np.int64),
        np.array([row[2] for row in found], np.float64),
    )


def _rows(conn: Connection, name: str, row: type[T]) -> list[T]:
    with conn.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(queries.load("fleet")[name]).fetchall()
