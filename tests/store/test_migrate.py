"""The schema on a real server."""

import threading

import psycopg
import pytest

from store.errors import MigrationError
from store.migrate import FOLDER, Engine, migrate, migrations
from store.roles import LOGIN_ROLES, ensure_roles
from tests.fixtures.broker import wait_until
from tests.fixtures.database import PASSWORD


@pytest.fixture
def with_roles(empty_dsn):
    ensure_roles(empty_dsn, dict.fromkeys(LOGIN_ROLES, PASSWORD))
    return empty_dsn


def test_migrating_twice_changes_nothing(with_roles):
    first = migrate(with_roles)
    again = migrate(with_roles)
    assert len(first.applied) == first.version
    assert again.applied == ()
    assert again.version == first.version
    assert again.engine is first.engine


def test_two_migrators_at_once_apply_each_step_once(with_roles):
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(migrate(with_roles))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    steps = len(migrations(Engine.PLAIN))
    assert sorted(len(outcome.applied) for outcome in outcomes) == [0, 0, steps]


def test_roles_that_another_database_of_the_server_changes_meanwhile(with_roles, postgres):
    done = []
    waits = "select 1 from pg_locks where not granted and locktype = 'transactionid'"
    renewing = threading.Thread(
        target=lambda: done.append(ensure_roles(with_roles, dict.fromkeys(LOGIN_ROLES, PASSWORD)))
    )
    with psycopg.connect(postgres.dsn) as other, psycopg.connect(postgres.dsn) as conn:
        other.execute(f"alter role {LOGIN_ROLES[0]} with login password '{PASSWORD}'")
        renewing.start()
        wait_until(lambda: conn.execute(waits).fetchall())
    renewing.join(60)
    assert done == [None]


def test_newer_database_is_refused(with_roles):
    migrate(with_roles)
    with psycopg.connect(with_roles) as conn:
        conn.execute("insert into schema_version values (9999, 'later', 'plain', 'x')")
    with pytest.raises(MigrationError, match="newer Mizumori"):
        migrate(with_roles)


def test_changed_step_is_refused_but_a_mended_comment_is_not(with_roles, tmp_path):
    for path in FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text("-- mended\n" + path.read_text())
    migrate(with_roles)
    migrate(with_roles, folder=tmp_path)
    step = tmp_path / "0001_town.sql"
    step.write_text(step.read_text() + "create table more ();")
    with pytest.raises(MigrationError, match="another text of step 0001"):
        migrate(with_roles, folder=tmp_path)


def test_failing_step_leaves_nothing_behind(with_roles, tmp_path):
    (tmp_path / "0001_half.sql").write_text("create table half (); select 1/0;")
    with pytest.raises(MigrationError, match=r"0001_half .* division by zero"):
        migrate(with_roles, folder=tmp_path)
    with psycopg.connect(with_roles) as conn:
        assert conn.execute("select to_regclass('half')").fetchone() == (None,)


def test_both_flavours_have_the_same_steps():
    plain, timescale = migrations(Engine.PLAIN), migrations(Engine.TIMESCALE)
    assert [(s.version, s.name) for s in plain] == [(s.version, s.name) for s in timescale]


def test_asking_for_the_other_engine_is_refused(with_roles):
    found = migrate(with_roles).engine
    other = Engine.PLAIN if found is Engine.TIMESCALE else Engine.TIMESCALE
    with pytest.raises(MigrationError, match="was made for the engine"):
        migrate(with_roles, other)
