"""How a thread that waits for sockets is woken by another thread."""

import contextlib
import select
import socket
from collections.abc import Mapping


class Wake:
    """Waits for sockets until somebody says that there is something else to do."""

    def __init__(self) -> None:
        self._heard, self._say = socket.socketpair()
        self._heard.setblocking(False)
        self._say.setblocking(False)

    def set(self) -> None:
        """End the wait that is under way, or the next one; from any thread, never blocks."""
        with contextlib.suppress(OSError):  # full: it is woken already; closed: nobody waits
            self._say.send(b"\0")

    def wait(self, timeout_s: float, sockets: Mapping[int, int]) -> bool:
        """Wait until `set`, or until a socket is ready; return whether one of them is.

        Parameters
        ----------
        sockets
            File descriptors, each with what is waited for: `select.POLLIN`, `select.POLLOUT`.
        """
        poller = select.poll()
        poller.register(self._heard, select.POLLIN)
        for descriptor, events in sockets.items():
            poller.register(descriptor, events)
        ready = {descriptor for descriptor, _ in poller.poll(timeout_s * 1000)}
        if self._heard.fileno() in ready:
            ready.remove(self._heard.fileno())
            self._heard.recv(4096)
        return bool(ready)

    def close(self) -> None:
        """Give the descriptors back; nobody may wait any more."""
        self._heard.close()
        self._say.close()
