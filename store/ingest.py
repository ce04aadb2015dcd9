"""What the gateway writes with each batch of readings, inside one transaction."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.flags import Flag
from store import queries
from store.binary import (
    BOOL,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    TIMESTAMPTZ,
    Column,
    copy_rows,
    use_columns,
)
from store.database import Connection
from store.errors import StoreError

_SQL = queries.load("ingest")
# The server refuses a NOTIFY payload of 8,000 bytes or more.
_NOTIFY_BYTES = 7_900


class AlreadyStoredError(StoreError):
    """Some of the rows are in the database already: look which, and write the others."""


class StateMovedError(StoreError):
    """A settlement wrote other detector states meanwhile: roll back, read them, decide again."""

    def __init__(self, datastream_ids: Collection[int]) -> None:
        super().__init__(f"{len(datastream_ids)} detector states were settled meanwhile")
        self.datastream_ids = tuple(datastream_ids)


@dataclass(frozen=True, eq=False)
class Observations:
    """n rows of `observation`; times are int64 milliseconds, `seq` -1 and `rate_per_h` NaN null.

    `tenant_id` and `rate_per_h` go into `latest`.
    """

    datastream_id: NDArray[np.int32]
    tenant_id: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    received_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    seq: NDArray[np.int64]
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]
    marks: NDArray[np.int16]
    rate_per_h: NDArray[np.float64]

    def columns(self) -> dict[str, Column]:
        """Return the columns of the table, in its order."""
        return {
            "phenomenon_time": Column(TIMESTAMPTZ, self.time_ms),
            "received_time": Column(TIMESTAMPTZ, self.received_ms),
            "value": Column(FLOAT8, self.value),
            "seq": Column(INT8, self.seq, self.seq < 0),
            "datastream_id": Column(INT4, self.datastream_id),
            "flag": Column(INT2, self.flag),
            "evaluated": Column(INT2, self.evaluated),
            "marks": Column(INT2, self.marks),
        }


@dataclass(frozen=True, eq=False)
class Positions:
    """n rows of `position`; NaN is null in `speed_kmh`, `course_deg` and `hdop`, -1 in `blade`."""

    device_id: NDArray[np.int32]
    tenant_id: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    received_ms: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    seq: NDArray[np.int64]
    speed_kmh: NDArray[np.float64]
    course_deg: NDArray[np.float64]
    hdop: NDArray[np.float64]
    blade: NDArray[np.int8]
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]
    marks: NDArray[np.int16]

    def columns(self) -> dict[str, Column]:
        """Return the columns of the table, in the statements' order."""
        return {
            "phenomenon_time": Column(TIMESTAMPTZ, self.time_ms),
            "received_time": Column(TIMESTAMPTZ, self.received_ms),
            "lat": Column(FLOAT8, self.lat),
            "lon": Column(FLOAT8, self.lon),
            "seq": Column(INT8, self.seq, self.seq < 0),
            "device_id": Column(INT4, self.device_id),
            "speed_kmh": Column(FLOAT4, self.speed_kmh, np.isnan(self.speed_kmh)),
            "course_deg": Column(FLOAT4, self.course_deg, np.isnan(self.course_deg)),
            "hdop": Column(FLOAT4, self.hdop, np.isnan(self.hdop)),
            "blade": Column(BOOL, np.maximum(self.blade, 0), self.blade < 0),
            "flag": Column(INT2, self.flag),
            "evaluated": Column(INT2, self.evaluated),
            "marks": Column(INT2, self.marks),
        }

    def take(self, index: NDArray[Any]) -> "Positions":
        """Rows picked by mask or index."""
        return Positions(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class States:
    """n rows of `detector_state`, ordered by datastream.

    Attributes
    ----------
    epoch : int64[n]
        Of the lease under which they are written.
    revision : int64[n]
        Of the state that they were decided from.
    through_ms : int64[n]
        Newest phenomenon time that they include.
    rules_since_ms : int64[n]
        Since when their rules hold.
    state
        n dumps.
    """

    datastream_id: NDArray[np.int32]
    epoch: NDArray[np.int64]
    revision: NDArray[np.int64]
    through_ms: NDArray[np.int64]
    rules_since_ms: NDArray[np.int64]
    state: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """Another value for a phenomenon time that is taken."""

    tenant_id: int
    datastream_id: int
    phenomenon_time: datetime
    received_time: datetime
    value: float
    seq: int | None
    payload_hash: bytes


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


def known_values(
    conn: Connection, datastream_id: NDArray[np.int32], time_ms: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Look which rows are in `observation` already.

    Returns
    -------
    intp[k], float64[k]
        Their places in the arguments, and the stored values.
    """
    use_columns(conn)
    keys = {
        "datastream_id": Column(INT4, datastream_id),
        "phenomenon_time": Column(TIMESTAMPTZ, time_ms),
    }
    found = conn.execute(_SQL["known_values"], keys, binary=True).fetchall()
    places = np.array([row[0] - 1 for row in found], np.intp)
    return places, np.array([row[1] for row in found], np.float64)


def known_positions(
    conn: Connection, device_id: NDArray[np.int32], time_ms: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Return the places of those fixes that are in `position` already."""
    use_columns(conn)
    keys = {"device_id": Column(INT4, device_id), "phenomenon_time": Column(TIMESTAMPTZ, time_ms)}
    found = conn.execute(_SQL["known_positions"], keys, binary=True).fetchall()
    return np.array([row[0] - 1 for row in found], np.intp)


def write_observations(conn: Connection, rows: Observations, *, copy: bool) -> None:
    """Write readings, and the newest of each datastream to `latest`.

    Parameters
    ----------
    rows
        No two with one datastream and time.
    copy
        True: binary COPY, the fast way, which a row that is there already aborts together with
        the transaction (psycopg.errors.UniqueViolation). False: row by row.

    Raises
    ------
    AlreadyStoredError
        With `copy` False, if a row is there already. Roll back and look again.
    """
    if not len(rows.time_ms):
        return
    use_columns(conn)
    _write(conn, "observations", rows.columns(), len(rows.time_ms), copy=copy)
    follow(conn, rows)


def follow(conn: Connection, rows: Observations) -> None:
    """Write the newest of written readings to `latest`, and mark the hours that they are in."""
    newest = _newest(rows.datastream_id, rows.time_ms)
    columns = {name: _pick(column, newest) for name, column in rows.columns().items()}
    columns["tenant_id"] = Column(INT4, rows.tenant_id[newest])
    rate = rows.rate_per_h[newest]
    columns["rate_per_h"] = Column(FLOAT8, rate, np.isnan(rate))
    conn.execute(_SQL["upsert_latest"], columns)
    _mark_rollups(conn, rows.datastream_id, rows.time_ms)


def write_positions(conn: Connection, rows: Positions, *, copy: bool) -> None:
    """Write fixes, and the newest of each device to `latest_position`; as `write_observations`.

    A fix that failed or is missing (flags 4 and 9) is stored, but is nobody's latest position.
    """
    if not len(rows.time_ms):
        return
    use_columns(conn)
    columns = rows.columns()
    _write(conn, "positions", columns, len(rows.time_ms), copy=copy)
    placed = np.flatnonzero((rows.flag != Flag.FAIL) & (rows.flag != Flag.MISSING))
    newest = placed[_newest(rows.device_id[placed], rows.time_ms[placed])]
    if len(newest):
        picked = {name: _pick(column, newest) for name, column in columns.items()}
        picked["tenant_id"] = Column(INT4, rows.tenant_id[newest])
        conn.execute(_SQL["upsert_latest_position"], picked)


def claim_sequences(
    conn: Connection,
    device_id: NDArray[np.int32],
    seq: NDArray[np.int64],
    time_ms: NDArray[np.int64],
    horizon_s: float,
) -> set[tuple[int, int]]:
    """Claim (device, sequence number) for readings without a device time.

    Parameters
    ----------
    device_id, seq, time_ms
        No pair twice; `time_ms` is the received time.
    horizon_s
        A number that comes again after so long is a device that began to count anew.

    Returns
    -------
    set of (device_id, seq)
        Those that are new.
    """
    use_columns(conn)
    parameters = {
        "device_id": Column(INT4, device_id),
        "seq": Column(INT8, seq),
        "phenomenon_time": Column(TIMESTAMPTZ, time_ms),
        "horizon_s": horizon_s,
    }
    return set(conn.execute(_SQL["claim_sequences"], parameters).fetchall())


def write_verdicts(
    conn: Connection,
    datastream_id: NDArray[np.int32],
    time_ms: NDArray[np.int64],
    flag: NDArray[np.uint8],
    evaluated: NDArray[np.int16],
    awaited: NDArray[np.bool_],
) -> None:
    """Write new flags of readings that are stored already.

    Those that had to wait for the next reading (`awaited`) are written in their place. The others,
    which a late neighbour changed, are appended as revisions: what was said in real time stays.
    """
    for name, which in (("await_verdicts", awaited), ("revise_flags", ~awaited)):
        if not which.any():
            continue
        use_columns(conn)
        parameters = {
            "datastream_id": Column(INT4, datastream_id[which]),
            "phenomenon_time": Column(TIMESTAMPTZ, time_ms[which]),
            "flag": Column(INT2, flag[which]),
            "evaluated": Column(INT2, evaluated[which]),
        }
        conn.execute(_SQL[name], parameters)


def write_states(conn: Connection, rows: States) -> None:
    """Write detector states, and keep settlements from them until the transaction ends.

    Raises
    ------
    StateMovedError
        If a settlement has replaced some of the states they were decided from.
    """
    use_columns(conn)
    keys = {
        "datastream_id": Column(INT4, rows.datastream_id),
        "revision": Column(INT8, rows.revision),
    }
    parameters = {
        **keys,
        "epoch": Column(INT8, rows.epoch),
        "through_time": Column(TIMESTAMPTZ, rows.through_ms),
        "rules_since": Column(TIMESTAMPTZ, rows.rules_since_ms),
        "state": list(rows.state),
    }
    written = conn.execute(_SQL["upsert_states"], parameters).rowcount
    if written != len(rows.state):
        moved = conn.execute(_SQL["moved_states"], keys).fetchall()
        if moved:
            raise StateMovedError([row[0] for row in moved])


def add_conflicts(conn: Connection, rows: Iterable[ConflictRow]) -> None:
    """Keep other values aside; one that is there already is left alone."""
    with conn.cursor() as cursor:
        cursor.executemany(_SQL["add_conflicts"], [asdict(row) for row in rows])


def quarantine(conn: Connection, rows: Iterable[QuarantineRow]) -> None:
    """Keep refused messages. A NUL, which no text column holds, becomes U+FFFD."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _SQL["quarantine"],
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


def see_probes(conn: Connection, probes: Iterable[tuple[str, int]]) -> None:
    """Tell provisioning which test publishes (nonce, tenant_id) came through."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _SQL["see_probe"], [{"nonce": nonce, "tenant_id": town} for nonce, town in probes]
        )


def heard(conn: Connection, devices: Mapping[int, tuple[int, int]]) -> list[int]:
    """Set devices online: {device_id: (tenant_id, received_ms)}; return whose link changed."""
    if not devices:
        return []
    use_columns(conn)
    towns, times = zip(*devices.values(), strict=True)
    parameters = {
        "device_id": Column(INT4, np.array(list(devices), np.int32)),
        "tenant_id": Column(INT4, np.array(towns, np.int32)),
        "at": Column(TIMESTAMPTZ, np.array(times, np.int64)),
    }
    return [row[0] for row in conn.execute(_SQL["heard"], parameters)]


def link_said(
    conn: Connection, tenant_id: int, device_id: int, at: datetime, *, online: bool, retained: bool
) -> bool:
    """Set a device's link as its status or last will says; return whether that is a change."""
    parameters = {
        "tenant_id": tenant_id,
        "device_id": device_id,
        "state": "online" if online else "offline",
        "reason": "status" if online else "will",
        "retained": retained,
        "at": at,
    }
    return conn.execute(_SQL["link_said"], parameters).fetchone() is not None


def notify_live(conn: Connection, tenant_id: int, **ids: Collection[int]) -> None:
    """Tell the live feed which ids changed: `datastreams`, `devices`, `alerts`, `links`."""
    queue = [(kind, int(one)) for kind, many in ids.items() for one in many]
    size = max(1, (_NOTIFY_BYTES - 200) // 12)  # a bigint of ten digits and a comma
    for start in range(0, len(queue), size):
        payload: dict[str, Any] = {"tenant_id": tenant_id, **{kind: [] for kind in ids}}
        for kind, one in queue[start : start + size]:
            payload[kind].append(one)
        text = json.dumps(payload, separators=(",", ":"))
        conn.execute(_SQL["notify"], {"channel": "mizumori_live", "payload": text})


def _write(
    conn: Connection, table: str, columns: dict[str, Column], count: int, *, copy: bool
) -> None:
    if copy:
        with conn.cursor() as cursor, cursor.copy(_SQL[f"copy_{table}"]) as stream:
            stream.write(copy_rows(list(columns.values())))
        return
    written = conn.execute(_SQL[f"insert_{table}"], columns).rowcount
    if written != count:
        raise AlreadyStoredError(f"{count - written} of {count} rows were stored meanwhile")


def _newest(key: NDArray[np.int32], time_ms: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the place of the newest row of each key."""
    order = np.lexsort((time_ms, key))
    last = np.ones(len(order), np.bool_)
    last[:-1] = key[order][1:] != key[order][:-1]
    return order[last]


def _mark_rollups(
    conn: Connection, datastream_id: NDArray[np.int32], time_ms: NDArray[np.int64]
) -> None:
    hour = time_ms // 3_600_000
    order = np.lexsort((hour, datastream_id))
    first = np.ones(len(order), np.bool_)
    first[1:] = (np.diff(datastream_id[order]) != 0) | (np.diff(hour[order]) != 0)
    place = order[first]
    parameters = {
        "datastream_id": Column(INT4, datastream_id[place]),
        "bucket": Column(TIMESTAMPTZ, hour[place] * 3_600_000),
    }
    conn.execute(_SQL["mark_rollups"], parameters)


def _pick(column: Column, index: NDArray[np.intp]) -> Column:
    null = None if column.null is None else column.null[index]
    return Column(column.kind, column.values[index], null)
