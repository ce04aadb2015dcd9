"""Ends connections to the database that stay open and over which no answer will come.

A tunnel or a proxy that has forgotten a connection tells neither end, and TCP finds nothing wrong:
who waits for an answer waits for ever. The server, asked over a new connection, says that it has
nothing to do for that session: then it is ended there, with what it has locked, and here, where its
user is told that the database is away, as of any other outage.
"""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from weakref import WeakSet

import psycopg
import structlog
from psycopg.pq import TransactionStatus

from store import queries
from store.errors import DatabaseAwayError

log = structlog.get_logger(__name__)

# Longer than an answer or a question can be on its way: a line on which nothing is confirmed for
# so long is given up by TCP itself (tcp_user_timeout, 25 s).
LOOK_EVERY_S: Final = 30.0
_SQL = queries.load("line_watch")
_Connection = psycopg.BaseConnection[Any]
# Of Linux' struct tcp_info: the bytes that the other end has confirmed, and those that came.
_MOVED: Final = struct.Struct("=120xQQ")


@dataclass(frozen=True, slots=True)
class _Rest:
    """A session for which the server does nothing; once something goes on it is another one."""

    pid: int
    since: datetime | None  # None: the server knows of no such session
    copied: int | None  # bytes of a COPY whose next ones it waits for
    moved: tuple[int, ...]  # bytes over the line, either way


class LineWatch:
    """Looks after connections, of pools and others, of threads and coroutines.

    Parameters
    ----------
    connect
        Opens a new connection of the same role, in autocommit.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._connections: WeakSet[_Connection] = WeakSet()
        self._adding = threading.Lock()
        self._rests: dict[_Connection, _Rest] = {}  # of those that waited at the last look
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, conn: _Connection) -> None:
        """Look after one more connection, until it is closed."""
        with self._adding:
            self._connections.add(conn)

    def start(self) -> None:
        """Look at every `LOOK_EVERY_S`, in a thread, until `stop`."""
        self._thread = threading.Thread(target=self._run, name="line-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def look(self) -> int:
        """End what has waited since the last look, for a session with nothing to do since then.

        What has forgotten one connection has forgotten others: those that nobody uses now are
        ended as well, or whoever used one next would wait in turn.

        Returns
        -------
        int
            How many connections were ended.
        """
        waiting, before, self._rests = self._all(TransactionStatus.ACTIVE), self._rests, {}
        if not waiting:
            return 0
        with closing(self._connect()) as server, _in_time(server):
            self._rests = _ask(server, waiting)
            # Between two looks it would have begun what was on its way to it at the first.
            lost = {conn: rest for conn, rest in self._rests.items() if before.get(conn) == rest}
            if lost:
                lost |= _ask(server, self._all(TransactionStatus.IDLE))
            for conn, rest in lost.items():
                server.execute(_SQL["end"], {"pid": rest.pid, "since": rest.since})
                _end(conn)
        if lost:
            log.warning("database_never_answers", connections=len(lost))
        return len(lost)

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            with suppress(DatabaseAwayError, psycopg.Error):  # others say that it is away
                self.look()

    def _all(self, status: TransactionStatus) -> dict[int, _Connection]:
        with self._adding:
            known = list(self._connections)
        return {
            conn.info.backend_pid: conn
            for conn in known
            if conn.pgconn.transaction_status == status
        }


def _ask(
    server: psycopg.Connection[Any], connections: Mapping[int, _Connection]
) -> dict[_Connection, _Rest]:
    """Return those of the connections for which the server does nothing, and how they are."""
    rows = server.execute(_SQL["sessions"], {"pids": list(connections)}).fetchall()
    sessions = {pid: (works, since, copied) for pid, works, since, copied in rows}
    found: dict[_Connection, _Rest] = {}
    for pid, conn in connections.items():
        works, since, copied = sessions.get(pid, (False, None, None))
        if not works:
            found[conn] = _Rest(pid, since, copied, _moved(conn))
    return found


def _moved(conn: _Connection) -> tuple[int, ...]:
    """Count the bytes over a connection, where somebody does."""
    with suppress(AttributeError, OSError, psycopg.Error, struct.error), _socket(conn) as line:
        size = _MOVED.size
        return _MOVED.unpack(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size))
    return ()


def _end(conn: _Connection) -> None:
    """Have whoever waits read the connection's end."""
    with suppress(OSError, psycopg.Error), _socket(conn) as line:
        if not conn.closed:  # else the number may have been another's
            line.shutdown(socket.SHUT_RDWR)


def _socket(conn: _Connection) -> socket.socket:
    return socket.socket(fileno=os.dup(conn.fileno()))


@contextmanager
def _in_time(server: psycopg.Connection[Any]) -> Iterator[None]:
    """Let the asking itself not wait for ever: nobody looks after that connection."""
    timer = threading.Timer(LOOK_EVERY_S, _end, (server,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
