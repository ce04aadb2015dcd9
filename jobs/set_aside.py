"""Datastreams whose work failed, left alone for a while: tried at once, it would fail again."""

import time
from collections.abc import Iterable
from typing import Final

import psycopg
import structlog

from detectors.errors import DetectorError
from jobs import metrics
from store.errors import DatabaseAwayError, StoreError

log = structlog.get_logger(__name__)

# Of the moment, and no datastream's fault: the task fails, and its next run tries again.
PASSING: Final = (DatabaseAwayError, psycopg.OperationalError)
# A person needs minutes to mend what is wrong, and each try that fails is told.
RETRY_AFTER_S: Final = 900.0


class SetAside:
    """What of one work is set aside; in memory: a restart tries everything again.

    Parameters
    ----------
    work
        Its name in the metrics.
    """

    def __init__(self, work: str) -> None:
        self._work = work
        self._until: dict[int, float] = {}

    def add(self, datastream_ids: Iterable[int], error: Exception) -> None:
        """Set datastreams aside for an error, and tell it."""
        ids = sorted(datastream_ids)
        self._until |= dict.fromkeys(ids, time.monotonic() + RETRY_AFTER_S)
        metrics.task_failures.labels(self._work).inc()
        expected = isinstance(error, DetectorError | StoreError | psycopg.Error)
        log.error(
            "set aside",
            work=self._work,
            datastreams=ids,
            error=str(error),
            retry_in_s=RETRY_AFTER_S,
            exc_info=None if expected else error,  # of a mistake of ours, where it was made
        )

    def ids(self) -> list[int]:
        """List what is set aside now."""
        now = time.monotonic()
        self._until = {one: until for one, until in self._until.items() if until > now}
        metrics.set_aside.labels(self._work).set(len(self._until))
        return list(self._until)
