"""What a gateway's transaction writes with every batch, in one statement."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from psycopg.pq import TransactionStatus

from store import batch_writer, gateways
from store.batch_writer import FEW_ROWS, BatchWriter
from store.detector_states import StateMovedError, States
from store.flag_revisions import Verdicts
from store.gateways import LEASE_S, Member
from store.intake_lease import Lease, LeaseLostError, take
from store.observations import AlreadyStoredError, Observations
from tests.fixtures.broker import wait_until

TIME_MS = 1_763_760_000_000
HOUR_MS = 3_600_000
COLUMNS = "datastream_id, phenomenon_time, received_time, value::text, seq, flag, evaluated, marks"
STORED = f"select {COLUMNS} from observation order by 1, 2"
LATEST = (
    "select datastream_id, tenant_id, phenomenon_time, received_time, value::text, flag, marks,"
    " rate_per_h from latest order by 1"
)
AFTER = (LATEST, "select datastream_id, bucket from rollup_dirty order by 1, 2")


def rows(town, stream, count, *, start_ms=TIME_MS, step_ms=60_000):
    """Readings of two datastreams in turn, the newest not last, one of them missing."""
    n = np.arange(count)
    streams = np.array(stream, np.int32)
    time_ms = np.roll(start_ms + step_ms * n, 1)
    value = np.where(n == count // 2, math.nan, n / 100)
    return Observations(
        streams[n % len(streams)], np.full(count, town.tenant_id, np.int32), time_ms,
        time_ms + 500, value, np.where(n % 3, n, -1), np.where(n % 2, 1, 3).astype(np.uint8),
        np.full(count, 7, np.int16), (n % 2).astype(np.int16),
        np.where(n % 4, 0.5, math.nan),
    )  # fmt: skip


def states(stream, *, revision=0, epoch=1, says=b"state"):
    n = len(stream)
    return States(
        np.array(stream, np.int32), np.full(n, epoch), np.full(n, revision),
        np.full(n, TIME_MS), np.zeros(n, np.int64), [says] * n,
    )  # fmt: skip


@pytest.fixture
def pair(streams):
    return sorted([streams["f1", "depth_m"], streams["p1", "ph"]])


@pytest.fixture
def leases(roles, town):
    member = Member("own", "own")
    units = [(town.tenant_id, 0), (town.tenant_id, 1)]
    with roles.gateway.transaction() as conn:
        gateways.enter(conn, member)
        gateways.share_out(conn, units, LEASE_S)
        return take(conn, units, member)


def ask(roles, *statements):
    with roles.owner.transaction() as conn:
        return [conn.execute(one).fetchall() for one in statements]


def test_a_few_rows_and_many_leave_the_same(roles, town, pair, monkeypatch):
    found = []
    for few in (FEW_ROWS, 1):
        monkeypatch.setattr(batch_writer, "FEW_ROWS", few)
        with roles.gateway.transaction() as conn:
            writer = BatchWriter(conn, ())
            writer.observations(rows(town, pair, 150), copy=True)
            writer.flush()
        found.append(ask(roles, STORED, *AFTER))
        with roles.owner.transaction() as conn:
            conn.execute("truncate observation, latest, rollup_dirty")
    assert len(found[0][0]) == 150
    assert len(found[0][1]) == 2
    assert len(found[0][2]) == 6
    assert found[0] == found[1]


@pytest.mark.parametrize(("count", "error"), [
    (10, AlreadyStoredError), (FEW_ROWS + 10, psycopg.errors.UniqueViolation)
])  # fmt: skip
def test_reading_that_is_there_already_takes_the_batch_back(roles, town, pair, count, error):
    def write(observations):
        with roles.gateway.transaction() as conn:
            writer = BatchWriter(conn, ())
            writer.states(states(pair))
            writer.observations(observations, copy=True)
            writer.flush()

    write(rows(town, pair, 2))
    before = ask(roles, STORED, *AFTER)
    with pytest.raises(error):
        write(rows(town, pair, count))
    assert ask(roles, STORED, *AFTER) == before


@pytest.mark.parametrize("count", [1, FEW_ROWS + 1])
def test_nothing_is_written_under_a_lease_that_is_lost(roles, town, pair, leases, count):
    lost = Lease(town.tenant_id, 1, leases[1].epoch - 1, known=True)

    def write():
        with roles.gateway.transaction() as conn:
            writer = BatchWriter(conn, [leases[0], lost])
            writer.states(states(pair))
            writer.observations(rows(town, pair, count), copy=True)
            writer.heard({1: (town.tenant_id, TIME_MS)})
            writer.flush()

    with pytest.raises(LeaseLostError, match="partition 1 of town") as raised:
        write()
    assert raised.value.lost == (lost,)
    assert ask(roles, STORED, *AFTER, "select 1 from detector_state") == [[], [], [], []]


def test_leases_are_held_before_anything_else_and_until_the_end(roles, town, leases):
    lost = Lease(town.tenant_id, 5, 1, known=True)
    with roles.gateway.transaction() as conn, pytest.raises(LeaseLostError):
        assert BatchWriter(conn, [lost]).conn
    with roles.gateway.transaction() as conn:
        writer = BatchWriter(conn, leases)
        assert writer.conn.execute("select 1").fetchone() == (1,)
        with roles.owner.transaction() as other, pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("select from intake for update nowait")


def test_lease_that_is_taken_while_the_batch_waits_for_it_is_lost(roles, town, pair, leases):
    def write():
        with roles.gateway.transaction() as conn:
            writer = BatchWriter(conn, leases)
            writer.observations(rows(town, pair, 3), copy=True)
            writer.finish()

    with ThreadPoolExecutor(1) as thread:
        with roles.owner.transaction() as other:
            other.execute("update intake set epoch = epoch + 1 where partition_no = 1")
            written = thread.submit(write)
            waits = "select from pg_locks where transactionid = %s::xid and not granted"
            own = other.execute("select pg_current_xact_id()::text").fetchone()
            wait_until(lambda: written.done() or other.execute(waits, own).fetchall())
            assert not written.done()
        with pytest.raises(LeaseLostError, match="partition 1 of town"):
            written.result()
    assert ask(roles, STORED) == [[]]


def test_state_that_a_settlement_has_replaced_is_named(roles, pair):
    def write(revision):
        with roles.gateway.transaction() as conn:
            writer = BatchWriter(conn, ())
            writer.states(states(pair, revision=revision, says=b"again"))
            writer.flush()

    write(0)
    with roles.jobs.transaction() as conn:
        conn.execute(
            "update detector_state set revision = 1, state = 'settled' where datastream_id = %s",
            (pair[1],),
        )
    with pytest.raises(StateMovedError) as moved:
        write(0)
    assert moved.value.datastream_ids == (pair[1],)
    [[(settled,)]] = ask(roles, f"select state from detector_state where datastream_id = {pair[1]}")
    assert settled == b"settled"


@pytest.mark.parametrize("compressed", [False, True])
def test_awaited_verdict_is_written_over_and_another_one_appended(
    roles, town, pair, database_dsn, compressed
):
    if compressed and database_dsn.engine != "timescale":
        pytest.skip("plain PostgreSQL compresses nothing")
    with roles.gateway.transaction() as conn:
        writer = BatchWriter(conn, ())
        writer.observations(rows(town, pair[:1], 3), copy=True)
        writer.flush()
    if compressed:
        with roles.owner.transaction() as conn:
            conn.execute("select compress_chunk(c) from show_chunks('observation') c")
    times = TIME_MS + 60_000 * np.arange(2)
    verdicts = Verdicts.of(pair[0], times, np.array([4, 3], np.uint8), np.array([15, 31], np.int16))
    for awaited in ([True, False], [False, False]):
        with roles.gateway.transaction() as conn:
            writer = BatchWriter(conn, ())
            # A new one into the same chunk, in the same statement.
            time_ms = TIME_MS + 1000 * (1 + sum(awaited))
            writer.observations(rows(town, pair[:1], 1, start_ms=time_ms), copy=True)
            writer.verdicts(verdicts, np.array(awaited))
            writer.flush()
    flags, revisions, count = ask(
        roles,
        "select flag, evaluated from observation where extract(epoch from phenomenon_time) in "
        f"({TIME_MS // 1000}, {TIME_MS // 1000 + 60}) order by phenomenon_time",
        "select flag, evaluated from flag_revision order by flag_revision_id",
        "select count(*) from observation",
    )
    assert flags == [(4, 15), (3, 7)]
    assert revisions == [(3, 31), (4, 15), (3, 31)]
    assert count == [(5,)]


@pytest.mark.parametrize("compressed", [False, True])
def test_awaited_verdict_on_a_reading_that_is_gone_writes_nothing(
    roles, town, pair, database_dsn, compressed
):
    if compressed and database_dsn.engine != "timescale":
        pytest.skip("plain PostgreSQL compresses nothing")
    with roles.gateway.transaction() as conn:
        BatchWriter(conn, ()).observations(rows(town, pair, FEW_ROWS + 4), copy=True)
    with roles.owner.transaction() as conn:
        conn.execute("delete from observation where phenomenon_time < to_timestamp(%s)",
                     (TIME_MS / 1000 + 120,))  # fmt: skip
        if compressed:
            conn.execute("select compress_chunk(c) from show_chunks('observation') c")
    # Of these minutes it has the odd ones.
    long_ago = TIME_MS - 1000 * 24 * HOUR_MS
    times = np.array([long_ago, *(TIME_MS + 60_000 * np.arange(4))])
    verdicts = Verdicts.of(pair[0], times, np.full(5, 4, np.uint8), np.full(5, 15, np.int16))
    before = ask(roles, STORED)
    with roles.gateway.transaction() as conn:
        writer = BatchWriter(conn, ())
        writer.verdicts(verdicts, np.ones(5, np.bool_))
        writer.finish()
    [stored] = ask(roles, STORED)
    assert [row[:5] for row in stored] == [row[:5] for row in before[0]]
    assert [row[1].timestamp() for row in stored if row[5:7] == (4, 15)] == [TIME_MS / 1000 + 180]


def test_awaited_verdicts_are_found_by_key_where_nothing_has_been_analyzed(roles, town, pair):
    """A partition without statistics passes for empty, and would be read whole each time."""
    stored = rows(town, pair, 1000)
    with roles.gateway.transaction() as conn:
        BatchWriter(conn, ()).observations(stored, copy=True)
    verdicts = Verdicts(
        stored.datastream_id, stored.time_ms, stored.flag + 1, stored.evaluated
    )  # fmt: skip
    with roles.gateway.transaction() as conn:
        writer = BatchWriter(conn, ())
        writer.verdicts(verdicts.take(np.arange(5)), np.ones(5, np.bool_))
        found = writer.conn.execute(
            "select sum(n_tup_upd), sum(seq_tup_read) from pg_stat_xact_all_tables "
            "where relname like 'observation%' or relname like '%hyper%chunk'"
        ).fetchone()
    assert found == (5, 0)


def test_reading_into_a_compressed_chunk_is_stored_once(roles, town, pair, database_dsn):
    if database_dsn.engine != "timescale":
        pytest.skip("plain PostgreSQL compresses nothing")

    def write(observations):
        with roles.gateway.transaction() as conn:
            writer = BatchWriter(conn, ())
            writer.observations(observations, copy=True)
            writer.flush()

    write(rows(town, pair, 4))
    with roles.owner.transaction() as conn:
        conn.execute("select compress_chunk(c) from show_chunks('observation') c")
    write(rows(town, pair, 4, start_ms=TIME_MS + 30_000))
    with pytest.raises(AlreadyStoredError):
        write(rows(town, pair, 4))
    assert ask(roles, "select count(*) from observation") == [[(8,)]]


def test_device_that_is_heard_comes_online_and_the_feed_hears_it(roles, town, database_dsn):
    [[(device,)]] = ask(roles, "select device_id from device where code = 'f1'")
    with psycopg.connect(database_dsn.owner, autocommit=True) as listener:
        listener.execute("listen mizumori_live")
        for _ in range(2):
            with roles.gateway.transaction() as conn:
                writer = BatchWriter(conn, ())
                writer.heard({device: (town.tenant_id, 4_000_000_000_000)})
                writer.notify({town.tenant_id: {"datastreams": {7}}, 99: {"alerts": {1, 2}}})
                writer.flush()
        said = [json.loads(n.payload) for n in listener.notifies(timeout=30, stop_after=5)]
    again = [{"tenant_id": town.tenant_id, "datastreams": [7]}, {"tenant_id": 99, "alerts": [1, 2]}]
    assert said == [*again, {"tenant_id": town.tenant_id, "links": [device]}, *again]
    [[(state,)], events] = ask(
        roles,
        f"select state from link_state where device_id = {device}",
        f"select reason from link_event where device_id = {device} and state = 'online'",
    )
    assert (state, events) == ("online", [("message",)])


def test_batch_that_asks_nothing_is_one_statement_and_its_own_transaction(
    roles, town, pair, leases
):
    with roles.gateway.transaction() as conn:
        writer = BatchWriter(conn, leases)
        writer.observations(rows(town, pair, 3), copy=True)
        writer.finish()
        assert conn.info.transaction_status == TransactionStatus.IDLE
        assert ask(roles, "select count(*) from observation") == [[(3,)]]
        assert not conn.autocommit


def test_batch_that_has_asked_something_ends_with_its_transaction(roles, town, pair, leases):
    with roles.gateway.transaction() as conn:
        writer = BatchWriter(conn, leases)
        writer.states(states(pair))
        assert writer.conn.execute("select count(*) from detector_state").fetchone() == (2,)
        writer.observations(rows(town, pair, 3), copy=True)
        writer.finish()
        counts = ("select count(*) from observation", "select count(*) from detector_state")
        assert ask(roles, *counts) == [[(0,)], [(0,)]]
    assert ask(roles, *counts) == [[(3,)], [(2,)]]


@pytest.mark.parametrize("refusal", ["lease", "state", "reading"])
def test_batch_that_is_refused_leaves_nothing_and_a_session_to_go_on_with(
    roles, town, pair, leases, refusal
):
    write_first = {"state": 0, "reading": 3}.get(refusal, 0)
    with roles.gateway.transaction() as conn:
        writer = BatchWriter(conn, leases)
        writer.observations(rows(town, pair, write_first), copy=True)
        writer.states(states(pair))
        writer.finish()
    if refusal == "state":
        with roles.jobs.transaction() as conn:
            conn.execute("update detector_state set revision = 1")
    before = ask(roles, STORED, *AFTER, "select state from detector_state")
    if refusal == "lease":
        leases = [replace(lease, epoch=lease.epoch - 1) for lease in leases]
    wanted = {"lease": LeaseLostError, "state": StateMovedError, "reading": AlreadyStoredError}
    with roles.gateway.transaction() as conn:
        writer = BatchWriter(conn, leases)
        writer.observations(rows(town, pair, 5), copy=True)
        writer.states(states(pair, says=b"again"))
        writer.heard({1: (town.tenant_id, TIME_MS)})
        writer.notify({town.tenant_id: {"datastreams": {7}}})
        with pytest.raises(wanted[refusal]):
            writer.finish()
    assert ask(roles, STORED, *AFTER, "select state from detector_state") == before
    assert not conn.autocommit


def test_statement_is_short_enough_for_psycopg_to_remember():
    assert len(batch_writer._WRITE) <= 4096
    assert len(batch_writer._NOTHING) <= 50
