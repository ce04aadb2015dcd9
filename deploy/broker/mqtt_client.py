"""A short visit to the broker, as a gateway or a device: to make a session, or to publish."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.broker.errors import BrokerUnreachableError, ProvisioningError
from detectors.sentence import Sentence
from store.broker_accounts import BrokerAccount

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """Where the broker takes MQTT. With a CA file the connection is TLS."""

    host: str
    port: int
    tls_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """Who visits. The text form holds no secret."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def gateway_of(cls, account: BrokerAccount) -> "Login":
        """Return the login of a town's gateway."""
        return cls(account.gateway_user, account.gateway_password)


def make_session(
    address: MqttAddress, account: BrokerAccount, client_id: str, topic_filter: str
) -> None:
    """Connect as an intake, subscribe and go: from then on the broker keeps what comes.

    Raises
    ------
    BrokerUnreachableError
        The broker does not answer, or does not let the gateway's user in.
    ProvisioningError
        It refuses the subscription, which it says in the SUBACK alone.
    """
    with _visit(address, Login.gateway_of(account), client_id, keep_session=True) as client:
        answered = threading.Event()
        codes: list[ReasonCode] = []

        def on_subscribe(
            _client: mqtt.Client, _data: object, _mid: int, given: list[ReasonCode], _: Properties
        ) -> None:
            codes.extend(given)
            answered.set()

        client.on_subscribe = on_subscribe
        client.subscribe(topic_filter, qos=1)
        if not answered.wait(_TIMEOUT_S):
            raise BrokerUnreachableError(
                f"The broker did not answer the subscription to {topic_filter!r}"
            )
        if any(code.is_failure or code.value != 1 for code in codes):
            raise ProvisioningError(
                f"The broker refuses the subscription to {topic_filter!r}: is the account's "
                "store full, or does the session hold another subscription?"
            )


def end_session(address: MqttAddress, account: BrokerAccount, client_id: str) -> None:
    """Have the broker forget a session of the gateway, and what waits in it.

    Raises
    ------
    BrokerUnreachableError
        The broker does not answer, or does not let the gateway's user in.
    """
    with _visit(address, Login.gateway_of(account), client_id, keep_session=False):
        pass


def publish(address: MqttAddress, login: Login, messages: Iterable[tuple[str, bytes]]) -> None:
    """Publish messages with QoS 1 and until they are acknowledged.

    Raises
    ------
    BrokerUnreachableError
        The broker does not answer, or does not acknowledge.
    """
    with _visit(address, login, "", keep_session=False) as client:
        sent = [client.publish(topic, payload, qos=1) for topic, payload in messages]
        for message in sent:
            try:
                message.wait_for_publish(_TIMEOUT_S)
            except (RuntimeError, ValueError) as error:
                raise BrokerUnreachableError(
                    Sentence("The broker took no message: {error}", error=error)
                ) from error
            if not message.is_published():
                raise BrokerUnreachableError(
                    Sentence("The broker did not acknowledge a message in time")
                )


@contextmanager
def _visit(
    address: MqttAddress, login: Login, client_id: str, *, keep_session: bool
) -> Iterator[mqtt.Client]:
    # Manual acknowledgement: what arrives meanwhile belongs to the intake.
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=not keep_session,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.username_pw_set(login.user, login.password)
    if address.tls_ca is not None:
        client.tls_set(str(address.tls_ca))
    answered = threading.Event()
    codes: list[ReasonCode] = []

    def on_connect(
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        code: ReasonCode,
        _: Properties | None,
    ) -> None:
        codes.append(code)
        answered.set()

    client.on_connect = on_connect
    where = f"{address.host}:{address.port}"
    try:
        client.connect(address.host, address.port)
    except OSError as error:
        raise BrokerUnreachableError(
            Sentence("No MQTT broker answers at {where}: {error}", where=where, error=error)
        ) from error
    client.loop_start()
    try:
        if not answered.wait(_TIMEOUT_S):
            raise BrokerUnreachableError(
                Sentence("The MQTT broker at {where} does not answer", where=where)
            )
        if codes[0].is_failure:
            raise BrokerUnreachableError(
                Sentence(
                    "The MQTT broker at {where} does not let {user!r} in: {reason}",
                    where=where,
                    user=login.user,
                    reason=codes[0],
                )
            )
        yield client
    finally:
        client.disconnect()
        client.loop_stop()
