"""Adding a device, from its row to the proof that its readings arrive."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from deploy.broker.errors import BrokerUnreachableError
from deploy.broker.mqtt_client import Login, MqttAddress, publish
from deploy.broker.secrets import hash_secret, new_secret
from deploy.compose_database import open_database, owner_transaction
from deploy.settings import Settings
from deploy.waiting import POLL_S, Attendance, NobodyError, wait_for
from deploy.writing import at_the_terminal
from detectors.sentence import Sentence
from store import audit, broker_accounts, device_catalog, programs
from store.database import Connection
from store.device_catalog import Device, NewDevice
from store.town_catalog import Tenant

KNOWN_WITHIN_S = 60.0
SEEN_WITHIN_S = 45.0
HEARD_AFTER_S = 0.8  # the supervisor gathers changes, then the broker reads its accounts


def add_device(settings: Settings, town: Tenant, new: NewDevice) -> tuple[Device, str]:
    """Add a device with its datastreams; return it and its secret, which is kept nowhere.

    Raises
    ------
    StoreError
        The database refuses or does not answer.
    """
    secret = new_secret()
    with owner_transaction(settings) as connection:
        audit.write_as(connection, at_the_terminal())
        [device] = device_catalog.add_devices(
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
    nonce = secrets.token_hex(16)
    refusal = _publish_while_somebody_lets_in(settings, Login(user, secret), nonce)
    if refusal:
        return refusal

    def seen(connection: Connection) -> bool | None:
        return True if broker_accounts.probes_seen(connection, [nonce]) else None

    try:
        arrived = wait_for(settings, seen, SEEN_WITHIN_S, {programs.GATEWAY, programs.UP})
    except NobodyError:
        return (
            "no gateway runs: the test message waits at the broker, as its readings will. Start "
            "`mizumori up`, or `mizumori gateway`"
        )
    if arrived:
        return ""
    return (
        f"the broker took the test message, but the gateway has not seen it within "
        f"{SEEN_WITHIN_S:g} s: does the gateway run? `mizumori doctor` says more"
    )


def _publish_while_somebody_lets_in(settings: Settings, login: Login, nonce: str) -> str:
    """Publish a test message once the broker knows the device, if anybody may tell it."""
    attendance = Attendance({programs.UP, programs.BROKER})
    with open_database(settings, "owner", name="mizumori-cli", max_size=1) as database:

        def look() -> None:
            with database.transaction() as conn:
                attendance.look(conn)

        try:
            return publish_probe(settings, login, nonce, KNOWN_WITHIN_S, look) or ""
        except NobodyError as error:
            refused = error.__context__  # the last attempt's end
            if settings.broker.kind == "mosquitto":
                return (
                    f"{refused}: does Mosquitto run, and has it read what `mizumori broker-config` "
                    "wrote, with the device's secret? docs/broker.md"
                )
            return (
                f"{refused}, and neither `mizumori up` nor `mizumori broker` runs, which "
                "would let it in there. Start one of them, or run `mizumori broker-config` for a "
                f"NATS of your own; then: mizumori device test {login.user.replace('/', ' ')}"
            )


def publish_probe(
    settings: Settings,
    login: Login,
    nonce: str,
    known_within_s: float,
    look: Callable[[], None] = lambda: None,
) -> Sentence | None:
    """Publish a test message once the broker knows the device.

    Parameters
    ----------
    look
        Is called between the attempts; what it raises ends them.

    Returns
    -------
    Sentence or None
        What the broker said; None if it took it.
    """
    address = MqttAddress(settings.broker.host, settings.broker.port, settings.broker.tls_ca)
    town, device = login.user.split("/")
    message = (f"mz/v1/{town}/d/{device}/up", json.dumps({"probe": nonce}).encode())
    time.sleep(HEARD_AFTER_S)  # a refused attempt would stand in the broker's log
    deadline = time.monotonic() + known_within_s
    while True:
        try:
            publish(address, login, [message])
        except BrokerUnreachableError as error:
            if time.monotonic() > deadline:
                return Sentence("{error} (does `mizumori up` run?)", error=error.args[0])
            look()
            time.sleep(POLL_S)
        else:
            return None
