"""Adding a device, from its row to the proof that its readings arrive."""

import json
import secrets
import threading
import time
from dataclasses import replace

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from deploy.broker.mqtt_client import MqttAddress
from deploy.broker.secrets import hash_secret, new_secret
from deploy.compose_database import open_database
from deploy.settings import Settings
from store import broker_accounts, catalog
from store.catalog import Device, NewDevice, Tenant

KNOWN_WITHIN_S = 20.0
SEEN_WITHIN_S = 15.0
ANSWER_WITHIN_S = 5.0
POLL_S = 0.2
HEARD_AFTER_S = 0.8  # the supervisor gathers changes, then the broker reads its accounts


def add_device(settings: Settings, town: Tenant, new: NewDevice) -> tuple[Device, str]:
    """Add a device with its datastreams; return it and its secret, which is kept nowhere.

    Raises
    ------
    StoreError
        The database refuses or does not answer.
    """
    secret = new_secret()
    with (
        open_database(settings, "owner", name="mizumori-cli", max_size=1) as database,
        database.transaction() as connection,
    ):
        [device] = catalog.add_devices(
            connection, town.tenant_id, [replace(new, secret_hash=hash_secret(secret))]
        )
    return device, secret


def prove_device(settings: Settings, user: str, secret: str) -> str:
    """Publish a test message as the device and wait until the gateway has seen it.

    Acknowledged does not mean stored, and stored does not mean read: this means both.

    Parameters
    ----------
    user
        The device's MQTT user name, {town}/{device}.

    Returns
    -------
    str
        "" if the message arrived, else in words how far it came.
    """
    address = MqttAddress(settings.broker.host, settings.broker.port, settings.broker.tls_ca)
    town, device = user.split("/")
    nonce = secrets.token_hex(16)
    refusal = _publish(
        address, user, secret, f"mz/v1/{town}/d/{device}/up", json.dumps({"probe": nonce})
    )
    if refusal:
        return refusal
    deadline = time.monotonic() + SEEN_WITHIN_S
    with open_database(settings, "owner", name="mizumori-cli", max_size=1) as database:
        while time.monotonic() < deadline:
            with database.transaction() as connection:
                if broker_accounts.probes_seen(connection, [nonce]):
                    return ""
            time.sleep(POLL_S)
    return (
        f"the broker took the test message, but the gateway has not seen it within "
        f"{SEEN_WITHIN_S:g} s: does the gateway run? `mizumori doctor` says more"
    )


def _publish(address: MqttAddress, user: str, secret: str, topic: str, payload: str) -> str:
    """Publish once the broker knows the device; return what it said if it does not."""
    time.sleep(HEARD_AFTER_S)  # a refused attempt would stand in the broker's log
    deadline = time.monotonic() + KNOWN_WITHIN_S
    while True:
        refusal = _try_to_publish(address, user, secret, topic, payload)
        if not refusal or time.monotonic() > deadline:
            return refusal
        time.sleep(POLL_S)


def _try_to_publish(address: MqttAddress, user: str, secret: str, topic: str, payload: str) -> str:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.username_pw_set(user, secret)
    if address.tls_ca is not None:
        client.tls_set(str(address.tls_ca))
    answered = threading.Event()
    codes: list[ReasonCode] = []

    def on_connect(
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        codes.append(code)
        answered.set()

    client.on_connect = on_connect
    where = f"{address.host}:{address.port}"
    try:
        client.connect(address.host, address.port)
    except OSError as error:
        return f"no MQTT broker answers at {where} ({error}): does `mizumori up` run?"
    client.loop_start()
    try:
        if not answered.wait(ANSWER_WITHIN_S):
            return f"the MQTT broker at {where} does not answer"
        if codes[0].is_failure:
            return f"the broker at {where} does not know the device yet ({codes[0]})"
        message = client.publish(topic, payload, qos=1)
        message.wait_for_publish(ANSWER_WITHIN_S)
        if not message.is_published():
            return "the broker did not acknowledge the test message"
    except (RuntimeError, ValueError) as error:
        return f"the broker took no message: {error}"
    finally:
        client.disconnect()
        client.loop_stop()
    return ""
