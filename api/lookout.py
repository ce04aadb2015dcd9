"""What many consoles ask of a town at once: a question is answered once for all of them."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request

from api.ahead import NOTHING, Ahead, Asked, answers, questions
from api.desk import Desk
from store.database import Connection

Answer = TypeVar("Answer")

# Seconds that an answer holds: a depth for the crew is one for twenty minutes ahead and more.
KEPT_S: Final = 5.0


@dataclass
class _Town:
    """A town's answers by question, with when they were given."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    given: dict[Any, tuple[float, Ahead]] = field(default_factory=dict)


@dataclass
class _Turn:
    """One computation after the other: the next one, for all who came since the last began."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    following: Future[Any] | None = None


class Lookout:
    """Answers that hold for a few seconds, as long as the question is the same.

    A new reading, another state or another rule makes another question: no answer to an old one is
    given to it.
    """

    def __init__(self) -> None:
        self._towns: dict[int, _Town] = {}
        self._turns: dict[Hashable, _Turn] = {}
        self._lock = threading.Lock()

    def together(self, question: Hashable, compute: Callable[[], Answer]) -> Answer:
        """Compute an answer, for all who wait for one to the same question.

        Who comes while one is computed waits for the next: an answer looks at the town after it
        was asked for, so that a page which loads everything anew misses nothing. It comes within
        the time of two computations, however many ask.
        """
        mine = Future[Answer]()
        with self._lock:
            turn = self._turns.setdefault(question, _Turn())
            flight: Future[Answer] = turn.following or mine
            turn.following = flight
        if flight is mine:
            with turn.lock:
                with self._lock:
                    turn.following = None
                try:
                    mine.set_result(compute())
                except BaseException as error:  # noqa: BLE001 - raised below, wherever one waits
                    mine.set_exception(error)
        return flight.result()

    def ahead(self, conn: Connection, tenant_id: int, desk: Desk) -> dict[int, Ahead]:
        """Look ahead of every sensor of a town's desk, by device id; see `api.ahead`.

        Who asks while the questions of another are answered waits, and finds the answers.
        """
        asked = {_key(one): one for one in questions(desk)}
        town = self._towns.setdefault(tenant_id, _Town())
        with town.lock:
            oldest = time.monotonic() - KEPT_S
            given = {key: said for key, said in town.given.items() if said[0] > oldest}
            new = {key: one for key, one in asked.items() if key not in given}
            found = answers(conn, desk, list(new.values()))
            at = time.monotonic()  # not before: however long it took, who waited shares it
            for key, one in new.items():
                given[key] = at, found.get(one.placed.device.device_id, NOTHING)
            town.given = given
        return {one.placed.device.device_id: given[key][1] for key, one in asked.items()}


def _key(asked: Asked) -> tuple[Any, ...]:
    latest = asked.stream
    question = asked.rule, asked.on, asked.level, asked.after_minutes
    return latest.datastream_id, latest.time, latest.value, *question


def lookout_of(request: Request) -> Lookout:
    """Return the application's lookout."""
    lookout = request.app.state.lookout
    assert isinstance(lookout, Lookout)
    return lookout


HasLookout = Annotated[Lookout, Depends(lookout_of)]
