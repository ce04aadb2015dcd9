"""The commands of docs/database.md that copy a plain database to TimescaleDB, run as they stand.

Where `MIZUMORI_TEST_DSN` points to a TimescaleDB they lead there, else to another plain database:
commands, order and sequences are the same.
"""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from deploy.embedded.postgres_programs import installed_programs
from store import rollups, town_catalog
from store.database import Database
from store.migrate import Engine
from tests.deploy.conftest import command_line
from tests.fixtures.broker import TOWN
from tests.fixtures.database import FOR_TESTS, PASSWORD, DatabaseDsn, migrated, plain_server
from tests.gateway.conftest import NOW_MS, Town
from tests.store.write import write_readings

DOC = Path(__file__).parents[2] / "docs" / "database.md"
FLOOD = [0.0, 0.02, 0.12, 0.15, 0.22, 0.26]
EBB = [0.24, 0.11, 0.03, *[0.0] * 41]
DAYS = range(0, 400, 10)


@pytest.fixture
def town(postgres, database_dsn, nats):
    """A town in a database without TimescaleDB."""
    nats.add_device("plow-01")
    if database_dsn.engine is Engine.PLAIN:
        made = Town(database_dsn, nats, "nats", postgres.dsn)
        yield made
        made.close()
        return
    with plain_server(*FOR_TESTS) as superuser:
        made = Town(migrated(superuser, "mizumori"), nats, "nats", superuser)
        yield made
        made.close()


@pytest.fixture(scope="module")
def page():
    """Returns the commands and the query by which both sides are compared."""
    text = DOC.read_text(encoding="utf-8")
    section = text.split("\n## From plain PostgreSQL to TimescaleDB\n")[1].split("\n## ")[0]
    [commands] = re.findall(r"^ *```sh\n(.+?)^ *```", section, re.MULTILINE | re.DOTALL)
    [comparison] = re.findall(r"compare `(.+?)`", section)
    return commands, comparison


def run_copy(commands, old, new, folder):
    """Run the commands with these databases for OLD and NEW; return what was said."""
    for place, dsn in (("OLD", old), ("NEW", new)):
        to = conninfo_to_dict(dsn)
        written = f"//mizumori_owner@{place}/mizumori"
        assert written in commands
        real = f"//mizumori_owner@{to['host']}:{to['port']}/{to['dbname']}"
        commands = commands.replace(written, real)
    environment = {"PATH": f"{installed_programs() / 'bin'}:/usr/bin:/bin", "PGPASSWORD": PASSWORD}
    done = subprocess.run(
        ["bash", "-e", "-c", commands], cwd=folder, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def content(dsn):
    """How many rows each table has and their hash, and where every sequence stands."""
    with psycopg.connect(dsn, options="-c timezone=UTC") as conn:
        names = conn.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace"
            " and relkind in ('r', 'p') and not relispartition and relname <> 'schema_version'"
        ).fetchall()
        rows = sql.SQL(
            "select count(*), md5(string_agg(row, '' order by row collate \"C\"))"
            " from (select to_jsonb(t)::text as row from {} t) as rows"
        )
        tables = {
            name: conn.execute(rows.format(sql.Identifier(name))).fetchone() for (name,) in names
        }
        sequences = conn.execute(
            "select sequencename, last_value from pg_sequences where schemaname = 'public'"
        ).fetchall()
    return tables, dict(sequences)


def publish(device, depths, start=0):
    for i, depth in enumerate(depths, start):
        device.publish({"ts": NOW_MS + 60_000 * i, "seq": i, "m": {"depth_m": depth}})


def write_a_year(town):
    """Store readings of more than a year; the months' partitions are not those of a new database.

    TimescaleDB has none of them at all.
    """
    stream, now = town.datastream("pond-01", "water_temp_c"), datetime.now(UTC)
    with Database(town.dsn.owner, name="test-year") as database:
        with database.transaction() as conn:
            tenant = town_catalog.tenant(conn, TOWN)
        write_readings(database, stream, tenant, [(now - timedelta(day), 10.0) for day in DAYS])
        with database.transaction() as conn:
            conn.execute("select make_partitions(12)")
            while rollups.roll_up(conn):
                pass


def test_a_town_goes_on_in_the_database_that_the_documented_commands_filled(
    town, page, postgres, database_dsn, empty_dsn, tmp_path
):
    commands, comparison = page
    write_a_year(town)
    gateway = town.start()
    device = town.device()
    publish(device, FLOOD)
    device.publish("not JSON")
    town.wait_for("select count(*) from observation", len(DAYS) + len(FLOOD))
    town.wait_for("select count(*) from quarantine", 1)
    gateway.stop()
    publish(device, EBB, len(FLOOD))  # the broker keeps it
    [standing] = town.rows(comparison)
    before = content(town.dsn.owner)
    for table in (
        "alert", "alert_transition", "detector_state", "intake", "journal", "latest", "level_label",
        "observation", "outbox", "quarantine", "revision", "rollup_hour", "rule",
    ):  # fmt: skip
        assert before[0][table][0] > 0, table

    mizumori = command_line(empty_dsn, tmp_path)
    assert f"engine {database_dsn.engine} " in mizumori("migrate")
    said = run_copy(commands, town.dsn.owner, empty_dsn, tmp_path)
    # The page says of one warning that it can be passed over.
    details = [line for line in said.splitlines() if line.startswith("pg_dump: detail")]
    assert details == ["pg_dump: detail: alert"], said
    assert "psql:" not in said
    assert content(empty_dsn) == before

    name = conninfo_to_dict(empty_dsn)["dbname"]
    town.move(DatabaseDsn.of(postgres.dsn, name, database_dsn.engine), postgres.dsn)
    assert town.rows(comparison) == [standing]
    town.start()
    town.wait_for("select count(*) from observation", len(DAYS) + len(FLOOD) + len(EBB))
    [(alert, cleared)] = town.rows(
        "select alert_id, clear_time is not null from alert where rule_code = 'street-depth'"
    )
    assert cleared
    publish(device, FLOOD, len(FLOOD) + len(EBB))
    town.wait_for("select count(*) from alert where rule_code = 'street-depth'", 2)
    assert mizumori("replay", str(alert))
