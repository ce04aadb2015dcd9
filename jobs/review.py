"""What readings changed is looked at again, a piece and a transaction at a time."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from jobs import metrics
from jobs.set_aside import PASSING, SetAside
from store import flag_revisions, reviews
from store.database import Connection, Database
from store.flag_revisions import Verdicts
from store.reviews import Due, Work


class Review(ABC):
    """Goes over the datastreams that are marked for one work; one process at a time does it.

    A piece that fails leaves nothing behind and does not keep the others waiting.

    Parameters
    ----------
    database
        As mizumori_jobs.

    Attributes
    ----------
    work
        For which datastreams are marked.
    at_once
        Marked datastreams that are listed at once, those marked first in front.
    divisible
        Whether halves of a piece can be looked at: then one datastream that fails is found and set
        aside alone, else the piece is.
    """

    work: ClassVar[Work]
    at_once: ClassVar[int]
    divisible: ClassVar[bool] = False

    def __init__(self, database: Database) -> None:
        self._database = database
        self._aside = SetAside(self.work)

    def drain(self) -> int:
        """Look at all that is marked; returns the number of datastreams, each time they were.

        Raises
        ------
        DatabaseAwayError
            If the database does not answer.
        """
        seen = 0
        while piece := self._next():
            seen += self._go_over(piece)
        return seen

    def piece(self, conn: Connection, due: Sequence[Due]) -> Sequence[Due]:
        """Choose what is looked at together with the first that is due."""
        del conn
        return due

    @abstractmethod
    def look(self, conn: Connection, piece: Sequence[Due]) -> datetime | None:
        """Look at a piece.

        Returns
        -------
        datetime or None
            From when on it has to be looked at again; None: it is done.
        """

    def append(self, conn: Connection, verdicts: Verdicts) -> int:
        """Append what a look found; returns how many verdicts are new."""
        revised = flag_revisions.append(conn, self.work, verdicts)
        metrics.flags_revised.labels(self.work).inc(revised)
        return revised

    def _next(self) -> Sequence[Due]:
        with self._database.transaction() as conn:
            metrics.review_waiting.labels(self.work).set(reviews.waiting(conn, self.work))
            if not reviews.claim(conn, self.work):
                return ()
            due = reviews.due(conn, self.work, self.at_once, skip=self._aside.ids())
            return self.piece(conn, due) if due else ()

    def _go_over(self, piece: Sequence[Due]) -> int:
        started = time.monotonic()
        try:
            with self._database.transaction() as conn:
                if not reviews.claim(conn, self.work):
                    return 0
                again_from = self.look(conn, piece)
                reviews.done(conn, self.work, piece)
                if again_from is not None:
                    for one in piece:
                        reviews.mark(conn, self.work, one.datastream_id, again_from)
        except PASSING:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the others must not wait for it
            if self.divisible and len(piece) > 1:
                middle = len(piece) // 2
                return self._go_over(piece[:middle]) + self._go_over(piece[middle:])
            self._aside.add((one.datastream_id for one in piece), error)
            return 0
        metrics.reviewed.labels(self.work).inc(len(piece))
        metrics.review_s.labels(self.work).observe(time.monotonic() - started)
        return len(piece)
