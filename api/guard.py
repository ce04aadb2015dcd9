"""Around every request: a time limit, a measure, and a calm answer when something breaks."""

import asyncio
import time
import uuid
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Kind
from api.metrics import ApiMetrics
from api.problems import problem_response, too_slow
from detectors.sentence import Sentence

log = structlog.get_logger("api")
LIVE = "/live"  # a live feed lasts as long as the page is open


class Guard:
    """ASGI middleware that answers for the application when it cannot.

    A request that takes longer than the limit gets its answer while the thread that works on it
    is left to finish: threads are bounded, and a hanging database must not hang the browser.

    Parameters
    ----------
    app
        The application.
    metrics
        Where requests are counted.
    timeout_s
        Most seconds until an answer begins.
    prefix
        What stands before the paths of the API's own routes.
    """

    def __init__(self, app: ASGIApp, metrics: ApiMetrics, timeout_s: float, prefix: str) -> None:
        self._app = app
        self._prefix = prefix
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._left_behind: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        begun = time.perf_counter()
        work = asyncio.ensure_future(self._attempt(scope, receive, answer))
        try:
            await asyncio.wait({work}, timeout=self._timeout_s)
            if not work.done() and answer.status is None:
                answer.given_up = True
                self._left_behind.add(work)
                work.add_done_callback(self._left_behind.discard)
                log.warning("request_too_slow", path=scope["path"])
                response = too_slow(scope)
                await response(scope, receive, answer.send_instead)
            else:
                await work
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            self._measure(scope, answer, time.perf_counter() - begun)

    async def _attempt(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            incident = uuid.uuid4().hex[:12]
            log.exception("request_failed", path=scope["path"], incident=incident)
            # A begun answer cannot be taken back: it is cut off, and the reader sees that.
            if answer.status is None and not answer.given_up:
                detail = Sentence(
                    "This is a fault of the program, not of your request. Give the number "
                    "{incident} to the person who runs the server: it is in the server's log.",
                    incident=incident,
                )
                response = problem_response(Kind.INTERNAL, detail, scope)
                await response(scope, receive, answer.send)

    def _measure(self, scope: Scope, answer: "_Answer", seconds: float) -> None:
        route: Any = scope.get("route")
        name = getattr(route, "path", None) or "console"
        if route is not None and scope["path"].startswith(f"{self._prefix}/"):
            name = self._prefix + name.removeprefix(self._prefix)
        self._metrics.requests.labels(name, str(answer.status or "cut")).inc()
        if not name.endswith(LIVE):
            self._metrics.seconds.labels(name).observe(seconds)


class _Answer:
    """Remembers whether an answer has begun, and swallows one that comes too late."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.given_up = False

    async def send(self, message: Message) -> None:
        if not self.given_up:
            await self.send_instead(message)

    async def send_instead(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
