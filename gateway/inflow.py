"""What comes in: the worker takes it from the intakes, and waits for more."""

import select
from collections.abc import Sequence
from typing import Final

from gateway.intake import Intake
from gateway.message import Message
from gateway.wake import Wake

# Of an intake's window, so that the broker sends the next half while this one is committed.
SHARE_OF_WINDOW: Final = 0.5
# With more than so many at once a commit takes longer than it costs to have the intakes read by
# their own threads meanwhile.
MANY_MESSAGES: Final = 500
IDLE_S: Final = 1.0


class Inflow:
    """Messages of all intakes, a different intake first each time.

    Parameters
    ----------
    most
        Messages at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._wake = Wake()
        self._sockets: dict[int, int] = {}
        self._first = 0

    def arrived(self) -> None:
        """Say that there is something to do; from any thread."""
        self._wake.set()

    def take(self, intakes: Sequence[Intake]) -> list[Message]:
        """Read what has come, and take up to a batch of it, of each intake its share."""
        sockets = [intake.read() for intake in intakes]
        self._sockets = {sock: select.POLLIN for sock in sockets if sock is not None}
        taken: list[Message] = []
        self._first += 1
        for i in range(len(intakes)):
            intake = intakes[(self._first + i) % len(intakes)]
            share = max(1, int(intake.session.window_messages * SHARE_OF_WINDOW))
            taken += intake.take(min(share, self._most - len(taken)))
            if len(taken) >= self._most:
                break
        if len(taken) > MANY_MESSAGES:
            for intake in intakes:
                intake.leave()
        return taken

    def wait(self) -> None:
        """Wait until something has come to the intakes of the last `take`, or `arrived`."""
        self._wake.wait(IDLE_S, self._sockets)

    def close(self) -> None:
        """Nobody waits any more."""
        self._wake.close()
