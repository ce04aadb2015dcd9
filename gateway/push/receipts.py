"""Receipts: how a listener hears that what it handed to the broker is committed.

Behind a message goes a test publish on the same partition. It is taken in and committed in its
turn, by whichever gateway holds the partition, and its nonce is announced with that commit: so
the message before it is committed as well.
"""

import contextlib
import secrets
import threading
from concurrent.futures import Future, InvalidStateError

import psycopg

from store import broker_accounts
from store.database import Connection, Database
from store.errors import DatabaseAwayError

CHANNEL = "mizumori_probe"
LISTEN_S = 1.0


class Receipts:
    """Waits for nonces in a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: dict[str, Future[None]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; nobody is told any more."""
        self._stop.set()
        self._thread.join(2 * LISTEN_S)

    def expect(self) -> tuple[str, Future[None]]:
        """Return a new nonce, and what is done when it is committed."""
        nonce, receipt = secrets.token_hex(16), Future[None]()
        with self._lock:
            self._waiting[nonce] = receipt
        return nonce, receipt

    def forget(self, nonce: str) -> None:
        """Wait for a nonce no longer."""
        with self._lock:
            self._waiting.pop(nonce, None)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._database.connect() as conn:
                    conn.execute(f"listen {CHANNEL}".encode())
                    self._look(conn)  # what was announced before we listened
                    while not self._stop.is_set():
                        conn.execute("select 1")  # nothing else tells that no notice will come
                        for notice in conn.notifies(timeout=LISTEN_S, stop_after=1):
                            self._seen(notice.payload)
            except (DatabaseAwayError, psycopg.Error):
                self._stop.wait(LISTEN_S)  # the worker has said that the database is away

    def _look(self, conn: Connection) -> None:
        with self._lock:
            waiting = list(self._waiting)
        for nonce in broker_accounts.probes_seen(conn, waiting) if waiting else ():
            self._seen(nonce)

    def _seen(self, nonce: str) -> None:
        with self._lock:
            receipt = self._waiting.pop(nonce, None)
        if receipt is not None:
            with contextlib.suppress(InvalidStateError):  # whoever waited has given up
                receipt.set_result(None)
