"""Stopping in order when a terminal or a supervisor says so."""

import signal
import threading
from types import FrameType


def stop_event() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set; call it in the main thread."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return stop
