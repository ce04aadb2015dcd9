"""One intake: one MQTT session with one subscription, from which the worker takes messages."""

import contextlib
import select
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import structlog
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from gateway import metrics
from gateway.buffered_client import BufferedClient, Published
from gateway.message import Message
from gateway.session import Session
from gateway.session_client import client_of, connect, disconnect
from gateway.wake import Wake

log = structlog.get_logger(__name__)

# A broker that is away is asked again after this long, doubling up to the second figure.
RETRY_S = (0.25, 5.0)
CONNECT_WITHIN_S = 5.0
# So often its own thread keeps a connection alive, and reads it if nobody else has.
KEEP_S = 1.0
_generation_of = attrgetter("generation")


class Intake:
    """A paho client, read by whoever waits for its messages, and kept by a thread of its own.

    The thread connects, subscribes and keeps the connection alive. Whoever comes for messages
    often reads the connection itself (`read`): handed from thread to thread, each would cost two
    turns of the interpreter's lock, more than everything else that is done with it. While he is
    busy with many, the thread reads (`leave`), as it does where nobody ever calls `read`.

    One lock guards client and connection. So an acknowledgement can be checked against the
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
        Called after the intake's thread has enqueued something, from there; must not block.
    changed
        Called when the subscription has come or gone, from whichever thread; must not block.
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
        self._outstanding: set[int] = set()
        self.generation = 0
        self._paused = False
        self._overflowed = False
        self._attended = False  # somebody else reads
        self._lost = False
        self._stopping = False
        self._ended = False
        self._subscribed_at: datetime | None = None
        self._refusal = ""
        self._outage_since: float | None = None
        self._wake = Wake()
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
        """Disconnect and keep the session."""
        self._stopping = True
        if self._thread.ident is None:
            self._wake.close()  # else it is the thread's to close
        else:
            self._wake.set()

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
        self._wake.set()

    def resume(self) -> None:
        """Connect again after `pause`."""
        self._paused = False
        self._wake.set()

    def reconnect(self) -> None:
        """Disconnect and connect again: the broker sends again what was not acknowledged."""
        self._overflowed = True
        self._wake.set()

    @property
    def subscribed_since(self) -> datetime | None:
        """When the broker confirmed the subscription; None while it is not connected."""
        return self._subscribed_at

    @property
    def refusal(self) -> str:
        """Why the broker does not let us in, in words; empty when it does."""
        return self._refusal

    def read(self) -> int | None:
        """Read what has come, without waiting, and go on doing so instead of the own thread.

        Returns
        -------
        int or None
            The descriptor to wait on before the next call; None while there is no connection
            with a subscription.
        """
        with self._lock:
            sock = self._client.socket()
            if sock is None or self._subscribed_at is None or self._lost or self._leaves:
                return None
            if not self._attended:
                self._attended = True
                self._wake.set()  # it waits for the socket too
            return sock.fileno() if self._exchange() else None

    def leave(self) -> None:
        """Let the own thread read until the next `read`."""
        if self._attended:
            self._attended = False
            self._wake.set()

    def take(self, most: int) -> list[Message]:
        """Take up to `most` messages, oldest first."""
        with self._lock:
            taken = self._waiting[:most]
            del self._waiting[:most]
            drained = self._overflowed and not self._waiting
        if drained:
            self._wake.set()
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Acknowledge messages of this intake, in this order; those of older connections are not.

        Call it only after their readings are committed.
        """
        with self._lock:
            for generation, own in groupby(messages, _generation_of):
                mids = [m.mid for m in own if m.mid]
                if generation != self.generation:
                    metrics.STALE_ACKNOWLEDGEMENTS.inc(len(mids))
                    continue
                self._outstanding.difference_update(mids)
                self._client.acknowledge(mids)
                self._exchange(read=False)  # only then: another connection may be in the making
                if self._client.want_write():
                    self._wake.set()

    # --- the intake's thread ------------------------------------------------------------------

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
                self._wake.wait(1.0, {})
                continue
            if not self._may_connect():
                self._wake.wait(RETRY_S[0], {})
                continue
            self._overflowed = False
            started = time.monotonic()
            self._new_generation()
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
            self._wake.wait(delay, {})
            delay = min(2 * delay, RETRY_S[1])
        self._new_generation()
        self._wake.close()
        with contextlib.suppress(KeyError):  # it was never subscribed
            metrics.CONNECTED.remove(self.name)
        self._ended = True
        self._changed()

    def _new_generation(self) -> None:
        with self._lock:
            self.generation += 1
            self._attended = self._lost = False
            # The broker sends again whatever was not acknowledged on the last connection.
            self._waiting.clear()
            self._outstanding.clear()
            self._client.start_afresh()

    @property
    def _leaves(self) -> bool:
        """Whether the connection is to be ended by ourselves."""
        return self._stopping or self._paused or self._overflowed

    def _converse(self) -> Exception | None:
        """Read and write until the connection ends; return why, None when we ended it."""
        client = self._client
        sock = client.socket()
        if sock is None:
            return ConnectionError("the connection ended at once")
        deadline = time.monotonic() + 2 * CONNECT_WITHIN_S
        while not self._leaves:
            if self._subscribed_at is None and time.monotonic() > deadline:
                self._end()
                return ConnectionError(self._refusal or "no answer to CONNECT and SUBSCRIBE")
            with self._lock:
                kept = self._exchange() and client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS
                if not kept:
                    return ConnectionError(self._refusal or "the broker closed the connection")
                events = 0 if self._attended else select.POLLIN
                events |= select.POLLOUT if client.want_write() else 0
                waits = {sock.fileno(): events}
            if self._waiting:
                self._arrived()
            self._wake.wait(KEEP_S, waits)
        self._end()
        return None

    def _exchange(self, *, read: bool = True) -> bool:
        """Read what has come and write what waits; return whether the connection is still there."""
        client, status = self._client, MQTTErrorCode.MQTT_ERR_CONN_LOST
        with contextlib.suppress(OSError):
            if not self._lost:
                status = client.loop_read() if read else MQTTErrorCode.MQTT_ERR_SUCCESS
            if status == MQTTErrorCode.MQTT_ERR_SUCCESS and client.want_write():
                status = client.loop_write()
        if status != MQTTErrorCode.MQTT_ERR_SUCCESS or client.socket() is None:
            self._lost = True
            self._wake.set()
        return not self._lost

    def _end(self) -> None:
        """Disconnect in order: the broker keeps a session that was opened to be kept."""
        client = self._client
        give_up = time.monotonic() + 1.0
        with self._lock:
            self._lost = True  # nobody reads it any more
            disconnect(client, self.session)
            while client.want_write() and client.socket() and time.monotonic() < give_up:
                client.loop_write()
                time.sleep(0.001)

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
        for mid, topic, payload, retained, again in messages:
            if mid and mid in self._outstanding:
                # Sent again while the first is with the worker: one acknowledgement is enough.
                metrics.DUPLICATES_OUTSTANDING.inc()
                continue
            # What follows on one that was dropped comes again after it.
            if self._overflowed or len(self._waiting) >= self._queue_messages:
                self.reconnect()
                break
            if mid:
                self._outstanding.add(mid)
            self._waiting.append(
                Message(self, self.generation, mid, topic, payload, at_ms, retained, again)
            )

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
