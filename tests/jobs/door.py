"""The gateway's way into the store without a broker, for readings in any order."""

import itertools
from datetime import UTC, datetime

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from gateway.batch import Batch, RowLists, Rows
from gateway.commit import Committer
from gateway.links import Links
from gateway.quarantine import Quarantine
from gateway.registry import load
from gateway.standing import Standing
from jobs.settlement import Settlement
from store import town_catalog
from store.database import Database
from store.detector_states import StateMovedError
from store.intake_lease import Lease
from store.marks import Mark
from store.observations import AlreadyStoredError
from store.town_catalog import NewTenant

START_MS = 1_763_760_000_000
_numbers = itertools.count(1)

LEDGER = (
    "select rule_code, rule_version, onset_time, clear_time, level, peak_level, peak_value,"
    " training from alert where datastream_id = %s and not withdrawn and merged_into is null"
    " order by rule_code, onset_time"
)
MOVES = (
    "select rule_code, phenomenon_time, from_level, to_level, value, t.rule_version,"
    " evidence -> 'unconfirmed' from alert_transition t join alert a using (alert_id)"
    " where datastream_id = %s and withdrawn_revision is null and not withdrawn"
    " and merged_into is null order by rule_code, phenomenon_time, to_level"
)


class Door:
    """Commits batches as the gateway's worker does."""

    def __init__(self, database, tenant_id):
        self.database, self.tenant_id = database, tenant_id
        self.leases = [Lease(tenant_id, 0, 1, True)]
        self.committer = Committer(database, Links(), Quarantine(1000), 3600.0)
        self.standing = None
        self.moved = 0

    def restart(self):
        """Begin again from what is stored."""
        self.committer.forget()
        self.standing = None
        self.load()

    def load(self):
        """Read the registry anew."""
        with self.database.transaction() as conn:
            registry = load(conn)
            epoch = np.ones(len(registry.datastream_id), np.int64)
            self.standing = Standing.load(conn, registry, epoch, self.standing)

    def take(self, readings, *, marks=0, received_ms=None, seq=-1):
        """Commit (datastream, time_ms, value) in one batch, in the order given."""
        registry = self.standing.registry
        place = {int(d): i for i, d in enumerate(registry.datastream_id)}
        streams, times, values = zip(*readings, strict=True)
        n = len(readings)
        time_ms = np.array(times, np.int64)
        rows = Rows(
            np.array([place[d] for d in streams], np.int32),
            time_ms,
            np.array(values, np.float64),
            np.full(n, seq, np.int64),
            np.full(n, marks, np.int16),
            time_ms if received_ms is None else np.full(n, received_ms, np.int64),
        )
        self._commit(Batch([], rows, [], [], {}, []))

    def take_fixes(self, fixes):
        """Commit fixes in one batch, in the order given."""
        rows = Rows.of(RowLists(), np.zeros(0, np.int64))
        self._commit(Batch([], rows, fixes, [], {}, []))

    def _commit(self, batch):
        copy = True
        for _ in range(5):
            try:
                self.standing = self.committer.commit(batch, self.standing, self.leases, copy=copy)
            except (psycopg.errors.UniqueViolation, AlreadyStoredError):
                copy = False
            except StateMovedError as moved:
                self.moved += 1
                with self.database.transaction() as conn:
                    self.standing = self.standing.reload(conn, moved.datastream_ids)
            else:
                return
        raise AssertionError("the batch was not written")


def ledger(owner, datastream_id):
    """What stands of a datastream's alerts, apart from ids and recording times."""
    with owner.transaction() as conn:
        alerts = conn.execute(LEDGER, (datastream_id,)).fetchall()
        moves = conn.execute(MOVES, (datastream_id,)).fetchall()
        undecided = conn.execute(
            "select count(*) from observation where datastream_id = %s and marks & %s = %s",
            (datastream_id, int(Mark.LATE | Mark.SETTLED), int(Mark.LATE)),
        ).fetchone()[0]
    return alerts, moves, undecided


def detector_state(owner, datastream_id):
    with owner.transaction() as conn:
        return conn.execute(
            "select state, through_time from detector_state where datastream_id = %s",
            (datastream_id,),
        ).fetchone()


def add_sensor(owner, tenant_id, code, rules, *, interval_s=60.0):
    """Add a device with one datastream and its own rules: (code, kind, params, since_ms)."""
    with owner.transaction() as conn:
        [[device]] = conn.execute(
            "insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s)"
            " values (%s, %s, 'flood_level', '', '', %s) returning device_id",
            (tenant_id, code, interval_s),
        ).fetchall()
        [[stream]] = conn.execute(
            "insert into datastream (tenant_id, device_id, property, unit)"
            " values (%s, %s, 'depth_m', 'm') returning datastream_id",
            (tenant_id, device),
        ).fetchall()
    for rule in rules:
        add_rule(owner, tenant_id, device, *rule)
    return device, stream


def add_rule(owner, tenant_id, device_id, code, kind, params, since_ms, *, enabled=True):
    """Save a version of a device's own rule as valid from any time, also one that is past."""
    with owner.transaction() as conn:
        conn.execute(
            "insert into rule (tenant_id, code, version, kind, property, device_id, params,"
            " enabled, valid_from) select %(t)s, %(code)s || '-' || %(d)s,"
            " 1 + count(*), %(kind)s, 'depth_m', %(d)s, %(params)s, %(enabled)s,"
            " to_timestamp(%(since)s / 1000.0)"
            " from rule where tenant_id = %(t)s and code = %(code)s || '-' || %(d)s",
            {"t": tenant_id, "d": device_id, "code": code, "kind": kind,
             "params": Jsonb(params), "since": since_ms, "enabled": enabled},
        )  # fmt: skip


def at(minute):
    return START_MS + 60_000 * minute


def iso(minute):
    return datetime.fromtimestamp(at(minute) / 1000, UTC)


class Place:
    """A town, its gateway's door, and the settlement."""

    def __init__(self, dsn):
        self.owner, self.gateway, self.jobs = (
            Database(getattr(dsn, role), name=f"test-{role}", answer_within_s=60)
            for role in ("owner", "gateway", "jobs")
        )
        with self.owner.transaction() as conn:
            tenant = town_catalog.add_tenant(
                conn, NewTenant(code="kawabe", name_ja="川辺町", name_en="Kawabe")
            )
            self.tenant_id = tenant.tenant_id
            conn.execute(
                "insert into intake (tenant_id, partition_no, epoch) values (%s, 0, 1)",
                (self.tenant_id,),
            )
        self.door = Door(self.gateway, self.tenant_id)
        self.settlement = Settlement(self.jobs)

    def sensor(self, rules, code=None):
        return add_sensor(self.owner, self.tenant_id, code or f"s{next(_numbers)}", rules)

    def value(self, sql, *parameters):
        with self.owner.transaction() as conn:
            return conn.execute(sql, parameters).fetchone()[0]

    def rows(self, sql, *parameters):
        with self.owner.transaction() as conn:
            return conn.execute(sql, parameters).fetchall()

    def close(self):
        for database in (self.owner, self.gateway, self.jobs):
            database.close()
