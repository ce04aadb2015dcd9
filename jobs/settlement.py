"""Alerts decided anew from storage: late readings, settled conflicts, rules heard of late.

The gateway marks a datastream (`unsettled`); this job goes over its stored readings from a moment
at which the detector state is known, with the same core, and brings the ledger and the detector
state to what a sorted delivery would have made of them. See docs/adr/settlement.md.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import structlog

from detectors.dump import unpack
from detectors.errors import StateError
from detectors.fleet import CONTEXT_ROWS
from detectors.readings import Readings
from jobs import metrics
from jobs.history import EMPTY_STATE, History
from jobs.set_aside import PASSING, SetAside
from store import live, unsettled
from store.database import Connection, Database
from store.ledger_writer import LedgerWriter, Stream
from store.marks import Mark
from store.rule_profile import Period, timeline
from store.times import milliseconds, moment
from store.unsettled import Stored, StreamRow, Unsettled

log = structlog.get_logger(__name__)

# A settlement then has a day to read at most, and some more.
CHECKPOINT_EVERY_S: Final = 86_400.0
# Of one pass, so that late readings do not wait behind all of them.
CHECKPOINTS_AT_ONCE: Final = 200
# Times that the long part is done without a lock before it is done under it.
ATTEMPTS: Final = 3


@dataclass(frozen=True, eq=False)
class _Found:
    """What a settlement goes out from; it holds while the same is found again under the lock."""

    now: Unsettled
    stream: StreamRow
    periods: list[Period]

    def still(self, other: "_Found | None") -> bool:
        """Whether nothing has been marked, settled or ruled since."""
        return (
            other is not None
            and self.now.times_marked == other.now.times_marked
            and (self.now.revision or 0) == (other.now.revision or 0)
            and (self.stream, self.periods) == (other.stream, other.periods)
        )


class _Course:
    """One datastream's readings gone over, and what that has to write down."""

    def __init__(self, conn: Connection, found: _Found) -> None:
        stream_id = found.stream.datastream_id
        self.start = _start(conn, stream_id, found.now.from_time)
        # What was deleted before the start is not decided anew.
        self.from_time = max(
            found.now.from_time,
            found.now.from_time if self.start is None else moment(self.start[0] + 1),
        )
        context = (
            Readings.none()
            if self.start is None
            else unsettled.readings_before(conn, stream_id, self.start[0], CONTEXT_ROWS).readings
        )
        self.history = History(found.periods, self.start, context)
        self.read_ms = None if self.start is None else self.start[0]
        self.first_ms: int | None = None
        self.settled: list[np.ndarray] = []
        self.conflicts_ms: list[np.ndarray] = []
        self.checkpoint: tuple[int, bytes] | None = None
        self._stream_id = stream_id

    def go(self, conn: Connection, through_ms: int | None) -> None:
        """Go on up to and with a time; None: to the end."""
        pieces = unsettled.readings(
            conn, self._stream_id, after_ms=self.read_ms, through_ms=through_ms
        )
        for stored in pieces:
            self._take(stored)

    def keep(self) -> None:
        """Keep the state as it is now as a checkpoint."""
        state = self.history.state
        if self.history.through_ms is not None and state is not None:
            self.checkpoint = (self.history.through_ms, state)

    def _take(self, stored: Stored) -> None:
        times = stored.readings.time_ms
        self.first_ms = int(times[0]) if self.first_ms is None else self.first_ms
        self.read_ms = int(times[-1])
        self.settled.append(stored.unsettled_ms)
        self.conflicts_ms.append(times[stored.marks & np.int16(Mark.CONFLICT) != 0])
        self.history.go_on(stored)

    @property
    def since(self) -> datetime | None:
        """From when on the ledger is written anew; None: there is nothing to decide on."""
        if self.start is not None:
            return moment(self.start[0] + 1)
        return None if self.first_ms is None else moment(self.first_ms)

    def agrees(self, now: Unsettled) -> bool:
        """Whether a gateway that knows the stored state knows all that we do."""
        history = self.history
        if now.state is None or now.through_time is None or now.rules_since is None:
            return False
        if (now.state, milliseconds(now.through_time), milliseconds(now.rules_since)) != (
            history.state,
            history.through_ms,
            history.rules_since_ms,
        ):
            return False
        concerned = np.concatenate([*self.settled, *self.conflicts_ms, np.zeros(0, np.int64)])
        context = history.context.time_ms
        return not len(concerned) or bool(len(context) and concerned.max() < context[0])


def _start(conn: Connection, stream_id: int, from_time: datetime) -> tuple[int, bytes] | None:
    """Return the checkpoint to begin at; one that cannot be read is forgotten for an older one."""
    while (start := unsettled.checkpoint_before(conn, stream_id, from_time)) is not None:
        try:
            unpack(start[1])
        except StateError as error:
            log.error("checkpoint unreadable", datastream=stream_id, error=str(error))
            unsettled.forget_checkpoint(conn, stream_id, start[0])
        else:
            return start
    return None


class Settlement:
    """Settles what is marked.

    Parameters
    ----------
    database
        As mizumori_jobs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._aside = SetAside("settlement")

    def drain(self) -> int:
        """Settle every datastream that waits; returns how many it were.

        Raises
        ------
        DatabaseAwayError
            If the database does not answer.
        """
        settled = 0
        while True:
            with self._database.transaction() as conn:
                waiting = unsettled.waiting(conn, self._aside.ids())
                datastreams, oldest_s = unsettled.count(conn)
            metrics.settlement_waiting.set(datastreams)
            metrics.settlement_age_s.set(oldest_s)
            if not waiting:
                return settled
            for datastream_id in waiting:
                started = time.monotonic()
                try:
                    self.settle(datastream_id)
                except PASSING:
                    raise
                except Exception as error:  # noqa: BLE001 - the others must not wait for it
                    self._aside.add([datastream_id], error)
                else:
                    settled += 1
                    metrics.settled.inc()
                    metrics.settlement_s.observe(time.monotonic() - started)

    def keep_up(self) -> int:
        """Have checkpoints made where the newest is a day old; returns for how many datastreams.

        They are made by `drain`: it goes over the day, and finds nothing else to do.

        Raises
        ------
        DatabaseAwayError
            If the database does not answer.
        """
        with self._database.transaction() as conn:
            return unsettled.mark_for_checkpoint(conn, CHECKPOINT_EVERY_S, CHECKPOINTS_AT_ONCE)

    def settle(self, datastream_id: int) -> None:
        """Settle one datastream, if it is marked."""
        for _ in range(ATTEMPTS):
            with self._database.transaction() as conn:
                found = _look(conn, datastream_id)
                if found is None:
                    return
                course = _ahead(conn, found)
            with self._database.transaction() as conn:
                unsettled.lock(conn, datastream_id, EMPTY_STATE)
                present = _look(conn, datastream_id)
                if found.still(present):
                    course.go(conn, None)
                    _write(conn, found, course)
                    return
        with self._database.transaction() as conn:
            unsettled.lock(conn, datastream_id, EMPTY_STATE)
            if (present := _look(conn, datastream_id)) is not None:
                course = _Course(conn, present)
                course.go(conn, None)
                _write(conn, present, course)


def _look(conn: Connection, datastream_id: int) -> _Found | None:
    now = unsettled.look(conn, datastream_id)
    if now is None:
        return None
    stream = unsettled.stream(conn, datastream_id)
    return _Found(now, stream, timeline(conn, datastream_id, stream.expected_interval_s))


def _ahead(conn: Connection, found: _Found) -> _Course:
    """Do the long part without a lock, as far back as live readings cannot reach any more.

    A reading at or before that bound that comes now is too late for a gateway, which marks it:
    then the course is not used.
    """
    course = _Course(conn, found)
    if found.now.through_time is not None and found.now.revision is not None:
        lateness_s = max((p.compiled.profile.lateness_s for p in found.periods), default=0.0)
        bound_ms = milliseconds(found.now.through_time) - round(lateness_s * 1000.0) - 1
        course.go(conn, bound_ms)
        course.keep()
    return course


def _write(conn: Connection, found: _Found, course: _Course) -> None:
    stream_id, history = found.stream.datastream_id, course.history
    if found.periods and course.since is not None:
        writer = LedgerWriter(conn)
        stream = Stream(
            stream_id,
            found.stream.tenant_id,
            found.stream.town_code,
            found.stream.device_code,
            found.stream.training,
            history.span(),
        )
        for version in history.versions():
            writer.write(
                stream,
                version,
                history.decided[version.code],
                reason="settled",
                since=course.since,
            )
        for tenant_id, alerts in writer.changed.items():
            live.notify(conn, tenant_id, alerts=alerts)
        state = history.state
        if state is not None and history.through_ms is not None and not course.agrees(found.now):
            unsettled.write_state(
                conn,
                stream_id,
                state,
                through_ms=history.through_ms,
                rules_since_ms=history.rules_since_ms,
            )
    unsettled.replace_checkpoints(conn, stream_id, course.from_time, course.checkpoint)
    if course.settled:
        unsettled.mark_settled(conn, stream_id, np.concatenate(course.settled))
    unsettled.done(conn, stream_id)
