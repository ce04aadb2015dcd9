"""The jobs' process: the outbox thread and the worker for periodic tasks."""

import asyncio
import contextlib
import logging
import threading

import psycopg
import structlog
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition
from prometheus_client import start_http_server

from jobs.outbox import OutboxPublisher
from jobs.replays import Replay
from jobs.settings import JobsSettings
from jobs.tasks import build_app
from jobs.town_publisher import BrokerAddress
from store.database import Database

log = structlog.get_logger(__name__)

RETRY_S = 1.0
CONCURRENCY = 5  # the long ones of a night together must not hold up the silence watch
STOP_WITHIN_S = 10.0


def run(
    settings: JobsSettings,
    database: Database,
    broker: BrokerAddress,
    stop: threading.Event,
    replay: Replay | None = None,
) -> None:
    """Do the jobs until `stop` is set; outages of database and broker are waited out.

    Parameters
    ----------
    settings
        Section [jobs].
    database
        As mizumori_jobs, with at least 6 connections.
    broker
        Where alerts are published; each town with its account's gateway user.
    stop
        Set from a signal handler; returns within seconds.
    replay
        Sends refused messages again (`jobs.replays`); None: that is left to the command line.
    """
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr="127.0.0.1")
    database.lines.start()
    publisher = OutboxPublisher(database, broker, stop)
    sender = threading.Thread(target=publisher.run, name="outbox")
    sender.start()
    log.info("jobs started")
    # Each task that begins and ends is none of the operator's business.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    try:
        asyncio.run(_work(settings, database, stop, replay))
    finally:
        stop.set()
        sender.join(STOP_WITHIN_S)
    log.info("jobs stopped")


async def _work(
    settings: JobsSettings, database: Database, stop: threading.Event, replay: Replay | None
) -> None:
    stopping = asyncio.create_task(_until(stop))
    away = False
    while not stop.is_set():
        app = build_app(settings, database, replay)
        try:
            async with app.open_async():
                if away:
                    log.info("jobs go on")
                away = False
                worker = asyncio.create_task(
                    app.run_worker_async(
                        install_signal_handlers=False,
                        concurrency=CONCURRENCY,
                        delete_jobs=DeleteJobCondition.SUCCESSFUL,
                        shutdown_graceful_timeout=STOP_WITHIN_S / 2,
                    )
                )
                await asyncio.wait({worker, stopping}, return_when=asyncio.FIRST_COMPLETED)
                worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await worker
        except (ConnectorException, psycopg.OperationalError) as error:
            if not away:
                log.warning("jobs wait", outage="database", detail=str(error.__cause__ or error))
            away = True
            await asyncio.wait({stopping}, timeout=RETRY_S)


async def _until(stop: threading.Event) -> None:
    while not stop.is_set():  # noqa: ASYNC110 - an event of threads, set by a signal handler
        await asyncio.sleep(0.1)
