"""The pool: transactions, outages and recovery; and the loader of statements."""

import psycopg
import pytest

from store import queries
from store.database import Database, describe
from store.errors import DatabaseAwayError
from store.queries import Statements


def test_error_rolls_the_transaction_back(roles, town):
    def fail():
        with roles.owner.transaction() as conn:
            conn.execute("update tenant set name_en = 'changed'")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with roles.owner.transaction() as conn:
        assert conn.execute("select name_en from tenant").fetchone() == (town.name_en,)


def test_database_that_is_away_is_named_without_its_password():
    dsn = "postgresql://someone:sesame@127.0.0.1:9/nowhere"
    with Database(dsn, name="test", answer_within_s=0.5) as database:
        with (
            pytest.raises(DatabaseAwayError, match="nowhere at 127") as away,
            database.transaction(),
        ):
            pass
        with pytest.raises(DatabaseAwayError) as refused:
            database.connect()
    assert "sesame" not in str(away.value) + str(refused.value) + describe(dsn)


def test_one_session_serves_a_thread_that_repeats_itself(roles):
    def session(database):
        with database.transaction() as conn:
            return conn.info.backend_pid

    with roles.gateway.one_session() as own:
        assert len({session(own) for _ in range(3)}) == 1
        with roles.gateway.transaction():
            assert session(own) != session(roles.gateway)


def test_connections_killed_by_the_server_are_replaced(database_dsn, postgres):
    with Database(database_dsn.gateway, name="victim", max_size=2, answer_within_s=60) as database:
        with database.transaction() as conn:
            conn.execute("select 1")
        with psycopg.connect(postgres.dsn, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid, 60000) from pg_stat_activity"
                " where application_name = 'victim'"
            )
        with database.transaction() as conn:
            assert conn.execute("select 1").fetchone() == (1,)


def test_server_that_goes_in_the_middle_is_away_and_not_a_bug(database_dsn, postgres):
    def lose(database):
        with database.transaction() as conn:
            with psycopg.connect(postgres.dsn, autocommit=True) as admin:
                admin.execute("select pg_terminate_backend(%s)", (conn.info.backend_pid,))
            conn.execute("select 1")

    with Database(database_dsn.gateway, name="victim", max_size=2, answer_within_s=60) as database:
        with pytest.raises(DatabaseAwayError):
            lose(database)
        with database.transaction() as conn:
            assert conn.execute("select 1").fetchone() == (1,)


def test_every_statement_of_every_file_can_be_loaded():
    for path in queries.FOLDER.glob("*.sql"):
        assert len(queries.load(path.stem)) > 0


def test_unknown_statement_names_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'unsent'"):
        queries.load("outbox")["unsend"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("select 1;\n-- name: a\nselect 2;", "before the first"),
        ("-- name: a\n-- name: b\nselect 1", "'a' is empty"),
        ("-- name: a\nselect 1;\n-- name: a\nselect 2;", "comes twice"),
    ],
)
def test_broken_file_of_statements_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        Statements("file", text)


def test_a_partner_that_vanishes_is_noticed_on_both_sides_within_half_a_minute(database_dsn):
    """Also with something unconfirmed on its way, when no keepalive is sent."""
    with Database(database_dsn.gateway, name="test") as database:
        with database.transaction() as conn:
            named = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count",
                     "tcp_user_timeout", "timezone")  # fmt: skip
            server = [conn.execute(f"show {name}").fetchone()[0] for name in named]
            ours = psycopg.conninfo.conninfo_to_dict(conn.info.dsn)
        with database.connect() as alone:
            assert alone.execute("show timezone").fetchone() == ("UTC",)
    assert server == ["10", "5", "3", "25000", "UTC"]
    assert int(ours["keepalives_idle"]) + 3 * int(ours["keepalives_interval"]) <= 30
    assert int(ours["tcp_user_timeout"]) <= 30_000
