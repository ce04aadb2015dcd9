"""A service of ours that is kept running: started, watched, restarted with backoff, stopped."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM

from deploy.embedded.process import Process

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0  # one that ran this long starts its backoff anew


@dataclass
class Backoff:
    """How long to wait before the next start of something that keeps ending."""

    pause_s: float = FIRST_PAUSE_S
    started_at: float = field(default_factory=time.monotonic)

    def started(self) -> None:
        """Note a start."""
        self.started_at = time.monotonic()

    def next_pause_s(self) -> float:
        """Return the pause after an end; it doubles until a start has lasted."""
        if time.monotonic() - self.started_at > STEADY_AFTER_S:
            self.pause_s = FIRST_PAUSE_S
        pause, self.pause_s = self.pause_s, min(self.pause_s * 2, LONGEST_PAUSE_S)
        return pause


@dataclass
class Service:
    """One of our own commands as a child process in a group of its own.

    Parameters
    ----------
    name
        What it is called in logs, files and messages.
    command
        Program and arguments.
    log_file
        Where its output is appended.
    pid_file
        Where it is remembered, for a supervisor that comes after a kill of this one.
    lifeline
        Descriptor that the process inherits and holds on to.
    stop_within_s
        How long it may take to stop in order.
    """

    name: str
    command: Sequence[str]
    log_file: Path
    pid_file: Path
    lifeline: int
    stop_within_s: float = 20.0
    cwd: Path | None = None
    _process: Process | None = field(default=None, init=False, repr=False)
    _backoff: Backoff = field(default_factory=Backoff, init=False, repr=False)
    _start_at: float | None = field(default=None, init=False, repr=False)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.alive else None

    def start(self) -> None:
        """Start it now."""
        self._process = Process.spawn(
            self.command, log_file=self.log_file, cwd=self.cwd, pass_fds=[self.lifeline]
        )
        # A full disk keeps us from remembering it; then its lifeline alone ends it after a kill.
        with suppress(OSError):
            self._process.write(self.pid_file)
        self._backoff.started()
        self._start_at = None

    def watch(self, say: Callable[[str], None]) -> None:
        """Start it again if it has ended and its pause is over."""
        if self._process is None or self._process.alive:
            return
        if self._start_at is None:
            pause_s = self._backoff.next_pause_s()
            self._start_at = time.monotonic() + pause_s
            code = self._process.exit_code
            how = (
                f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
            )
            say(f"{self.name} {how}; starting it again in {pause_s:g} s (log: {self.log_file})")
        elif time.monotonic() >= self._start_at:
            try:
                self.start()
            except OSError:
                self._start_at = time.monotonic() + self._backoff.next_pause_s()
                raise
            say(f"{self.name} runs again")

    def stop(self) -> None:
        """Stop it in order; one that does not listen is killed."""
        if self._process is not None:
            end(self._process, self.stop_within_s)
        self._process = None
        self._start_at = None
        self.pid_file.unlink(missing_ok=True)


def end(process: Process, within_s: float) -> None:
    """Ask a process to end, then kill it with everything it started."""
    process.send(SIGTERM)
    if not process.wait(within_s):
        process.kill_group()
        process.wait(5)


def end_leftovers(folder: Path, within_s: float = 20.0) -> list[str]:
    """Stop the services that a killed supervisor left behind; return their names."""
    found = [(path, Process.read(path)) for path in sorted(folder.glob("*.pid"))]
    names = []
    for path, process in found:
        if process is not None:
            process.send(SIGTERM)  # all at once: each has lost its supervisor anyway
            names.append(path.stem)
    for path, process in found:
        if process is not None:
            end(process, within_s)
        path.unlink(missing_ok=True)
    return names
