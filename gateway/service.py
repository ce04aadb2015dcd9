"""The gateway as a service: its worker, and what keeps it up to date and known to the others."""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from wsgiref.simple_server import WSGIServer

import psycopg
import structlog
from prometheus_client import start_http_server

from gateway.holdings import Holdings
from gateway.progress import ABANDONED_S, STUCK_S, Progress
from gateway.push.listener import PushListener
from gateway.relay.relays import Relays
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.sharing import Sharing
from gateway.worker import RETRY_S, Worker
from store.database import Database
from store.errors import DatabaseAwayError
from store.gateways import CHANNEL, Member, SupersededError

log = structlog.get_logger(__name__)

# A quarter of the time after which the others take a silent gateway for dead.
BEAT_S = 2.5
LISTEN_S = 1.0
STOP_WITHIN_S = 5.0
STOP_NOTICED_S = 0.2
EXIT_STUCK = 75  # EX_TEMPFAIL of sysexits.h: supervisor and systemd start it again


def new_member(name: str = "") -> Member:
    """Return a new gateway process.

    Parameters
    ----------
    name
        What it is called, whichever process it is: started again under the same name it takes
        its place at once. Empty: the machine and the process.
    """
    return Member(uuid.uuid4().hex[:12], name or f"{socket.gethostname()}/{os.getpid()}")


def run(
    broker: BrokerSettings,
    settings: GatewaySettings,
    database: Database,
    member: Member,
    stop: threading.Event,
) -> None:
    """Take readings in until `stop` is set, sharing the partitions with the other gateways.

    Parameters
    ----------
    broker
        Where the broker is; it may be away, now and later.
    settings
        Section ``[gateway]``.
    database
        As the role `mizumori_gateway`; it may be away, now and later. Its sessions must be called
        `store.gateways.session_name` of the member: that is how others end them.
    member
        This process among the gateways.
    stop
        What is with the worker then is committed and acknowledged; the rest waits at the broker.

    Raises
    ------
    SupersededError
        Another process was started under this name.
    """
    Gateway(broker, settings, database, member).run(stop)


class Gateway:
    """A gateway's worker, what it holds, and the threads around them.

    `abandon` ends a process whose worker will not come back; the others are as in `run`.
    """

    def __init__(
        self,
        broker: BrokerSettings,
        settings: GatewaySettings,
        database: Database,
        member: Member,
        abandon: Callable[[], object] = lambda: os._exit(EXIT_STUCK),
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._database = database
        self._member = member
        self.holdings = Holdings(
            settings.queue_messages,
            arrived=self._arrived,
            to_relay=self._to_relay,
            changed=self._look,
        )
        self._sharing = Sharing(database, broker, settings, member, self.holdings)
        self._progress, self._beats = Progress(BEAT_S), Progress(BEAT_S)
        self._worker = Worker(database, settings, self.holdings, self._sharing.tend, self._progress)
        self._relays = Relays(
            database, broker, settings, self.holdings, lambda: self._worker.registry
        )
        self._abandon = abandon
        self._stuck = False
        self._push: PushListener | None = None
        self._ending = threading.Event()
        self._beat_due = threading.Event()
        self._superseded: SupersededError | None = None

    def run(self, stop: threading.Event) -> None:
        """See `run`."""
        server = self._serve_metrics()
        self._push = self._serve_push()
        self._database.lines.start()
        watch = threading.Thread(target=self._watch, args=(stop,), name="stop", daemon=True)
        threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (
                ("config", self._listen),
                ("beat", self._beat),
                ("attend", self._attend),
                ("relays", lambda: self._relays.run(self._ending)),
            )
        ]
        watch.start()
        try:
            self._enter()
            for thread in threads:
                thread.start()
            if self._push is not None:
                self._push.start()
            self._worker.run(self._ending)
        finally:
            if self._push is not None:
                self._push.stop()
            self._close([watch, *threads])
            self._worker.close()
            if server is not None:
                server.shutdown()
                server.server_close()
        if self._superseded is not None:
            log.error("superseded", error=str(self._superseded))
            raise self._superseded

    def _arrived(self) -> None:
        self._worker.arrived()

    def _to_relay(self) -> None:
        self._relays.arrived()

    def _look(self) -> None:
        """Say at once that a connection has come or gone, and look after our share."""
        self._beat_due.set()

    def _watch(self, stop: threading.Event) -> None:
        while not self._ending.is_set():
            if stop.wait(STOP_NOTICED_S):
                if self._push is not None:
                    self._push.stop()  # while the worker still commits what its requests wait for
                self._end()

    def _end(self) -> None:
        self._ending.set()
        self._beat_due.set()
        self._worker.arrived()

    def _enter(self) -> None:
        """Join the other gateways as soon as the database answers."""
        told: set[str] = set()
        while not self._ending.is_set():
            try:
                self._sharing.enter()
            except (DatabaseAwayError, psycopg.Error) as error:
                away = isinstance(error, DatabaseAwayError)
                event = "database_away" if away else "gateway_not_joined"
                if event not in told:
                    log.error(event, error=str(error).strip())
                    told.add(event)
                self._ending.wait(RETRY_S[1])
            else:
                log.info("gateway_started", name=self._member.name)
                self._worker.share()
                return

    def _listen(self) -> None:
        """Follow what is said of the configuration, and what gateways tell each other."""
        while not self._ending.is_set():
            try:
                with self._database.connect() as conn:
                    conn.execute("listen mizumori_config")
                    conn.execute(f"listen {CHANNEL}".encode())
                    self._changed()  # what was said before we listened
                    while not self._ending.is_set():
                        conn.execute("select 1")  # nothing else tells that no notice will come
                        for notice in conn.notifies(timeout=LISTEN_S, stop_after=1):
                            if notice.channel == CHANNEL:
                                self._worker.share()
                            else:
                                self._changed()
            except (DatabaseAwayError, psycopg.Error):
                self._ending.wait(LISTEN_S)  # the worker has said that the database is away

    def _changed(self) -> None:
        self._worker.reload()
        self._worker.share()  # towns and their accounts may be others now

    def _beat(self) -> None:
        """Say that we live and listen, and look after our share."""
        while not self._ending.is_set():
            self._beat_due.wait(BEAT_S)
            self._beat_due.clear()
            self._beats.step()
            if self._stuck:
                continue  # without work no sign of life is given, and others take over
            try:
                self._sharing.beat()
                self._worker.share()
                self._sharing.tell()
            except SupersededError as error:
                self._superseded = error
                self._end()
            except (DatabaseAwayError, psycopg.Error):
                continue  # the worker has said that the database is away

    def _attend(self) -> None:
        """Attend to the worker and the sign of life, in a thread that waits for nothing.

        The last resort, whatever they hang on. Connections over which the database never answers
        are ended long before (`store.line_watch`).
        """
        while not self._ending.wait(BEAT_S):
            self._judge()

    def _judge(self) -> None:
        now_s = time.monotonic()
        still_s, silent_s = self._progress.look(now_s), self._beats.look(now_s)
        stuck = still_s > STUCK_S
        if stuck and not self._stuck:
            log.error(
                "worker_stuck",
                seconds=round(still_s),
                hint="Nothing is taken in here any more. The other gateways take over; this one "
                f"ends after {ABANDONED_S:.0f} s, so that it is started again.",
            )
        elif self._stuck and not stuck:
            log.info("worker_goes_on")
        self._stuck = stuck
        if (longest_s := max(still_s, silent_s)) > ABANDONED_S:
            log.critical("abandoned", seconds=round(longest_s))
            self._abandon()

    def _close(self, threads: list[threading.Thread]) -> None:
        self._end()
        for thread in threads:
            if thread.is_alive():
                thread.join(STOP_WITHIN_S)
        # If it cannot be said, the others take our silence for what it is.
        with contextlib.suppress(DatabaseAwayError, psycopg.Error):
            self._sharing.leave(STOP_WITHIN_S)
        log.info("gateway_stopped")

    def _serve_push(self) -> PushListener | None:
        if not self._settings.push_port:
            return None
        return PushListener(
            self._database, self._broker, self._settings, lambda: self._worker.registry
        )

    def _serve_metrics(self) -> WSGIServer | None:
        port = self._settings.metrics_port
        if not port:
            return None
        server, _ = start_http_server(port, addr="127.0.0.1")
        return server
