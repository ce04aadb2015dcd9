"""A town's connection for what the gateway itself hands to the broker."""

import secrets
import ssl
import threading
from collections.abc import Callable, Iterable

import structlog
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from gateway.errors import GatewayError
from gateway.settings import BrokerSettings
from store.broker_accounts import BrokerAccount

log = structlog.get_logger(__name__)

CONNECT_WITHIN_S = 5.0
# What one connection may have on its way to the broker; the broker's answers make room.
IN_FLIGHT = 1000


class BrokerAwayError(GatewayError):
    """The broker does not take messages now; the same may succeed later."""


class Publisher:
    """Publishes as a town's gateway; connects when there is something to publish.

    Parameters
    ----------
    broker
        Section ``[broker]``.
    account
        The town's.
    keepalive_s
        See `GatewaySettings`.
    ended
        Called in the client's thread when a connection has ended: what had no acknowledgement
        until then may or may not be at the broker.
    will
        Topic and payload that the broker publishes, retained, when we vanish.
    """

    def __init__(
        self,
        broker: BrokerSettings,
        account: BrokerAccount,
        keepalive_s: int,
        *,
        ended: Callable[[], None] = lambda: None,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.account = account
        self._broker = broker
        self._keepalive_s = keepalive_s
        self._ended = ended
        self._will = will
        self._lock = threading.RLock()
        self._client: Client | None = None

    def publish(
        self, messages: Iterable[tuple[str, bytes]], *, qos: int = 1, retain: bool = False
    ) -> list[MQTTMessageInfo]:
        """Hand messages to one connection, in this order; the answers tell what the broker has.

        Raises
        ------
        BrokerAwayError
            What was handed over until then may or may not be at the broker.
        """
        with self._lock:
            client = self._client or self._connect()
            sent = [client.publish(topic, body, qos, retain) for topic, body in messages]
        if any(info.rc for info in sent):
            raise BrokerAwayError("the broker closed the connection")
        return sent

    def close(self) -> None:
        """Disconnect; what is on its way is given up."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.on_disconnect = None
            client.disconnect()
            client.loop_stop()

    def _connect(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"mz-publisher-{secrets.token_hex(8)}",
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.username_pw_set(self.account.gateway_user, self.account.gateway_password)
        if self._broker.tls_ca is not None:
            client.tls_set(ca_certs=str(self._broker.tls_ca), cert_reqs=ssl.CERT_REQUIRED)
        if self._will is not None:
            client.will_set(self._will[0], self._will[1], qos=1, retain=True)
        client.connect_timeout = CONNECT_WITHIN_S
        client.max_inflight_messages_set(IN_FLIGHT)
        answered, refusals = threading.Event(), []

        def on_connect(*answer: object) -> None:
            reason = answer[3]
            if getattr(reason, "is_failure", True):
                refusals.append(str(reason))
            answered.set()

        client.on_connect = on_connect
        where = f"{self._broker.host}:{self._broker.port}"
        try:
            client.connect(self._broker.host, self._broker.port, keepalive=self._keepalive_s)
        except (OSError, ValueError) as error:
            raise BrokerAwayError(f"no MQTT broker answers at {where}: {error}") from error
        client.loop_start()
        if not answered.wait(CONNECT_WITHIN_S) or refusals:
            client.disconnect()
            client.loop_stop()
            said = refusals[0] if refusals else "no answer"
            raise BrokerAwayError(
                f"the MQTT broker at {where} does not let {self.account.gateway_user!r} in: {said}"
            )

        def on_disconnect(*_: object) -> None:
            with self._lock:
                if self._client is client:
                    self._client = None
            self._ended()

        client.on_disconnect = on_disconnect
        if not client.is_connected():  # it ended before anybody could be told
            client.loop_stop()
            raise BrokerAwayError(f"the MQTT broker at {where} closed the connection")
        self._client = client
        return client
