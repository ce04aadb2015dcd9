"""One intake: one MQTT session with one subscription, from which the worker takes messages."""

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import structlog
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from gateway import metrics
from gateway.buffered_client import BufferedClient, Published
from gateway.session import Session
from gateway.session_client import client_of, connect, disconnect

log = structlog.get_logger(__name__)

# A broker that is away is asked again after this long, doubling up to the second figure.
RETRY_S = (0.25, 5.0)
CONNECT_WITHIN_S = 5.0
_generation_of = attrgetter("generation")


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message as the broker handed it over, not yet acknowledged.

    Packet ids start at 1: a message of quality of service 0 has none, which is 0 here, and needs
    no acknowledgement. Others may have overtaken one that comes `again`.
    """

    intake: "Intake"
    generation: int
    mid: int
    topic: bytes
    payload: bytes
    received_ms: int
    retained: bool = False
    again: bool = False


class Intake:
    """A paho client in a thread of its own, which only enqueues and acknowledges.

    The thread alone touches the client. So an acknowledgement can be checked against the
    connection it belongs to and be sent without a reconnect in between: after a reconnect packet
    ids start again, and a late acknowledgement would make the broker forget a new message.

    The broker's window bounds the queue. A broker that exceeds it (Mosquitto 2.0.11 does) is
    disconnected when `queue_messages` wait, and comes back when the worker has drained them:
    the client never stops reading, so that keepalive goes on, and nothing is dropped that the
    broker would not send again.

    Parameters
    ----------
    session
        Where to connect and what to subscribe to.
    queue_messages
        Most messages that wait for the worker.
    arrived
        Called after something was enqueued, from the intake's thread; must not block.
    changed
        Called when the subscription has come or gone, from the intake's thread; must not block.
    expect_session
        Whether the broker should still know the session: if it does not, messages that devices
        were told are safe may be lost, and that is an alarm.
    may_connect
        Asked before each connection: a session has one connection, and a second one takes it away
        from the first. So only who holds the partition's lease may connect.
    """

    def __init__(
        self,
        session: Session,
        *,
        queue_messages: int,
        arrived: Callable[[], None],
        changed: Callable[[], None],
        expect_session: bool,
        may_connect: Callable[[], bool] = lambda: True,
    ) -> None:
        self.session = session
        self.name = session.name
        self.tenant_id = session.tenant_id
        self.partition_no = session.partition_no
        self.partitions = session.partitions
        self._queue_messages = queue_messages
        self._arrived = arrived
        self._changed = changed
        self._expect_session = expect_session
        self._may_connect = may_connect
        self._log = log.bind(intake=session.name)
        self._lock = threading.Lock()
        self._waiting: list[Message] = []
        self._acknowledged: deque[tuple[int, list[int]]] = deque()
        self._outstanding: set[int] = set()
        self.generation = 0
        self._paused = False
        self._overflowed = False
        self._stopping = False
        self._ended = False
        self._subscribed_at: datetime | None = None
        self._refusal = ""
        self._outage_since: float | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._client = self._build_client()
        self._thread = threading.Thread(
            target=self._run, name=f"intake {session.name}", daemon=True
        )

    # --- what the worker and the service call -------------------------------------------------

    def start(self) -> None:
        """Begin to connect; returns at once. A second time does nothing."""
        if self._thread.ident is None and not self._stopping:
            self._thread.start()

    def stop(self) -> None:
        """Send the acknowledgements that are due, disconnect and keep the session."""
        self._stopping = True
        self._wake()

    def join(self, timeout_s: float = 5.0) -> None:
        """Wait for the end that `stop` asked for."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether it may still be connected."""
        return self._thread.ident is not None and not self._ended

    @property
    def waiting(self) -> int:
        """Messages that wait for the worker."""
        return len(self._waiting)

    def pause(self) -> None:
        """Disconnect, keeping the session; what waits is forgotten, the broker sends it again."""
        self._paused = True
        self._wake()

    def resume(self) -> None:
        """Connect again after `pause`."""
        self._paused = False
        self._wake()

    def reconnect(self) -> None:
        """Disconnect and connect again: the broker sends again what was not acknowledged."""
        self._overflowed = True
        self._wake()

    @property
    def subscribed_since(self) -> datetime | None:
        """When the broker confirmed the subscription; None while it is not connected."""
        return self._subscribed_at

    @property
    def refusal(self) -> str:
        """Why the broker does not let us in, in words; empty when it does."""
        return self._refusal

    def take(self, most: int) -> list[Message]:
        """Take up to `most` messages, oldest first."""
        with self._lock:
            taken = self._waiting[:most]
            del self._waiting[:most]
            drained = self._overflowed and not self._waiting
        if drained:
            self._wake()
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Acknowledge messages of this intake, in this order; those of older connections are not.

        Call it only after their readings are committed.
        """
        for generation, own in groupby(messages, _generation_of):
            self._acknowledged.append((generation, [m.mid for m in own if m.mid]))
        self._wake()

    # --- the intake's thread ------------------------------------------------------------------

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it has ended
            self._wake_write.send(b"\0")

    def _build_client(self) -> BufferedClient:
        client = client_of(self.session)
        client.connect_timeout = CONNECT_WITHIN_S
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_published = self._on_published
        # With it set, paho leaves every write to our loop: acknowledgements go out together.
        client.on_socket_register_write = lambda *_: None
        return client

    def _run(self) -> None:
        delay = RETRY_S[0]
        while not self._stopping:
            if self._paused or (self._overflowed and self._waiting):
                self._idle(1.0)
                continue
            if not self._may_connect():
                self._idle(RETRY_S[0])
                continue
            self._overflowed = False
            started = time.monotonic()
            self._new_generation()
            self._client.start_afresh()
            ended: Exception | None
            try:
                connect(self._client, self.session)
                ended = self._converse()
            except (OSError, ValueError) as error:
                ended = error
            self._set_subscribed(None)
            if ended is None:
                continue  # by ourselves
            self._note_outage(ended)
            if time.monotonic() - started > RETRY_S[1]:
                delay = RETRY_S[0]
            self._idle(delay)
            delay = min(2 * delay, RETRY_S[1])
        self._new_generation()
        self._wake_read.close()
        self._wake_write.close()
        with contextlib.suppress(KeyError):  # it was never subscribed
            metrics.CONNECTED.remove(self.name)
        self._ended = True
        self._changed()

    def _new_generation(self) -> None:
        with self._lock:
            self.generation += 1
            # The broker sends again whatever was not acknowledged on the last connection.
            self._waiting.clear()
            self._acknowledged.clear()
            self._outstanding.clear()

    def _converse(self) -> Exception | None:
        """Read and write until the connection ends; return why, None when we ended it."""
        client = self._client
        poller = select.poll()
        sock = client.socket()
        if sock is None:
            return ConnectionError("the connection ended at once")
        poller.register(self._wake_read, select.POLLIN)
        deadline = time.monotonic() + 2 * CONNECT_WITHIN_S
        # TLS may hold decrypted bytes that poll does not see.
        pending = getattr(sock, "pending", lambda: 0)
        while True:
            if self._stopping or self._paused or self._overflowed:
                self._end()
                return None
            if self._subscribed_at is None and time.monotonic() > deadline:
                self._end()
                return ConnectionError(self._refusal or "no answer to CONNECT and SUBSCRIBE")
            mask = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
            poller.register(sock, mask)
            events = dict(poller.poll(0 if pending() else 1000))
            if self._wake_read.fileno() in events:
                self._drain_wakes()
            readable = bool(events.get(sock.fileno(), 0) & ~select.POLLOUT)
            status = self._exchange(readable=readable or bool(pending()))
            if status != MQTTErrorCode.MQTT_ERR_SUCCESS or client.socket() is not sock:
                return ConnectionError(self._refusal or "the broker closed the connection")

    def _exchange(self, *, readable: bool) -> MQTTErrorCode:
        """Read what has come, send the acknowledgements that are due, keep the link alive."""
        client = self._client
        status = MQTTErrorCode.MQTT_ERR_SUCCESS
        if readable:
            status = client.loop_read()
        self._send_acknowledgements()
        if status == MQTTErrorCode.MQTT_ERR_SUCCESS and client.want_write():
            status = client.loop_write()
        return status if status != MQTTErrorCode.MQTT_ERR_SUCCESS else client.loop_misc()

    def _end(self) -> None:
        """Disconnect in order: the broker keeps a session that was opened to be kept."""
        client = self._client
        self._send_acknowledgements()
        disconnect(client, self.session)
        give_up = time.monotonic() + 1.0
        while client.want_write() and client.socket() and time.monotonic() < give_up:
            client.loop_write()
            time.sleep(0.001)

    def _idle(self, seconds: float) -> None:
        select.select([self._wake_read], [], [], seconds)
        self._drain_wakes()

    def _drain_wakes(self) -> None:
        try:
            while self._wake_read.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _send_acknowledgements(self) -> None:
        while self._acknowledged:
            generation, mids = self._acknowledged.popleft()
            if generation != self.generation:
                metrics.STALE_ACKNOWLEDGEMENTS.inc(len(mids))
                continue
            self._outstanding.difference_update(mids)
            self._client.acknowledge(mids)

    # --- the client's callbacks, in the same thread -----------------------------------------------

    def _on_connect(
        self, client: Client, _data: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._refusal = (
                f"the broker does not let {self.session.user!r} in: {reason}. Is the town's "
                "account known to the broker (`mizumori doctor` tells)?"
            )
            return
        if self._expect_session and not flags.session_present:
            metrics.SESSIONS_LOST.labels(self.name).inc()
            self._log.error(
                "session_lost",
                hint="The broker no longer knew this intake's session. Readings that it had "
                "already confirmed to devices may be lost: was the broker's store deleted?",
            )
        client.subscribe(self.session.topic_filter, qos=1)

    def _on_subscribe(
        self, client: Client, _data: Any, _mid: int, reasons: Any, _properties: Any
    ) -> None:
        # Granted with quality of service 0, messages would be lost without a word.
        if any(reason.is_failure or reason.value != 1 for reason in reasons):
            self._refusal = (
                f"the broker refuses the subscription to {self.session.topic_filter!r}: "
                f"{', '.join(str(reason) for reason in reasons)}"
            )
            client.disconnect()
            return
        self._refusal = ""
        self._expect_session = True
        self._set_subscribed(datetime.now(UTC))
        if self._outage_since is None:
            self._log.info("intake_connected")
        else:
            self._log.info("broker_back", away_s=round(time.monotonic() - self._outage_since, 1))
            self._outage_since = None

    def _on_published(self, messages: Sequence[Published]) -> None:
        at_ms = time.time_ns() // 1_000_000
        with self._lock:
            for mid, topic, payload, retained, again in messages:
                if mid and mid in self._outstanding:
                    # Sent again while the first is with the worker: one acknowledgement is enough.
                    metrics.DUPLICATES_OUTSTANDING.inc()
                    continue
                # What follows on one that was dropped comes again after it.
                if self._overflowed or len(self._waiting) >= self._queue_messages:
                    self._overflowed = True
                    break
                if mid:
                    self._outstanding.add(mid)
                self._waiting.append(
                    Message(self, self.generation, mid, topic, payload, at_ms, retained, again)
                )
        self._arrived()

    def _set_subscribed(self, since: datetime | None) -> None:
        self._subscribed_at = since
        metrics.CONNECTED.labels(self.name).set(since is not None)
        self._changed()

    def _note_outage(self, error: Exception) -> None:
        if self._outage_since is None:
            self._outage_since = time.monotonic()
            self._log.error(
                "broker_away",
                broker=f"{self.session.host}:{self.session.port}",
                error=self._refusal or str(error),
            )
