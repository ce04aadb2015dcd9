"""The gateway as a service: its intakes, its worker, and what keeps them up to date."""

import contextlib
import os
import socket
import threading
from datetime import datetime
from wsgiref.simple_server import WSGIServer

import psycopg
import structlog
from prometheus_client import start_http_server

from gateway.intake import Intake
from gateway.session import Session
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.towns import intake_sessions, partitions_of, status_session
from gateway.worker import RETRY_S, Worker
from store import broker_accounts, links
from store.broker_accounts import BrokerAccount
from store.database import Database
from store.errors import DatabaseAwayError
from store.intake_lease import Lease, LeaseLostError, fence, take

log = structlog.get_logger(__name__)

# The silence job takes a gateway that said nothing for a minute to be dead.
BEAT_S = 5.0
LISTEN_S = 1.0
STOP_WITHIN_S = 5.0
STOP_NOTICED_S = 0.2


def run(
    broker: BrokerSettings, settings: GatewaySettings, database: Database, stop: threading.Event
) -> None:
    """Take readings in until `stop` is set.

    Parameters
    ----------
    broker
        Where the broker is; it may be away, now and later.
    settings
        Section ``[gateway]``.
    database
        As the role `mizumori_gateway`; it may be away, now and later.
    stop
        What is with the worker then is committed and acknowledged; the rest waits at the broker.

    Raises
    ------
    LeaseLostError
        Another gateway has taken over; nothing more was written.
    """
    Gateway(broker, settings, database).run(stop)


class Gateway:
    """All intakes of all towns, and one worker."""

    def __init__(
        self, broker: BrokerSettings, settings: GatewaySettings, database: Database
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._database = database
        self._holder = f"{socket.gethostname()} (process {os.getpid()})"
        self._worker = Worker(database, settings, self._add_towns)
        self._intakes: dict[tuple[int, int], Intake] = {}
        self._status: list[Intake] = []
        self._ending = threading.Event()
        self._beat_due = threading.Event()
        self._lost: LeaseLostError | None = None

    def run(self, stop: threading.Event) -> None:
        """See `run`."""
        server = self._serve_metrics()
        watch = threading.Thread(target=self._watch, args=(stop,), name="stop", daemon=True)
        threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("config", self._listen), ("beat", self._beat))
        ]
        watch.start()
        try:
            self._open()
            for thread in threads:
                thread.start()
            self._worker.run(self._ending)
        except LeaseLostError as error:
            self._lost = self._lost or error
        finally:
            self._close([watch, *threads])
            if server is not None:
                server.shutdown()
                server.server_close()
        if self._lost is not None:
            log.error("taken_over", error=str(self._lost))
            raise self._lost

    def _watch(self, stop: threading.Event) -> None:
        while not self._ending.is_set():
            if stop.wait(STOP_NOTICED_S):
                self._end()

    def _end(self) -> None:
        self._ending.set()
        self._beat_due.set()
        self._worker.arrived()

    def _open(self) -> None:
        """Take the leases and begin to connect, as soon as the database answers."""
        told = False
        while not self._ending.is_set():
            try:
                self._add_towns()
            except (DatabaseAwayError, psycopg.Error) as error:
                if not told:
                    log.error("database_away", error=str(error).strip())  # noqa: TRY400 - a sentence, no traceback
                    told = True
                self._ending.wait(RETRY_S[1])
            else:
                return

    def _add_towns(self) -> None:
        """Take over the intakes of towns that we do not have yet."""
        present = {tenant for tenant, _ in self._intakes}
        with self._database.transaction() as conn:
            accounts = {
                account.tenant_id: account
                for account in broker_accounts.list_accounts(conn)
                if account.tenant_id not in present
            }
            if not accounts:
                return
            wanted = [
                (account.tenant_id, number)
                for account in accounts.values()
                for number in partitions_of(account, self._broker)
            ]
            leases = take(conn, wanted, self._holder)
        self._worker.hold(leases)
        known = {(lease.tenant_id, lease.partition_no): lease.known for lease in leases}
        for account in accounts.values():
            self._add_town(account, known)

    def _add_town(self, account: BrokerAccount, known: dict[tuple[int, int], bool]) -> None:
        settings = self._settings
        intakes = []
        numbers = partitions_of(account, self._broker)
        sessions = intake_sessions(account, self._broker, settings)
        for number, session in zip(numbers, sessions, strict=True):
            key = (account.tenant_id, number)
            intake = self._intake(session, expect_session=known[key])
            self._intakes[key] = intake
            intakes.append(intake)
        status = self._intake(status_session(account, self._broker, settings), expect_session=False)
        self._status.append(status)
        self._worker.add(intakes, [status])
        for intake in (*intakes, status):
            intake.start()
        log.info("town_taken", town=account.tenant_code, intakes=len(intakes))

    def _intake(self, session: Session, *, expect_session: bool) -> Intake:
        return Intake(
            session,
            queue_messages=self._settings.queue_messages,
            arrived=self._worker.arrived,
            changed=self._beat_due.set,
            expect_session=expect_session,
        )

    def _listen(self) -> None:
        """Reload the registry when somebody changed the configuration."""
        while not self._ending.is_set():
            try:
                with self._database.connect() as conn:
                    conn.execute("listen mizumori_config")
                    self._worker.reload()  # what was said before we listened
                    while not self._ending.is_set():
                        for _ in conn.notifies(timeout=LISTEN_S, stop_after=1):
                            self._worker.reload()
            except (DatabaseAwayError, psycopg.Error):
                self._ending.wait(LISTEN_S)  # the worker has said that the database is away

    def _beat(self) -> None:
        """Say that we live and listen, and notice when another gateway has taken over."""
        while not self._ending.is_set():
            self._beat_due.wait(BEAT_S)
            self._beat_due.clear()
            try:
                self._say(listening=True)
            except LeaseLostError as error:
                self._lost = error
                self._end()
            except (DatabaseAwayError, psycopg.Error):
                continue  # the worker has said that the database is away

    def _say(self, *, listening: bool) -> None:
        leases = self._worker.leases
        with self._database.transaction() as conn:
            fence(conn, leases)
            for lease in leases:
                links.beat(
                    conn,
                    lease.tenant_id,
                    lease.partition_no,
                    lease.epoch,
                    self._since(lease) if listening else None,
                )

    def _since(self, lease: Lease) -> datetime | None:
        intake = self._intakes.get((lease.tenant_id, lease.partition_no))
        return None if intake is None else intake.subscribed_since

    def _close(self, threads: list[threading.Thread]) -> None:
        self._end()
        everything = (*self._intakes.values(), *self._status)
        for intake in everything:
            intake.stop()
        for intake in everything:
            intake.join(STOP_WITHIN_S)
        for thread in threads:
            if thread.is_alive():
                thread.join(STOP_WITHIN_S)
        if self._lost is None:
            # If it cannot be said, the silence job takes our silence for what it is.
            with contextlib.suppress(LeaseLostError, DatabaseAwayError, psycopg.Error):
                self._say(listening=False)
        log.info("gateway_stopped")

    def _serve_metrics(self) -> WSGIServer | None:
        port = self._settings.metrics_port
        if not port:
            return None
        server, _ = start_http_server(port, addr="127.0.0.1")
        return server
