"""The stored readings that a backtest decides on: read in pieces, and no more than is granted."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import numpy as np

from detectors.readings import Readings
from detectors.sentence import Sentence
from store import queries
from store.backtest_result import Stream
from store.database import Connection
from store.errors import StoreError
from store.times import moment

_SQL = queries.load("backtest")

PIECE: Final = 50_000

Transaction = Callable[[], AbstractContextManager[Connection]]


class TooMuchError(StoreError):
    """A backtest would read more or take longer than was granted."""

    def __init__(self, said: Sentence) -> None:
        super().__init__(said)
        self.said = said


@dataclass
class Budget:
    """How much a backtest may read and how long it may take; it is looked at after each piece.

    One datastream that was read is decided on at once, so that the time is overrun by at most
    what that takes: about a second for a year of minutes.
    """

    readings: int
    seconds: float

    def __post_init__(self) -> None:
        self._left = self.readings
        self._until = time.monotonic() + self.seconds

    def spend(self, readings: int) -> None:
        """Count readings.

        Raises
        ------
        TooMuchError
            If there were too many, or too much time has passed.
        """
        self._left -= readings
        if self._left < 0:
            raise TooMuchError(
                Sentence(
                    "The range holds more than {most:,} readings. Ask for a shorter range, one "
                    "site or one device; `mizumori backtest` on the server has no such limit.",
                    most=self.readings,
                )
            )
        if time.monotonic() > self._until:
            raise TooMuchError(
                Sentence(
                    "The backtest took more than {most:g} seconds. Ask for a shorter range, one "
                    "site or one device; `mizumori backtest` on the server has no such limit.",
                    most=self.seconds,
                )
            )


class Source(StrEnum):
    """Where readings are read: what a role may see."""

    TOWN = "tenant_observation"
    """For the API: row-level security shows the town of the transaction."""
    TABLE = "observation"
    """For the owner, who is of no town; datastreams are chosen by town."""

    def statement(self, name: str) -> bytes:
        """Return a statement about readings."""
        return _SQL[name].replace(Source.TOWN.encode(), self.value.encode())


def extent(
    conn: Connection, source: Source, stream: Stream, start: datetime, stop: datetime
) -> tuple[datetime, datetime] | None:
    """Return when the first and the last reading of a range were; None: there is none."""
    parameters = {"datastream_id": stream.datastream_id, "start": start, "stop": stop}
    low = conn.execute(source.statement("first"), parameters).fetchone()
    high = conn.execute(source.statement("last"), parameters).fetchone()
    return (low[0], high[0]) if low and high else None


def history(
    transaction: Transaction,
    source: Source,
    stream: Stream,
    after: datetime,
    stop: datetime,
    budget: Budget | None,
) -> Readings:
    """Read a datastream after a time and before another, each piece in its own transaction.

    Raises
    ------
    TooMuchError
        The budget is spent.
    """
    times, values = [np.zeros(0, np.int64)], [np.zeros(0)]
    # The view is no index: all that a statement's range holds is sorted for its first rows, so
    # the range is kept to about as many readings as a piece takes.
    window = timedelta(seconds=PIECE * stream.expected_interval_s)
    while after < stop:
        until = min(stop, after + window)
        parameters = {
            "datastream_id": stream.datastream_id,
            "after": after,
            "stop": until,
            "rows": PIECE,
        }
        with transaction() as conn:
            rows = conn.execute(source.statement("readings"), parameters, binary=True).fetchall()
        if budget is not None:
            budget.spend(len(rows))
        piece = np.array(rows, np.dtype([("time", np.int64), ("value", np.float64)]))
        times.append(piece["time"])
        values.append(piece["value"])
        # Stored times are whole milliseconds; the statement's range holds neither of its ends.
        whole = len(rows) < PIECE
        after = until - timedelta(milliseconds=1) if whole else moment(int(rows[-1][0]))
        if until == stop and whole:
            break
    return Readings.of(0, np.concatenate(times), np.concatenate(values))
