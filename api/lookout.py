"""What is ahead in each town, for many consoles that ask at once: a question is answered once."""

import threading
import time
from collections.abc import Callable
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


class Lookout:
    """Answers that hold for a few seconds, as long as the question is the same.

    A new reading, another state or another rule makes another question: no answer to an old one is
    given to it.
    """

    def __init__(self) -> None:
        self._towns: dict[int, _Town] = {}
        self._flights: dict[int, Future[Any]] = {}

    def together(self, tenant_id: int, compute: Callable[[], Answer]) -> Answer:
        """Compute a town's answer, or wait for the one that is being computed already."""
        mine = Future[Answer]()
        flight: Future[Answer] = self._flights.setdefault(tenant_id, mine)
        if flight is mine:
            try:
                mine.set_result(compute())
            except BaseException as error:  # noqa: BLE001 - raised below, here and where one waits
                mine.set_exception(error)
            finally:
                del self._flights[tenant_id]
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
