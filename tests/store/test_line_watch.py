"""Connections that stay open and never answer: found and ended, and nobody else's."""

import threading

import psycopg
import pytest

from store.errors import DatabaseAwayError
from tests.fixtures.broker import wait_until

WAITS_FOR_LOCK = (
    "select count(*) from pg_locks where not granted"
    " and database = (select oid from pg_database where datname = current_database())"
)


class Work:
    """A statement in a thread of its own."""

    def __init__(self, database, statement="select 1", *, first="select 1", meets=None):
        self.met, self.ended = threading.Event(), threading.Event()
        self.error = None
        self._thread = threading.Thread(target=self._run, args=(database, statement, first, meets))
        self._thread.start()

    def _run(self, database, statement, first, meets):
        try:
            with database.transaction() as conn:
                if meets is not None:
                    conn.execute(first)
                    meets()
                self.met.set()
                conn.execute(statement)
        except DatabaseAwayError as error:
            self.error = error
        self.ended.set()

    def join(self):
        self._thread.join(60)
        assert self.ended.is_set()


def wait_for_one_that_waits(database):
    wait_until(lambda: len(database.lines._waiting()) == 1)


@pytest.mark.parametrize("when", ["idle", "in a transaction"])
def test_a_connection_that_never_answers_again_is_ended_at_the_second_look(over_line, line, when):
    with over_line.transaction() as conn:
        conn.execute("select 1")
        pid = conn.info.backend_pid
    over_line._answered_s.clear()  # as if it had been idle for long: it is asked first
    if when == "idle":
        line.forget()
    work = Work(over_line, meets=line.forget if when == "in a transaction" else None)
    assert when == "idle" or work.met.wait(60)
    wait_for_one_that_waits(over_line)
    assert over_line.lines.look() == 0
    assert not work.ended.is_set()
    assert over_line.lines.look() == 1
    work.join()
    # One that was idle is replaced without a word; what was under way has to be done again.
    assert (work.error is None) == (when == "idle")
    with over_line.transaction() as conn:
        assert conn.execute("select 1").fetchone() == (1,)
        assert conn.info.backend_pid != pid


def test_a_session_that_is_gone_at_the_server_is_ended_as_well(over_line, line, postgres):
    def lose():
        line.forget()
        with psycopg.connect(postgres.dsn, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where usename = 'mizumori_jobs' and application_name = 'over-line'"
            )

    work = Work(over_line, meets=lose)
    assert work.met.wait(60)
    wait_for_one_that_waits(over_line)
    assert [over_line.lines.look() for _ in range(2)] == [0, 1]
    work.join()
    assert work.error is not None


def test_what_a_lost_session_had_locked_is_free(over_line, line, database_dsn):
    """Nobody tells the server that its client has gone: it would hold the lock for ever."""
    work = Work(over_line, first="select pg_advisory_xact_lock(7)", meets=line.forget)
    assert work.met.wait(60)
    wait_for_one_that_waits(over_line)
    with psycopg.connect(database_dsn.owner) as other:
        lock = "select pg_try_advisory_xact_lock(7)"
        assert other.execute(lock).fetchone() == (False,)
        assert [over_line.lines.look() for _ in range(2)] == [0, 1]
        work.join()
        wait_until(lambda: other.execute(lock).fetchone() == (True,))


def test_a_statement_that_takes_long_is_left_alone(over_line, database_dsn):
    """It waits for a lock: the server works for it, however long."""
    with psycopg.connect(database_dsn.owner) as holder:
        holder.execute("lock table tenant in access exclusive mode")
        work = Work(over_line, "select count(*) from tenant")
        wait_until(lambda: holder.execute(WAITS_FOR_LOCK).fetchone() == (1,))
        assert [over_line.lines.look() for _ in range(3)] == [0, 0, 0]
        assert not work.ended.is_set()
        holder.rollback()
    work.join()
    assert work.error is None


def test_what_waits_for_nothing_is_not_looked_at(over_line, line):
    with over_line.transaction() as conn:
        conn.execute("select 1")
        line.forget()
        assert [over_line.lines.look() for _ in range(3)] == [0, 0, 0]
        line.reset()  # so that the end of the transaction is told
        with pytest.raises(psycopg.OperationalError):
            conn.execute("select 1")
