"""Whether the broker can write what devices send, and what to do when it could again.

NATS does not come back by itself: a stream that failed to write once refuses every message until
the server is started again, also when there is room on the disk since.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploy.embedded.nats import EmbeddedNats

LOOK_EVERY_S: Final = 3.0
# A server that is unwell for another reason than its disk gets the chance to recover by itself.
PATIENCE: Final = 5
# What it must be possible to write, so that a start does not fail at once: a store's block or two.
ROOM_BYTES: Final = 16 << 20


class BrokerStore:
    """Looks after the store of a running broker.

    Parameters
    ----------
    server
        Is ended when its disk can be written again; whoever watches it starts it.
    store_dir
        Where it keeps its messages.
    say
        Tells the person at the terminal.
    """

    def __init__(self, server: EmbeddedNats, store_dir: Path, say: Callable[[str], None]) -> None:
        self._server = server
        self._store_dir = store_dir
        self._say = say
        self._look_at = 0.0
        self._unwell = 0

    def look(self) -> None:
        """Look whether it is well, not more often than every few seconds."""
        if time.monotonic() < self._look_at or not self._server.alive:
            return
        self._look_at = time.monotonic() + LOOK_EVERY_S
        reason = self._server.complaint()
        if not reason:
            if self._unwell:
                self._say("The broker takes messages again.")
            self._unwell = 0
            return
        self._unwell += 1
        if self._unwell == 1:
            self._say(
                f"The broker does not store messages ({reason}). Devices are refused and keep "
                f"their readings. If the disk of {self._store_dir} is full or read-only, make "
                "room or repair it: everything goes on by itself then."
            )
        if "write error" in reason or self._unwell >= PATIENCE:
            if not is_writable(self._store_dir):
                return
            self._say("The broker's disk can be written: it is started again.")
            self._server.end()


def is_writable(folder: Path) -> bool:
    """Whether something can be stored in a folder, tried by doing it."""
    trial = folder / ".room"
    try:
        with trial.open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
            os.fsync(file.fileno())
    except OSError:
        return False
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)
    return True
