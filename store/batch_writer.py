"""What a gateway writes with every batch: put off, and written in one statement."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types import TypeInfo

from store import flag_revisions, latest, live, observations, queries
from store.binary import (
    INT2,
    INT4,
    INT8,
    TEXT,
    TIMESTAMPTZ,
    Blobs,
    Column,
    Records,
)
from store.database import Connection, alone
from store.detector_states import States, refuse_moved
from store.flag_revisions import Verdicts
from store.intake_lease import Lease, fence
from store.observations import AlreadyStoredError, Observations

# More rows than this are faster by COPY, two ways there and back as they are.
FEW_ROWS: Final = 200
_HOUR_MS: Final = 3_600_000
_SQL = queries.load("batch_writer")
_WRITE: Final = _SQL["write"]
_PARTS: Final = ("lease", "state", "row", "verdict", "heard")
_NOTHING: Final[Mapping[str, Any]] = {
    **{part: Records(f"batch_{part}") for part in _PARTS},
    "notices": Blobs(TEXT, ()),
    "stored": False,
}
# What the statement refuses: see `refuse_batch` in the schema.
_LEASE_LOST, _STATE_MOVED, _ALREADY_STORED = "MZ001", "MZ002", "MZ003"


class BatchWriter:
    """Puts off what a transaction writes until somebody needs it to be there.

    A commit of a few readings is then one statement, and that the whole transaction: there and
    back once. The leases are held by the first statement: nothing is read or written through
    `conn` before.

    Parameters
    ----------
    conn
        Of the batch's transaction.
    leases
        Under which the batch is written.
    """

    def __init__(self, conn: Connection, leases: Collection[Lease]) -> None:
        self._conn = conn
        self._leases = leases
        self._states: States | None = None
        self._waiting: dict[str, Records | Blobs | bool] = {}
        _know_types(conn)
        if leases:
            units = np.array([lease.unit for lease in leases], np.int64)
            self._put("lease", {
                "tenant_id": Column(INT4, units[:, 0]),
                "partition_no": Column(INT2, units[:, 1]),
                "epoch": Column(INT8, np.array([lease.epoch for lease in leases], np.int64)),
            })  # fmt: skip

    @property
    def conn(self) -> Connection:
        """The transaction's connection, after everything that was put off.

        Raises
        ------
        LeaseLostError, StateMovedError, AlreadyStoredError
            See `flush`.
        """
        self.flush()
        return self._conn

    def flush(self) -> None:
        """Write what was put off.

        Raises
        ------
        LeaseLostError
            If somebody else has taken one of the leases.
        StateMovedError
            If a settlement has replaced states that these were decided from.
        AlreadyStoredError
            If a reading is there already. Look again.
        psycopg.DatabaseError

        Notes
        -----
        After any of them the transaction is rolled back, or can only be rolled back.
        """
        if not self._waiting:
            return
        parameters, self._waiting = {**_NOTHING, **self._waiting}, {}
        try:
            self._conn.execute(_WRITE, parameters)
        except psycopg.DatabaseError as error:
            self._explain(error)
            raise

    def finish(self) -> None:
        """Write what was put off as the last of the transaction; raises what `flush` does.

        Where nothing else was asked of the database it is the transaction, and committed.
        """
        with alone(self._conn):
            self.flush()

    def _explain(self, error: psycopg.DatabaseError) -> None:
        """Raise what a refusal means."""
        if error.sqlstate not in {_LEASE_LOST, _STATE_MOVED, _ALREADY_STORED}:
            return
        self._conn.rollback()
        if error.sqlstate == _LEASE_LOST:
            fence(self._conn, self._leases)
        elif error.sqlstate == _STATE_MOVED and self._states is not None:
            refuse_moved(self._conn, self._states)
        elif error.sqlstate == _ALREADY_STORED:
            raise AlreadyStoredError("some of a batch's readings were stored meanwhile") from error

    def states(self, rows: States) -> None:
        """Write detector states, and keep settlements from them until the transaction ends."""
        if len(rows):
            self._states = rows
            self._put("state", rows.columns())

    def observations(self, rows: Observations, *, copy: bool) -> None:
        """Write readings, and the newest of each datastream to `latest`.

        Parameters
        ----------
        rows
            No two with one datastream and time.
        copy
            Many by COPY, which raises psycopg.errors.UniqueViolation if one is there already.
        """
        if not len(rows):
            return
        if copy and len(rows) > FEW_ROWS:
            observations.copy(self.conn, rows)
            self.follow(rows)
        else:
            self._put("row", rows.columns_with_latest())

    def follow(self, rows: Observations) -> None:
        """Write the newest of written readings to `latest`, and mark the hours they are in."""
        order, last = latest.by_key(rows.datastream_id, rows.time_ms)
        hour = rows.time_ms[order] // _HOUR_MS
        last[:-1] |= hour[1:] != hour[:-1]
        columns = rows.columns_with_latest()
        self._put("row", {name: column.take(order[last]) for name, column in columns.items()})
        self._waiting["stored"] = True

    def verdicts(self, verdicts: Verdicts, awaited: NDArray[np.bool_]) -> None:
        """Write new flags of readings that were stored before.

        Those that had to wait for the next reading (`awaited`) are written in their place. The
        others, which a late neighbour changed, are appended: what was said in real time stays.
        """
        if awaited.any():
            own = verdicts if awaited.all() else verdicts.take(awaited)
            self._put("verdict", own.columns())
        if not awaited.all():
            flag_revisions.revise(self.conn, verdicts.take(~awaited))

    def heard(self, devices: Mapping[int, tuple[int, int]]) -> None:
        """Set devices online: {device_id: (tenant_id, received_ms)}."""
        if devices:
            towns, times = zip(*devices.values(), strict=True)
            self._put("heard", {
                "device_id": Column(INT4, np.array(list(devices), np.int32)),
                "tenant_id": Column(INT4, np.array(towns, np.int32)),
                "at": Column(TIMESTAMPTZ, np.array(times, np.int64)),
            })  # fmt: skip

    def notify(self, changed: Mapping[int, Mapping[str, Collection[int]]]) -> None:
        """Tell the live feed by town which ids changed; see `store.live.notices`."""
        said = [one for town, ids in changed.items() for one in live.notices(town, **ids)]
        if said:
            self._waiting["notices"] = Blobs(TEXT, [one.encode() for one in said])

    def _put(self, part: str, columns: Mapping[str, Column | Blobs]) -> None:
        self._waiting[part] = Records(f"batch_{part}", tuple(columns.values()))


def _know_types(conn: Connection) -> None:
    """Ask once over each connection which numbers the database gave to the types of the parts."""
    known = conn.adapters.types
    if known.get("batch_row") is None:
        with alone(conn):
            for name, oid, array_oid in conn.execute(_SQL["types"]).fetchall():
                known.add(TypeInfo(name, oid, array_oid))
