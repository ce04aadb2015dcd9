"""A device's line to the broker: MQTT 3.1.1 over its own connection."""

import contextlib
import random
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from firmware_sim.backlog import Backlog
from firmware_sim.payload import STATUS_OFFLINE, STATUS_ONLINE, Sample, encode

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
# paho holds the message: it is on its way, or goes out after the next CONNACK.
KEPT = (
    MQTTErrorCode.MQTT_ERR_SUCCESS,
    MQTTErrorCode.MQTT_ERR_NO_CONN,
    MQTTErrorCode.MQTT_ERR_CONN_LOST,
)
RETRY_S = (1.0, 60.0)  # first and longest pause between two attempts, before jitter


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker listens; with `tls_ca`, the file of its CA certificate, over TLS."""

    host: str
    port: int
    tls_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _Message:
    samples: int = 0
    seq: int = 0


class Modem:
    """One device's MQTT client, with its backlog.

    The session is persistent (clean session false): what was published and is not acknowledged
    is sent again after a reconnect, in the old order and before anything new. All methods are
    called from one thread, that of `firmware_sim.radio.Radio`.

    Parameters
    ----------
    broker, tenant, device, secret
        The user name is `{tenant}/{device}`, the password the device's secret.
    seed
        For the jitter of reconnecting.
    capacity
        How many samples the backlog holds.
    in_flight
        How many messages may wait for their PUBACK at a time.
    batch
        How many samples of a waiting backlog go into one message.
    """

    def __init__(
        self,
        broker: Broker,
        tenant: str,
        device: str,
        secret: str,
        *,
        seed: int = 0,
        capacity: int = 50_000,
        in_flight: int = 8,
        batch: int = 50,
    ) -> None:
        self.device = device
        self.backlog = Backlog(capacity)
        self.published = 0  # samples handed to the network once
        self.acknowledged = 0  # samples whose message has its PUBACK
        self.connections = 0
        self.refusal: str | None = None  # the broker's last reason for letting nobody in
        self._broker = broker
        self._in_flight_limit = in_flight
        self._batch = batch
        self._topic = f"mz/v1/{tenant}/d/{device}"
        self._jitter = random.Random(f"{seed}:{device}:modem")
        self.acknowledged_seq = 0  # highest sequence number that is safe at the broker
        self._flight: dict[int, _Message] = {}  # by message id
        self._powered = False
        self._online = False
        self._greeted = True
        self._next_attempt_s = 0.0
        self._attempt_until_s = 0.0
        self._pause_s = RETRY_S[0]
        self._fresh = True
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{tenant}-{device}",
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.username_pw_set(f"{tenant}/{device}", secret)
        client.will_set(f"{self._topic}/status", STATUS_OFFLINE, qos=1, retain=True)
        if broker.tls_ca is not None:
            client.tls_set(ca_certs=str(broker.tls_ca))
        client.max_inflight_messages_set(in_flight + 2)  # readings, and the status beside them
        client.connect_timeout = CONNECT_TIMEOUT_S / 2
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        self._client = client

    @property
    def online(self) -> bool:
        """Whether the broker has let the device in."""
        return self._online

    @property
    def powered(self) -> bool:
        """Whether the device tries to be on the line."""
        return self._powered

    @property
    def in_flight(self) -> int:
        """Samples published and not acknowledged yet."""
        return sum(message.samples for message in self._flight.values())

    @property
    def unanswered(self) -> int:
        """Messages without a PUBACK, the status included, even if it is still to be sent."""
        return len(self._flight) + (self._online and not self._greeted)

    @property
    def pending(self) -> int:
        """Samples that the broker has not acknowledged yet, published or not."""
        return self.in_flight + len(self.backlog)

    @property
    def free(self) -> bool:
        """Whether another message may be published now."""
        return self._online and len(self._flight) < self._in_flight_limit

    def offer(self, samples: Sequence[Sample]) -> None:
        """Put samples into the backlog; they leave when the line allows it."""
        for sample in samples:
            self.backlog.put(sample, in_flight=self.in_flight)

    def power_on(self, now_s: float, *, within_s: float = 0.0) -> None:
        """Start to connect, after a random pause of up to `within_s`."""
        if not self._powered:
            self._powered = True
            self._pause_s = RETRY_S[0]
            self._next_attempt_s = now_s + self._jitter.uniform(0.0, within_s)

    def cut(self) -> None:
        """Pull the plug: the connection ends without a DISCONNECT, so the will is published."""
        self._powered = False
        self._drop_connection()

    def socket(self) -> socket.socket | None:
        """Return the socket to wait on, or None while there is no connection."""
        open_socket = self._client.socket()
        # paho names its WebSocket wrapper too, which is not used here.
        return open_socket if isinstance(open_socket, socket.socket) else None

    def want_write(self) -> bool:
        """Whether bytes wait to be written."""
        return self._client.want_write()

    def on_readable(self) -> None:
        """Read what came in: PUBACKs mostly."""
        self._client.loop_read()
        line = self.socket()
        while isinstance(line, ssl.SSLSocket) and line.pending():
            self._client.loop_read()
            line = self.socket()

    def on_writable(self) -> None:
        """Write what waits."""
        self._client.loop_write()

    def service(self, now_s: float) -> None:
        """Do what is due: connect, greet, publish from the backlog, keep the line alive."""
        if self._client.socket() is not None:
            self._client.loop_misc()
            if not self._online and now_s > self._attempt_until_s:
                self._drop_connection()
        if self._powered and self._client.socket() is None and now_s >= self._next_attempt_s:
            self._connect(now_s)
        if not self._online:
            return
        if not self._greeted:
            self._greeted = True
            self._pause_s = RETRY_S[0]
            self._publish("status", STATUS_ONLINE, _Message(), retain=True)
        while self._powered and self.free and len(self.backlog):
            samples = self.backlog.take(self._batch)
            self.published += len(samples)
            seq = max((sample.seq or 0 for sample in samples), default=0)
            self._publish("up", encode(samples), _Message(len(samples), seq))

    def say_goodbye(self) -> None:
        """Tell the broker that the device goes off on purpose: no will, but a retained word."""
        self._powered = False
        if self._online:
            self._publish("status", STATUS_OFFLINE, _Message(), retain=True)

    def close(self) -> None:
        """Disconnect in order and release the socket."""
        self._powered = False
        if self._client.socket() is not None:
            self._client.disconnect()
        self._drop_connection()

    def _connect(self, now_s: float) -> None:
        self._attempt_until_s = now_s + CONNECT_TIMEOUT_S
        self._plan_attempt(now_s)
        with contextlib.suppress(OSError):  # nobody listens: the next attempt is scheduled
            if self._fresh:
                self._client.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
                self._fresh = False
            else:
                self._client.reconnect()

    def _plan_attempt(self, now_s: float) -> None:
        # Chance spreads the attempts: after a power cut a whole town comes back at once.
        self._next_attempt_s = now_s + self._pause_s * self._jitter.uniform(0.5, 1.5)
        self._pause_s = min(self._pause_s * 2, RETRY_S[1])

    def _publish(
        self, leaf: str, payload: bytes, message: "_Message", *, retain: bool = False
    ) -> None:
        info = self._client.publish(f"{self._topic}/{leaf}", payload, qos=1, retain=retain)
        if info.rc not in KEPT:
            raise RuntimeError(f"{self.device}: could not queue a message: {info.rc.name}")
        self._flight[info.mid] = message

    def _drop_connection(self) -> None:
        open_socket = self.socket()
        if open_socket is not None:
            with contextlib.suppress(OSError):  # the other side may have been faster
                open_socket.shutdown(socket.SHUT_RDWR)
            while self._client.socket() is not None:
                self._client.loop_read()
        self._online = False

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self.refusal = str(reason)
            return
        self.refusal = None
        self.connections += 1
        self._online = True
        self._greeted = False

    def _on_disconnect(self, *_args: Any) -> None:
        self._online = False
        self._plan_attempt(time.monotonic())

    def _on_publish(self, _client: Client, _data: Any, mid: int, _r: Any, _p: Any) -> None:
        message = self._flight.pop(mid)
        self.acknowledged += message.samples
        self.acknowledged_seq = max(self.acknowledged_seq, message.seq)
