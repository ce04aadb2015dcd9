"""The live feed: one listening connection for all browsers, one visit a change for a whole town."""

import asyncio
import contextlib
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.metadata import version

import anyio.to_thread
import psycopg
import structlog
from pydantic import BaseModel

from api import events
from api.errors import ApiError, Kind
from api.metrics import ApiMetrics
from api.settings import ApiSettings
from api.subscriber import Subscriber
from detectors.sentence import Sentence
from store import live
from store.database import Database
from store.errors import DatabaseAwayError
from store.town_catalog import Tenant

HEARTBEAT_S = 10.0
PROBE_S = 10.0  # how often a quiet connection is asked whether it is still there
ANSWER_S = 5.0
PAUSE_S = 1.0  # between two attempts to reach the database
# Gateways commit hundreds of times a second: after a visit the feed rests as long as that took,
# at most this, so that it never takes more than half a core from what it watches.
REST_S = 0.02
log = structlog.get_logger("api.live")


class LiveFeed:
    """Hands changes of the database to every browser that watches the town.

    Parameters
    ----------
    database
        The API's database.
    settings
        Limits of browsers and of their queues.
    metrics
        Where browsers and events are counted.
    """

    def __init__(self, database: Database, settings: ApiSettings, metrics: ApiMetrics) -> None:
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._subscribers: dict[int, set[Subscriber]] = defaultdict(set)
        self._changes: dict[int, live.Changes] = defaultdict(live.Changes)
        self._changed = asyncio.Event()
        self._limiter = anyio.CapacityLimiter(1)  # the feed never takes a thread from requests
        self._run = secrets.token_hex(4)
        self._number = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.connected = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen as long as the block lasts."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="live-listen"),
            asyncio.create_task(self._work(), name="live-work"),
        ]
        try:
            yield
        finally:
            self.stop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """End every stream, so that the server can stop; browsers connect again by themselves."""
        self._stopping = True
        for subscriber in self._everyone():
            subscriber.end()

    def subscribe(self, town: Tenant) -> AsyncIterator[bytes]:
        """Enter one browser and return its stream.

        Raises
        ------
        ApiError
            If as many browsers as the settings allow are connected, or the server is stopping.
        """
        count = sum(len(each) for each in self._subscribers.values())
        if self._stopping or count >= self._settings.live_clients:
            detail = Sentence(
                "{count} live feeds are open and api.live_clients allows {most}. Close pages that "
                "nobody looks at, or raise it.",
                count=count,
                most=self._settings.live_clients,
            )
            if self._stopping:
                detail = Sentence("The server is stopping. Connect again in a few seconds.")
            raise ApiError(Kind.FULL, detail, headers={"Retry-After": "5"})
        return self._stream(town)

    async def _stream(self, town: Tenant) -> AsyncIterator[bytes]:
        subscriber = Subscriber(
            self._settings.live_queue, lambda: self._encode("reload", events.Reload(reason="slow"))
        )
        gauge = self._metrics.live_clients.labels(town.code)
        self._subscribers[town.tenant_id].add(subscriber)
        gauge.inc()
        try:
            hello = events.Hello(
                time=datetime.now(UTC),
                town=town.code,
                version=version("mizumori"),
                heartbeat_s=HEARTBEAT_S,
            )
            yield self._encode("hello", hello, retry=events.RETRY_MS)
            async for chunk in subscriber.stream(self._heartbeat, HEARTBEAT_S):
                yield chunk
        finally:
            self._subscribers[town.tenant_id].discard(subscriber)
            gauge.dec()

    def _heartbeat(self) -> bytes:
        state: events.DatabaseState = "ok" if self.connected else "away"
        return self._encode("heartbeat", events.Heartbeat(time=datetime.now(UTC), database=state))

    def _encode(self, event: str, data: BaseModel, *, retry: int | None = None) -> bytes:
        self._number += 1
        return events.encode(event, data, f"{self._run}-{self._number}", retry=retry)

    def _everyone(self) -> list[Subscriber]:
        return [each for town in self._subscribers.values() for each in town]

    def _tell_everyone(self, reload: events.Reload) -> None:
        event = self._encode("reload", reload)
        for subscriber in self._everyone():
            subscriber.give(event)

    async def _listen(self) -> None:
        """Keep one connection listening, through outages."""
        lost = False
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    conn = await psycopg.AsyncConnection.connect(
                        self._database.dsn, autocommit=True
                    )
                async with conn:
                    async with asyncio.timeout(ANSWER_S):
                        await conn.execute(f"listen {live.CHANNEL}")
                        await conn.execute(f"listen {live.CONFIG_CHANNEL}")
                    self.connected = True
                    if lost:
                        log.info("database_back")
                    lost = False
                    # Also whose page came before the first time: nobody heard what was said then.
                    self._tell_everyone(events.Reload(reason="database_back"))
                    await self._receive(conn)
            except (psycopg.Error, TimeoutError, OSError) as error:
                self.connected = False
                if not lost:
                    log.warning("database_away", error=str(error).strip())
                lost = True
                await asyncio.sleep(PAUSE_S)

    async def _receive(self, conn: psycopg.AsyncConnection) -> None:
        """Take notifications until the connection breaks."""
        while True:
            async for notice in conn.notifies(timeout=PROBE_S):
                self._take(notice)
            # A server that hangs keeps the connection open: only a question tells.
            async with asyncio.timeout(ANSWER_S):
                await conn.execute("select 1")

    def _take(self, notice: psycopg.Notify) -> None:
        """Note what changed; nothing is read for a town that nobody watches."""
        if notice.channel == live.CONFIG_CHANNEL:
            if '"broker"' not in notice.payload:  # the broker's accounts are no part of the page
                self._tell_everyone(events.Reload(reason="config"))
            return
        try:
            tenant_id, changes = live.parse(notice.payload)
        except ValueError as error:
            log.warning("notification_unreadable", error=str(error))
            return
        if self._subscribers.get(tenant_id):
            self._changes[tenant_id].add(changes)
            self._changed.set()

    async def _work(self) -> None:
        """Read what changed and hand it out; changes that come meanwhile make one next visit."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            began = time.monotonic()
            for tenant_id in list(self._changes):
                changes = self._changes.pop(tenant_id)
                try:
                    news = await anyio.to_thread.run_sync(
                        live.news, self._database, tenant_id, changes, limiter=self._limiter
                    )
                    self._hand_out(tenant_id, events.of(news))
                except DatabaseAwayError:  # _listen has said so
                    self._changes[tenant_id].add(changes)
                    self._changed.set()
                    await asyncio.sleep(PAUSE_S)
                except Exception:  # one bad row must not end the feed of every town
                    log.exception("live_news_failed", tenant_id=tenant_id)
            await asyncio.sleep(min(REST_S, time.monotonic() - began))

    def _hand_out(self, tenant_id: int, found: list[tuple[str, BaseModel]]) -> None:
        subscribers = list(self._subscribers.get(tenant_id, ()))
        encoded = [self._encode(event, data) for event, data in found]
        dropped = 0
        for subscriber in subscribers:
            # A generator ends at the first event refused: the rest would be refused as well.
            dropped += not all(subscriber.give(event) for event in encoded)
        for event, count in Counter(event for event, _ in found).items():
            self._metrics.live_events.labels(event).inc(count * len(subscribers))
        if dropped:
            self._metrics.live_dropped.inc(dropped)
            log.warning("live_clients_too_slow", tenant_id=tenant_id, count=dropped)
