"""`mizumori up`: everything on one machine, started in order, kept running, stopped in order.

Order matters twice. A device is told that its message is safe only if a session of the gateway
already wants it: so the gateway's sessions exist before devices are let in. And what is stopped
first must not need what is stopped later: devices, API, jobs, gateway, broker, database.
"""

import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from deploy.compose_database import bring_up_schema
from deploy.compose_embedded import Embedded, compose_embedded
from deploy.demo.provision import provision_demo
from deploy.embedded.data_dir import DataDir
from deploy.embedded.database import ensure_database
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.lock import FolderLock, FolderLockedError
from deploy.embedded.ports import Port, dialled, refuse_taken
from deploy.failure import sentence
from deploy.settings import Settings, load_settings
from deploy.supervisor.broker_keeper import BrokerKeeper, gateway_listens
from deploy.supervisor.broker_store import BrokerStore
from deploy.supervisor.console import Console
from deploy.supervisor.lifeline import Lifeline
from deploy.supervisor.logs import last_line, trim
from deploy.supervisor.service import Service, end_leftovers
from deploy.supervisor.watched import Watched

TICK_S = 0.25
TRIM_EVERY_S = 10.0
READY_WITHIN_S = 150.0  # of a machine with one slow core


class StopAskedError(Exception):
    """Somebody asked to stop while we were still starting."""


class Supervisor:
    """Everything that `mizumori up` runs.

    Parameters
    ----------
    config
        The settings file, or None for the usual one.
    demo
        Whether to make the demo town and run its devices.
    gateways
        How many processes share the partitions of the towns.
    """

    def __init__(self, config: Path | None, *, demo: bool, gateways: int = 1) -> None:
        self._config = config.absolute() if config else None
        self._demo = demo
        self._gateways = gateways
        self._said = load_settings(config, remembered=False)
        self._data = DataDir(self._said.embedded.data_dir)
        self._console = Console()
        self._stop = threading.Event()
        self._undo = ExitStack()  # what runs, in the order of starting
        self._services: list[Service] = []
        self._watched: list[Callable[[], None]] = []

    def run(self) -> None:
        """Start everything, keep it running until asked to stop, and stop everything.

        Raises
        ------
        EmbeddedError, SettingsError, StoreError, BrokerError
            It cannot start; everything that ran already has been stopped.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        try:
            with self._undo:
                try:
                    self._start()
                    self._keep_running()
                finally:
                    if self._stop.is_set():
                        self._console.say("Stopping …")
        except StopAskedError:
            pass
        except EmbeddedError:
            if not self._stop.is_set():
                raise
        self._console.say("Stopped. Everything received is stored; `make run` goes on from here.")

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        # Nothing is said here: the signal may have come in the middle of saying something.
        self._stop.set()

    def _start(self) -> None:
        self._data.prepare()
        lock = self._undo.enter_context(self._lock())
        leftovers = end_leftovers(self._data.run)
        if leftovers:
            self._console.say(f"  Stopped what a killed run had left: {', '.join(leftovers)}")
        embedded = compose_embedded(self._said, self._data)
        # Before the first of them is started: to make a database takes half a minute.
        refuse_taken([*self._wanted_ports(), *embedded.wanted_ports()])
        lifeline = Lifeline()
        self._undo.callback(lifeline.close)
        for server in (embedded.postgres, embedded.nats):
            if server is not None:
                server.give_up = self._stop.is_set
        # Before anything is made with them: a kill must not leave data without its passwords.
        embedded.remember(self._data.root / "embedded.toml")
        settings = load_settings(self._config)
        self._start_postgres(embedded)
        with self._step("Bringing the database's tables up to date"):
            bring_up_schema(settings)
        if embedded.nats is not None:
            keeper = BrokerKeeper(settings, embedded.nats, self._console.say)
            self._start_broker(keeper, settings.nats.store_dir)
        gateways = self._gateway_services(settings, lifeline)
        jobs, api = (self._service(name, lifeline) for name in ("jobs", "api"))
        with self._step("Starting gateway, jobs, API and console"):
            for service in (*gateways, jobs, api):
                self._launch(service)
            # A broker of somebody else's may know no sessions to ask for.
            self._wait(gateways[0], lambda: embedded.nats is None or gateway_listens(settings))
            self._wait(api, lambda: _answers(settings))
        if self._demo:
            with self._step("Making the demo town"):
                provision_demo(settings)
            self._launch(self._service("sim", lifeline, "sim", "town"))
        url = _url(settings)
        lock.describe(f"process {os.getpid()}, {url}")
        self._console.say(f"\nMizumori is running: {url}\nCtrl-C stops it. Logs: {self._data.log}")

    def _lock(self) -> FolderLock:
        try:
            return FolderLock(self._data.root)
        except FolderLockedError as error:
            raise EmbeddedError(
                f"Mizumori already runs on {self._data.root} ({error.holder}): use that one, or "
                "stop it first (Ctrl-C there, or `kill` with its process id)."
            ) from error

    def _wanted_ports(self) -> list[Port]:
        """Return where our own services will listen, as far as they are told to."""
        api, gateway, jobs = self._said.api, self._said.gateway, self._said.jobs
        ports = [
            Port(api.host, api.port, "api.port"),
            Port(gateway.push_host, gateway.push_port, "gateway.push_port"),
            Port("127.0.0.1", jobs.metrics_port, "jobs.metrics_port"),
        ]
        if gateway.metrics_port:  # each gateway has its own, from this one up
            ports += [
                Port("127.0.0.1", gateway.metrics_port + number, "gateway.metrics_port")
                for number in range(self._gateways)
            ]
        return [port for port in ports if port.port]

    def _start_postgres(self, embedded: Embedded) -> None:
        server = embedded.postgres
        if server is None:
            return
        self._undo.callback(self._stopping, "database", server.stop)
        if not server.cluster.folder.exists():
            with self._step("Making the database (first start)"):
                server.initdb()
        running = server.is_running()
        with self._step("Taking over the running database" if running else "Starting the database"):
            server.initdb()
            server.start()
            ensure_database(server, str(embedded.sections["database"]["owner_password"]))
        database = Watched("The database", server, server.start, self._console.say)
        self._watched.append(database.look)

    def _start_broker(self, keeper: BrokerKeeper, store_dir: Path) -> None:
        server = keeper.server
        self._undo.callback(self._stopping, "broker", server.stop)
        self._undo.callback(keeper.close)
        running = server.is_running()
        with self._step("Taking over the running broker" if running else "Starting the broker"):
            keeper.start()
        broker = Watched("The broker", server, keeper.start_server, self._console.say)
        self._watched.append(broker.look)
        self._watched.append(BrokerStore(server, store_dir, self._console.say).look)

    def _gateway_services(self, settings: Settings, lifeline: Lifeline) -> list[Service]:
        """Return the gateways: each has a name, under which a new start takes its place at once."""
        numbers = range(1, self._gateways + 1)
        names = [f"gateway-{n}" for n in numbers] if self._gateways > 1 else ["gateway"]
        port = settings.gateway.metrics_port
        services = []
        for number, name in enumerate(names):
            own = ("--metrics-port", str(port + number)) if port and number else ()
            services.append(self._service(name, lifeline, "gateway", "--name", name, *own))
        return services

    def _service(self, name: str, lifeline: Lifeline, *arguments: str) -> Service:
        command = [sys.executable, "-P", "-m", "deploy.cli", *(arguments or (name,))]
        if self._config:
            command += ["--config", str(self._config)]
        return Service(
            name=name,
            command=[*command, "--lifeline", str(lifeline.read_end)],
            log_file=self._data.log / f"{name}.log",
            pid_file=self._data.run / f"{name}.pid",
            lifeline=lifeline.read_end,
        )

    def _launch(self, service: Service) -> None:
        self._undo.callback(self._stopping, service.name, service.stop)
        service.start()
        self._services.append(service)

    def _step(self, what: str) -> AbstractContextManager[None]:
        if self._stop.is_set():
            raise StopAskedError
        return self._console.step(what)

    def _stopping(self, what: str, stop: Callable[[], None]) -> None:
        began = time.monotonic()
        stop()
        self._console.say(f"  {what} stopped ({time.monotonic() - began:.1f} s)")

    def _wait(self, service: Service, ready: Callable[[], bool]) -> None:
        """Wait until `ready`; a service that ends meanwhile says why in its log."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not ready():
            if self._stop.is_set():
                raise StopAskedError
            if not service.alive or time.monotonic() > deadline:
                raise EmbeddedError(
                    f"The {service.name} does not start: {last_line(service.log_file) or 'no log'} "
                    f"(log: {service.log_file})."
                )
            time.sleep(TICK_S)

    def _keep_running(self) -> None:
        trimmed_at = time.monotonic()
        while not self._stop.wait(TICK_S):
            for service in self._services:
                self._watch(service)
            for watch in self._watched:
                watch()
            if time.monotonic() - trimmed_at > TRIM_EVERY_S:
                with suppress(OSError):
                    trim(self._data.log, self._said.log.max_bytes)
                trimmed_at = time.monotonic()

    def _watch(self, service: Service) -> None:
        try:
            service.watch(self._console.say)
        except OSError as error:  # a full disk has no room for its log; its next turn may have
            self._console.say(f"{service.name} cannot be started: {sentence(error) or error}")


def _url(settings: Settings) -> str:
    shown = dialled(settings.api.host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{settings.api.port}"


def _answers(settings: Settings) -> bool:
    host = urlsplit(_url(settings)).hostname
    connection = http.client.HTTPConnection(host or "", settings.api.port, timeout=5)
    with closing(connection):
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
