"""The periodic work, on procrastinate: deferred once over all processes, by queueing locks.

The tasks bear to run twice at once: what they work on is locked in the database. A lock of the
queue would outlive a killed process.
"""

from collections.abc import Callable, Sequence

import structlog
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Status
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from jobs import metrics
from jobs.drift_review import DriftReview
from jobs.flood_review import FloodReview
from jobs.pond_review import PondReview
from jobs.quality_review import PlateauReview, QualityReview
from jobs.replays import Replay, Replays
from jobs.settings import JobsSettings
from jobs.settlement import Settlement
from jobs.silence import SilenceWatch
from store import conflicts, position_conflicts, retention, rollups
from store.database import Connection, Database
from store.errors import DatabaseAwayError
from store.retention import Retention
from store.worker_schema import SEARCH_PATH

log = structlog.get_logger(__name__)

KEEP_FAILED_TASKS_H = 24


def build_app(settings: JobsSettings, database: Database, replay: Replay | None = None) -> App:
    """Put the tasks together; seconds are the sixth field of a schedule.

    `replay` sends refused messages again; None: nobody here can.
    """

    async def look_after(conn: AsyncConnection[TupleRow]) -> None:
        database.lines.add(conn)

    app = App(
        connector=PsycopgConnector(
            conninfo=database.dsn,
            kwargs={"options": SEARCH_PATH},
            min_size=1,
            max_size=4,
            configure=look_after,
        )
    )
    watch = SilenceWatch(database, settings.gateway_outage_after_s)
    settlement = Settlement(database)
    kept = Retention(
        readings_days=settings.keep_readings_days or None,
        quarantine_days=settings.keep_quarantine_days,
        outbox_days=settings.keep_outbox_days,
        sequence_days=settings.keep_sequence_days,
        conflict_days=settings.keep_conflict_days,
    )

    def every(schedule: str, name: str, work: Callable[[], object]) -> None:
        def task(timestamp: int) -> None:
            del timestamp  # a run that comes late does what is due now
            try:
                work()
            except DatabaseAwayError:
                raise  # the worker notices it by itself, and tells it once
            except Exception:
                metrics.task_failures.labels(name).inc()
                log.exception("task failed", task=name)
                raise

        app.periodic(cron=schedule)(app.task(name=name, queueing_lock=name)(task))

    every("* * * * * */15", "silence", watch.look)
    every("* * * * * */20", "rollups", lambda: roll_up(database))
    every("* * * * * */15", "ponds", PondReview(database).drain)
    every("* * * * * */15", "settlement", settlement.drain)
    every("* * * * *", "conflicts", lambda: settle_conflicts(database))
    every("* * * * *", "position_conflicts", lambda: settle_position_conflicts(database))
    every("* * * * * */15", "streets", FloodReview(database).drain)
    every("7 * * * *", "quality", QualityReview(database).drain)
    # At night in Japan, when the day before is over.
    every("23 18 * * *", "plateaus", PlateauReview(database).drain)
    every("43 18 * * *", "drift", DriftReview(database).drain)
    if replay is not None:
        every("* * * * * */5", "replays", Replays(database, replay).drain)
    every("*/10 * * * *", "checkpoints", settlement.keep_up)
    every("*/30 * * * *", "upkeep", lambda: keep_up(database, kept))

    @app.periodic(cron="37 * * * *")
    @app.task(name="forget", queueing_lock="forget")
    async def forget(timestamp: int) -> None:
        """Forget tasks that failed long ago, and those of a process that was killed."""
        del timestamp
        manager = app.job_manager
        for job in await manager.get_stalled_jobs():
            await manager.finish_job(job, status=Status.FAILED, delete_job=True)
        await manager.delete_old_jobs(nb_hours=KEEP_FAILED_TASKS_H, include_failed=True)

    return app


def roll_up(database: Database) -> int:
    """Renew every rollup that is out of date, some at a time; returns how many."""
    hours = 0
    while True:
        with database.transaction() as conn:
            done = rollups.roll_up(conn)
            metrics.rollup_waiting.set(rollups.waiting(conn))
        metrics.rollup_hours.inc(done)
        hours += done
        if not done:
            return hours


def settle_conflicts(database: Database) -> int:
    """Settle every conflict that waits, some at a time; returns how many readings."""
    return _settle_all(database, conflicts.settle)


def settle_position_conflicts(database: Database) -> int:
    """Settle every conflict of fixes that waits, some at a time; returns how many fixes."""
    return _settle_all(database, position_conflicts.settle)


def _settle_all(
    database: Database,
    settle: Callable[[Connection], Sequence[conflicts.Settled | position_conflicts.Settled]],
) -> int:
    count = 0
    while True:
        with database.transaction() as conn:
            settled = settle(conn)
        for one in settled:
            if one.contradicted:
                metrics.conflicts_settled.labels(str(one.changed).lower()).inc()
        count += len(settled)
        if not settled:
            return count


def keep_up(database: Database, kept: Retention) -> None:
    """Make the partitions ahead, and delete what is older than it is kept."""
    with database.transaction() as conn:
        made = retention.make_partitions(conn)
    with database.transaction() as conn:
        gone = retention.apply(conn, kept)
    log.info("upkeep done", partitions_made=made, **gone)
