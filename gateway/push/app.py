"""The listener for operators that push: ``POST /push/{town}/{device}`` and ``POST /push/{town}``.

A plain ASGI application. It answers 202 only when the readings are committed, and 503 whenever it
does not know that: the sender repeats, and what is stored already is recognised by its identity.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

import msgspec
import psycopg
import structlog

from gateway import metrics
from gateway.foresight import Foreseen
from gateway.publisher import BrokerAwayError
from gateway.push.delivery import Delivery, Parcel, Sent
from gateway.push.problem import MEDIA_TYPE, PushError, not_now, unauthorized
from gateway.push.rate import Rate
from gateway.reasons import Reason
from gateway.settings import GatewaySettings
from store import operators
from store.database import Database
from store.errors import DatabaseAwayError
from store.operators import Operator

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
_Answer = TypeVar("_Answer")

PATH = re.compile(r"/push/([a-z][a-z0-9-]{0,30})(?:/([^/]+))?/?\Z", re.ASCII)
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z", re.ASCII)
KEY = re.compile(r"[!-~]{1,255}\Z", re.ASCII)
BODY_WITHIN_S: Final = 15.0
# Threads that ask the database and hand over to the broker: a request waits in none of them.
THREADS: Final = 2
# Between two looks whether the broker has confirmed, which it has as a rule long before.
POLL_S: Final = 0.01
RETRY_AFTER_S: Final = 5
_AWAY = (DatabaseAwayError, psycopg.Error)


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer: 202 and what became of the body."""

    device: str
    outcome: str  # stored, quarantined, ignored
    reason: str = ""
    detail: str = ""


class PushApp:
    """The application.

    Parameters
    ----------
    settings
        Section ``[gateway]``.
    database
        As the role `mizumori_gateway`.
    delivery
        The way to the database.
    """

    def __init__(self, settings: GatewaySettings, database: Database, delivery: Delivery) -> None:
        self._settings = settings
        self._database = database
        self._delivery = delivery
        self._rate = Rate(settings.push_per_minute)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="push")
        self._under_way = 0

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers: Headers = []
        try:
            said = await self._admit(scope, receive, headers)
        except PushError as error:
            problem = error
        except Exception:
            log.exception("push_failed")
            problem = PushError(
                500, "broken", "The gateway's log says what. Send the same again later.",
                ((b"retry-after", b"%d" % RETRY_AFTER_S),),
            )  # fmt: skip
        else:
            metrics.PUSHES.labels(said.outcome).inc()
            await _respond(send, 202, b"application/json", asdict(said), headers)
            return
        metrics.PUSHES.labels(str(problem.status)).inc()
        document = problem.document(scope["path"])
        await _respond(send, problem.status, MEDIA_TYPE, document, [*headers, *problem.headers])

    async def _admit(self, scope: Scope, receive: Receive, headers: Headers) -> _Said:
        """Let a request in while there is room."""
        match = PATH.match(scope["path"])
        if match is None:
            raise PushError(
                404, "not-found", "Push to /push/TOWN/DEVICE, or to /push/TOWN with a body that "
                "names its device."
            )  # fmt: skip
        if scope["method"] != "POST":
            raise PushError(405, "method", "Send the readings with POST.", ((b"allow", b"POST"),))
        if self._under_way >= self._settings.push_waiting:
            raise not_now(f"{self._under_way} requests wait to be stored already.", 1)
        self._under_way += 1
        try:
            return await self._take(match[1], match[2], scope, receive, headers)
        except _AWAY as error:
            raise not_now(
                "The database is away; nothing was taken. Send the same again.", RETRY_AFTER_S
            ) from error
        except BrokerAwayError as error:
            detail = f"Not stored yet: {error}. Send the same again."
            raise not_now(detail, RETRY_AFTER_S) from error
        finally:
            self._under_way -= 1

    async def _take(
        self, town: str, device: str | None, scope: Scope, receive: Receive, headers: Headers
    ) -> _Said:
        given = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        operator = await self._operator(town, given)
        self._within_rate(operator, headers)
        body = await _body(receive, given, self._settings.max_message_bytes)
        if _event(scope) not in ("", "up"):
            return _Said(device or "", "ignored", detail="not an uplink")
        code = device if device is not None else _named(operator, body)
        if not DEVICE.match(code):
            raise PushError(
                404 if device else 422, "not-found" if device else "bad-body",
                f"{code[:80]!r} cannot be the code of a device: letters, digits, - and _.",
            )  # fmt: skip
        if objection := self._delivery.objection(operator, code):
            raise PushError(403, "not-allowed", f"{objection[0].upper()}{objection[1:]}.")
        key = given.get("idempotency-key", "")
        if key and not KEY.match(key):
            raise PushError(400, "bad-body", "Idempotency-Key holds 1 to 255 visible characters.")
        parcel = Parcel(operator.tenant_id, town, code, body, key and f"{operator.code}/{key}")
        found = await self._deliver(parcel)
        if found.reason:
            return _Said(code, "quarantined", found.reason, found.detail)
        return _Said(code, "stored")

    async def _operator(self, town: str, given: dict[str, str]) -> Operator:
        scheme, _, token = given.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized()

        def ask() -> Operator | None:
            with self._database.transaction() as conn:
                return operators.by_token(conn, token.strip())

        operator = await self._in_thread(ask)
        if operator is None or operator.tenant_code != town:
            raise unauthorized()
        return operator

    def _within_rate(self, operator: Operator, headers: Headers) -> None:
        """Count the request, and say in the answer how many more may come."""
        allowance = self._rate.take(operator.operator_id)
        most = self._rate.per_minute
        headers.append((b"ratelimit-policy", b'"operator";q=%d;w=60' % most))
        headers.append((b"ratelimit", b'"operator";r=%d' % allowance.remaining))
        if not allowance.granted:
            wait = allowance.retry_after_s
            raise PushError(
                429, "too-many", f"The operator {operator.code} may push {most} times a minute "
                f"(gateway.push_per_minute). Nothing was taken: send the same again in {wait} s.",
                ((b"retry-after", b"%d" % wait),),
            )  # fmt: skip

    async def _deliver(self, parcel: Parcel) -> Foreseen:
        """Hand a body over, and wait until it is committed.

        Raises
        ------
        PushError
            It may be stored, or may be so soon; the sender is to repeat it.
        """
        sent = await self._in_thread(lambda: self._delivery.send(parcel))
        if sent is None:
            raise not_now(
                "The database is away; nothing was taken. Send the same again.", RETRY_AFTER_S
            )
        try:
            async with asyncio.timeout(self._settings.push_wait_s):
                await asyncio.wrap_future(sent.committed)
                # As a rule it has long been told.
                while not _published(sent):  # noqa: ASYNC110 - paho tells it in a thread of its own
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            held = "The broker has it, but it is not committed yet" if _published(sent) else (
                "The broker has not confirmed it: is the town's queue full?"
            )  # fmt: skip
            raise not_now(f"{held}. Send the same again.", RETRY_AFTER_S) from None
        finally:
            self._delivery.forget(parcel, sent.nonce)
        foreseen = found = self._delivery.result(parcel, sent)
        if foreseen.reason == Reason.UNKNOWN_DEVICE:
            found = await self._in_thread(lambda: self._delivery.recorded(parcel, foreseen))
        if found.reason and found.reason != Reason.UNKNOWN_DEVICE:
            log.info("push_quarantined", device=parcel.device_code, reason=found.reason)
        return found

    async def _in_thread(self, work: Callable[[], _Answer]) -> _Answer:
        try:
            async with asyncio.timeout(self._settings.push_wait_s):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:  # it is there, and neither answers nor refuses
            raise not_now(
                "The database does not answer. Send the same again.", RETRY_AFTER_S
            ) from None


def _published(sent: Sent) -> bool:
    return all(info.is_published() for info in sent.published)


def _event(scope: Scope) -> str:
    """Return which event a network server reports: ChirpStack says it in the address."""
    query = bytes(scope.get("query_string", b"")).decode("latin-1")
    return parse_qs(query).get("event", [""])[0]


def _named(operator: Operator, body: bytes) -> str:
    """Return the device that a body names, where the operator has said."""
    if not operator.device_field:
        raise PushError(
            404, "not-found", f"The operator {operator.code} has no --device-field, which says "
            "where a body names its device: push to /push/TOWN/DEVICE."
        )  # fmt: skip
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PushError(422, "bad-body", f"The body is no JSON: {str(error)[:200]}.") from error
    for part in operator.device_field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise PushError(
            422, "bad-body", f"The body has no device at {operator.device_field}, where the "
            f"operator {operator.code} names it."
        )  # fmt: skip
    return value


async def _body(receive: Receive, given: dict[str, str], most: int) -> bytes:
    """Read the body, not more of it than is taken."""
    too_large = PushError(
        413, "too-large", f"At most {most} bytes (gateway.max_message_bytes) are taken at once.",
        ((b"connection", b"close"),),
    )  # fmt: skip
    length = given.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise PushError(400, "bad-body", "The connection ended before the body did.")
                body += event.get("body", b"")
                if len(body) > most:
                    raise too_large
                if not event.get("more_body", False):
                    break
    except TimeoutError:
        raise PushError(
            408, "too-slow", f"The body did not arrive within {BODY_WITHIN_S:g} s."
        ) from None
    if not body:
        raise PushError(400, "bad-body", "The request has no body; the readings belong there.")
    return bytes(body)


async def _respond(
    send: Send, status: int, media_type: bytes, document: object, headers: Headers
) -> None:
    body = json.dumps(document, ensure_ascii=False).encode()
    fixed = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": status, "headers": [*fixed, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
