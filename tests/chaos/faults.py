"""Things that go wrong with processes: killed, or frozen for a while."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

PARTS = ("gateway", "broker", "database", "jobs", "supervisor")


def pid_in(file: Path) -> int:
    """Return the process id at the start of a pid file."""
    return int(file.read_text(encoding="ascii").split()[0])


def kill(find: Callable[[], int], *, timeout_s: float = 30.0) -> int:
    """Kill the process that `find` names as soon as there is one; return its id."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            pid = find()
            os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError, IndexError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)  # it is just being started again
        else:
            return pid


def freeze(find: Callable[[], int], for_s: float) -> None:
    """Stop a process for a while, as a machine that swaps or a virtual machine that moves."""
    pid = find()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(for_s)
    finally:
        os.kill(pid, signal.SIGCONT)
