"""One process in a group of its own, known by its id and its start.

A process id alone is not an identity: the kernel gives it again. With the time at which the
process started it is one, also across a restart of whoever supervises it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.account import Account

POLL_S = 0.05


def start_ticks(pid: int) -> int | None:
    """Return when `pid` started, in clock ticks since boot; None: no such (living) process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in brackets and may itself hold brackets and blanks.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X") and _threads(pid) <= 1:
        return None
    return int(fields[19])


def _threads(pid: int) -> int:
    """Count the threads: a killed program may still end others while its first is a zombie."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0


@dataclass(frozen=True)
class Process:
    """A process of ours, started by us or by a predecessor that was killed.

    Parameters
    ----------
    pid
        Process id; also the id of its process group.
    ticks
        When it started, in clock ticks since boot.
    child
        The handle to reap it with; None for an adopted process.
    """

    pid: int
    ticks: int
    child: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def spawn(
        cls,
        command: Sequence[str | Path],
        *,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        account: Account | None = None,
        pass_fds: Sequence[int] = (),
    ) -> "Process":
        """Start `command` in its own session, with its output appended to `log_file`."""
        log_file.parent.mkdir(parents=True, exist_ok=True)
        # Appending lets the log be cut from outside while the process keeps writing to it.
        with log_file.open("ab") as log:
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,  # the terminal's Ctrl-C reaches the supervisor alone
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                pass_fds=pass_fds,
            )
        return cls(child.pid, start_ticks(child.pid) or 0, child)

    @classmethod
    def find(cls, pid: int, ticks: int) -> "Process | None":
        """Return the process `pid` if it lives and is the one that started at `ticks`."""
        return cls(pid, ticks) if start_ticks(pid) == ticks else None

    @property
    def alive(self) -> bool:
        """Whether it runs; a dead child is reaped on the way."""
        if self.child is not None:
            return self.child.poll() is None
        return start_ticks(self.pid) == self.ticks

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs or if it is not our child."""
        return None if self.child is None else self.child.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; a process that has gone is no error."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill_group(self) -> None:
        """Kill the process and everything it started."""
        if self.alive:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended; False: it still runs after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def write(self, pid_file: Path) -> None:
        """Remember the process for a successor."""
        scratch = pid_file.with_suffix(".tmp")
        scratch.write_text(f"{self.pid} {self.ticks}\n", encoding="ascii")
        scratch.replace(pid_file)

    @classmethod
    def read(cls, pid_file: Path) -> "Process | None":
        """Return the process a predecessor remembered, if it still runs."""
        try:
            pid, ticks = pid_file.read_text(encoding="ascii").split()
            return cls.find(int(pid), int(ticks))
        except (OSError, ValueError):
            return None
