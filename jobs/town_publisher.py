"""One connection to the broker, in the account of one town, that only publishes."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from jobs.errors import BrokerAwayError
from store.broker_accounts import BrokerAccount
from store.outbox import Message

CONNECT_WITHIN_S = 5.0
ACKNOWLEDGE_WITHIN_S = 10.0


@dataclass(frozen=True)
class BrokerAddress:
    """Where the MQTT broker is; with `tls_ca` the connection is TLS."""

    host: str
    port: int
    tls_ca: Path | None = None


class TownPublisher:
    """Publishes with QoS 1 and tells which messages the broker has acknowledged.

    A connection that breaks is not mended: what paho still holds of it would go out a second
    time and out of order. The owner drops it, makes a new one and reads the outbox again.

    Raises
    ------
    BrokerAwayError
        If the broker does not answer, or refuses the account.
    """

    def __init__(self, address: BrokerAddress, account: BrokerAccount) -> None:
        self._changed = threading.Condition()
        self._answer: ReasonCode | None = None
        self._lost = False
        self._acknowledged: set[int] = set()
        where = f"the broker at {address.host}:{address.port}"
        # No client id: the broker invents one, and there is no session to keep.
        client = Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311, clean_session=True
        )
        client.username_pw_set(account.gateway_user, account.gateway_password)
        client.connect_timeout = CONNECT_WITHIN_S
        client.max_inflight_messages_set(0)  # as many as the outbox gives
        if address.tls_ca is not None:
            client.tls_set(ca_certs=str(address.tls_ca))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        self._client = client
        try:
            client.connect(address.host, address.port, keepalive=30)
        except OSError as error:
            raise BrokerAwayError(f"{where} does not answer: {error}") from error
        client.loop_start()
        with self._changed:
            self._changed.wait_for(self._has_answer, CONNECT_WITHIN_S)
            answer = self._answer_now()
        if answer is None or answer.is_failure:
            self.close()
            reason = "it says nothing" if answer is None else str(answer)
            raise BrokerAwayError(
                f"{where} does not let the town {account.tenant_code} in ({reason})"
            )

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return not self._lost

    def publish(self, messages: Sequence[Message]) -> list[int]:
        """Publish messages in their order.

        Returns
        -------
        list of int
            The ids that may be marked as sent: per topic those up to the first that was not
            acknowledged. What comes after it on the topic goes out again, so that the last
            retained message is the last that was decided.
        """
        mids: dict[int, int] = {}
        for message in messages:
            info = self._client.publish(
                message.topic, _encoded(message.payload), qos=1, retain=message.retain
            )
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
            mids[message.outbox_id] = info.mid
        with self._changed:
            self._changed.wait_for(
                lambda: self._lost or self._acknowledged.issuperset(mids.values()),
                ACKNOWLEDGE_WITHIN_S,
            )
            sent: list[int] = []
            held: set[str] = set()
            for message in messages:
                mid = mids.get(message.outbox_id)
                if mid is not None and mid in self._acknowledged and message.topic not in held:
                    sent.append(message.outbox_id)
                else:
                    held.add(message.topic)
            self._acknowledged.difference_update(mids.values())
            if held:
                self._lost = True
        return sent

    def _has_answer(self) -> bool:
        return self._lost or self._answer is not None

    def _answer_now(self) -> ReasonCode | None:
        return self._answer

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, _client: Client, _: Any, _flags: ConnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        with self._changed:
            # The second one is paho's own reconnect: the first connection is lost all the same.
            self._lost = self._lost or self._answer is not None
            self._answer = code
            self._changed.notify_all()

    def _on_disconnect(
        self,
        _client: Client,
        _: Any,
        _flags: DisconnectFlags,
        _code: ReasonCode,
        _p: Properties | None,
    ) -> None:
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    def _on_publish(
        self, _client: Client, _: Any, mid: int, _code: ReasonCode, _p: Properties
    ) -> None:
        with self._changed:
            self._acknowledged.add(mid)
            self._changed.notify_all()


def _encoded(payload: dict[str, Any] | None) -> bytes:
    # An empty message clears the retained one.
    if payload is None:
        return b""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
