"""Refused messages of devices that were approved: sent again, when somebody asks for it."""

from collections.abc import Callable

import structlog

from jobs import metrics
from jobs.errors import BrokerAwayError
from store import quarantine
from store.database import Database
from store.errors import RefusedError

log = structlog.get_logger(__name__)

# Sends the refused messages of (town, device) again, those that are good now; returns how many.
Replay = Callable[[str, str], int]


class Replays:
    """Does what is asked for in `replay_request`, one device after the other.

    Parameters
    ----------
    database
        As the role `mizumori_jobs`.
    replay
        Raises BrokerAwayError while the broker does not answer, RefusedError while the town is
        not ready: both are tried again. What was sent twice is recognised when it arrives.
    """

    def __init__(self, database: Database, replay: Replay) -> None:
        self._database = database
        self._replay = replay
        self._complaint = ""

    def drain(self) -> int:
        """Do what waits; returns how many messages were sent."""
        with self._database.transaction() as conn:
            waiting = quarantine.replay_requests(conn)
        sent = 0
        for town, device in waiting:
            try:
                count = self._replay(town, device)
            except (BrokerAwayError, RefusedError) as error:
                self._complain(town, str(error))
                return sent
            with self._database.transaction() as conn:
                quarantine.replay_done(conn, town, device)
            metrics.replayed.inc(count)
            log.info("quarantine replayed", town=town, device=device, messages=count)
            sent += count
        self._complaint = ""
        return sent

    def _complain(self, town: str, detail: str) -> None:
        if detail != self._complaint:  # an outage is told once
            self._complaint = detail
            log.warning("quarantine waits", town=town, detail=detail)
