"""Connections that stay open and never answer: found and ended, and nobody else's."""

import socket
import struct
import threading
from queue import SimpleQueue

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from store import line_watch
from store.errors import DatabaseAwayError
from store.line_watch import LineWatch
from tests.chaos.line import Weather
from tests.fixtures.broker import wait_until

WAITS_FOR_LOCK = (
    "select count(*) from pg_locks where not granted"
    " and database = (select oid from pg_database where datname = current_database())"
)


class Work:
    """A statement, or what is called with the connection, in a thread of its own."""

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
                self.conn, self.pid = conn, conn.info.backend_pid
                self.met.set()
                statement(conn) if callable(statement) else conn.execute(statement)
        except DatabaseAwayError as error:
            self.error = error
        self.ended.set()

    def join(self):
        self._thread.join(60)
        assert self.ended.is_set()


def wait_for_one_that_waits(database):
    wait_until(lambda: len(database.lines._all(TransactionStatus.ACTIVE)) == 1)
    [conn] = database.lines._all(TransactionStatus.ACTIVE).values()
    with line_watch._socket(conn) as end:
        wait_until(lambda: unconfirmed(end) == 0)


def unconfirmed(end):
    """Count the segments that TCP has sent, and of which it has not heard that they came."""
    [segments] = struct.unpack("=24xI", end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28))
    return segments


def came(end):
    """Count the bytes that have come."""
    [count] = struct.unpack("=128xQ", end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136))
    return count


def copy(pieces):
    """Copy what comes, until it is None."""

    def work(conn):
        conn.execute("create temp table copied (number int)")
        with conn.cursor() as cursor, cursor.copy("copy copied from stdin") as stream:
            while piece := pieces.get():
                stream.write(piece)

    return work


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


def test_a_copy_of_which_the_end_never_arrives_is_ended(over_line, line, postgres):
    """Each waits for the other, and the server calls that active."""
    pieces = SimpleQueue()
    work = Work(over_line, copy(pieces))
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        wait_until(lambda: copied(admin) == 0)
        line.forget()
        pieces.put("1\n")
        pieces.put(None)
        wait_until(lambda: over_line.lines.look() == 1)
        work.join()
        assert work.error is not None
        wait_until(lambda: copied(admin) is None)


def test_a_copy_that_takes_long_is_left_alone(over_line, postgres):
    pieces = SimpleQueue()
    work = Work(over_line, copy(pieces))
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        for _ in range(3):
            before = copied(admin) or 0
            pieces.put("1234567\n" * 10_000)
            wait_until(lambda before=before: (copied(admin) or 0) > before)
            assert over_line.lines.look() == 0
    pieces.put(None)
    work.join()
    assert work.error is None


def copied(admin):
    """Return how many bytes the one COPY under way has taken; None: there is none."""
    row = admin.execute("select bytes_processed from pg_stat_progress_copy").fetchone()
    return row and row[0]


def test_an_answer_that_takes_long_to_come_is_left_alone(over_line, line, database_dsn):
    """The server has handed it to the system, and knows nothing of how far it has come."""
    watch = LineWatch(lambda: psycopg.connect(database_dsn.jobs, autocommit=True))
    work = Work(over_line, "select repeat('x', 80000)", meets=lambda: line.set(Weather.SLOW))
    assert work.met.wait(60)
    watch.add(work.conn)
    with line_watch._socket(work.conn) as end:
        for _ in range(3):
            before = came(end)
            wait_until(lambda before=before: work.ended.is_set() or came(end) > before)
            assert watch.look() == 0
    work.join()
    assert work.error is None


def test_what_nobody_uses_is_ended_with_what_is_lost(over_line, line, postgres):
    """Or the next one to use it would wait in turn, and a listener would hear of nothing."""
    with over_line.connect() as listener:
        listener.execute("listen something")
        pid = listener.info.backend_pid
        work = Work(over_line, meets=line.forget)
        assert work.met.wait(60)
        wait_for_one_that_waits(over_line)
        assert [over_line.lines.look() for _ in range(2)] == [0, 2]
        with pytest.raises(psycopg.OperationalError):
            listener.execute("select 1")
        work.join()
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        left = "select pid from pg_stat_activity where pid = any(%s)"
        pids = [pid, work.pid]
        wait_until(lambda: not admin.execute(left, (pids,)).fetchall())


def test_one_session_is_looked_after_with_the_others(over_line, line):
    with over_line.one_session() as own:
        work = Work(own, meets=line.forget)
        assert work.met.wait(60)
        wait_for_one_that_waits(over_line)
        assert over_line.lines.look() == 0
        assert over_line.lines.look() >= 1  # with the other pool's, if that has one already
        work.join()
        assert work.error is not None
    assert not over_line.lines._ended.is_set()


def test_looking_itself_does_not_wait_for_ever(over_line, line, monkeypatch):
    def lose():
        conn = over_line._connect()
        line.forget()
        return conn

    work = Work(over_line, meets=line.forget)
    assert work.met.wait(60)
    wait_for_one_that_waits(over_line)
    with monkeypatch.context() as now:
        now.setattr(line_watch, "LOOK_EVERY_S", 0.2)
        now.setattr(over_line.lines, "_connect", lose)
        with pytest.raises(psycopg.OperationalError):
            over_line.lines.look()
    wait_until(lambda: over_line.lines.look() == 1)
    work.join()
