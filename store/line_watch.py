"""Ends connections to the database that stay open and over which no answer will come.

A tunnel or a proxy that has forgotten a connection tells neither end, and TCP finds nothing wrong:
who waits for an answer waits for ever. The server, asked over a new connection, says that it has
nothing to do for that session: then it is ended there, with what it has locked, and here, where its
user is told that the database is away, as of any other outage.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
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
# Since when the server has nothing to do for a session; None: it knows of no such session.
_Idle = datetime | None


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
        self._idle: dict[_Connection, _Idle] = {}  # as the last look found those that wait
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

        Returns
        -------
        int
            How many connections were ended.
        """
        waiting, before, self._idle = self._waiting(), self._idle, {}
        if not waiting:
            return 0
        with closing(self._connect()) as server:
            now = self._idle = _ask(server, waiting)
            # Between two looks it would have begun what was on its way to it at the first.
            lost = [
                (pid, conn)
                for pid, conn in waiting.items()
                if conn in before and conn in now and before[conn] == now[conn]
            ]
            for pid, conn in lost:
                server.execute(_SQL["end"], {"pid": pid, "since": now[conn]})
                _end(conn)
        if lost:
            log.warning("database_never_answers", connections=len(lost))
        return len(lost)

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            with suppress(DatabaseAwayError, psycopg.Error):  # others say that it is away
                self.look()

    def _waiting(self) -> dict[int, _Connection]:
        with self._adding:
            known = list(self._connections)
        return {
            conn.info.backend_pid: conn
            for conn in known
            if conn.pgconn.transaction_status == TransactionStatus.ACTIVE
        }


def _ask(
    server: psycopg.Connection[Any], waiting: Mapping[int, _Connection]
) -> dict[_Connection, _Idle]:
    """Return those of the connections for which the server does nothing, and since when."""
    rows = server.execute(_SQL["sessions"], {"pids": list(waiting)}).fetchall()
    sessions = {pid: (is_active, since) for pid, is_active, since in rows}
    found: dict[_Connection, _Idle] = {}
    for pid, waits in waiting.items():
        is_active, since = sessions.get(pid, (False, None))
        if not is_active:
            found[waits] = since
    return found


def _end(conn: _Connection) -> None:
    """Have whoever waits read the connection's end."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(conn.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
