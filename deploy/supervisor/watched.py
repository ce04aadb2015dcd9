"""An embedded server that is started again when it has ended."""

import time
from collections.abc import Callable
from typing import Protocol

from deploy.failure import sentence
from deploy.supervisor.service import Backoff


class Server(Protocol):
    """What may end."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""


class Watched:
    """Starts a server again, after a pause that grows while it does not stay.

    Parameters
    ----------
    name
        Of the server, for a person.
    server
        What is looked at.
    start
        Starts it again.
    say
        Tells the person at the terminal.
    """

    def __init__(
        self, name: str, server: Server, start: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        self._name = name
        self._server = server
        self._start = start
        self._say = say
        self._backoff = Backoff()
        self._start_at: float | None = None

    def look(self) -> None:
        """Look whether it runs, and start it if it has ended and its pause is over.

        Raises
        ------
        Exception
            What we did not foresee. What the machine refuses, such as a disk that is not mounted
            just now, is said, and tried again.
        """
        if self._server.alive:
            return
        if self._start_at is None:
            pause_s = self._backoff.next_pause_s()
            self._start_at = time.monotonic() + pause_s
            self._say(f"{self._name} has ended; starting it again in {pause_s:g} s")
        elif time.monotonic() >= self._start_at:
            self._start_at = None
            self._backoff.started()
            try:
                self._start()
                self._say(f"{self._name} runs again")
            except Exception as error:
                said = sentence(error)
                if said is None and not isinstance(error, OSError):
                    raise
                self._say(said or f"{self._name} cannot be started: {error}")
