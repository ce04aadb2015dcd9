"""A pipe that tells services that their supervisor has died, even of a kill."""

import os
import signal
import threading


class Lifeline:
    """The supervisor's end: as long as it lives, nothing can be read from the other end."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()  # neither is inherited unless passed on

    def close(self) -> None:
        """Let go; every service that still runs stops."""
        os.close(self.read_end)
        os.close(self._write_end)


def hold_on(descriptor: int) -> None:
    """Stop this process in order when the supervisor at the other end is gone.

    Parameters
    ----------
    descriptor
        The inherited read end of a `Lifeline`.
    """

    def wait() -> None:
        if os.read(descriptor, 1) == b"":
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
