"""Test publishes: the proof that a reading of a town's devices reaches the database."""

import itertools
import json
import secrets
import time

from deploy.broker.mqtt_client import Login, MqttAddress, publish
from gateway.partition import partition_of
from store import broker_accounts
from store.broker_accounts import BrokerAccount
from store.database import Database

_POLL_S = 0.1


def probe(
    account: BrokerAccount, mqtt: MqttAddress, database: Database, timeout_s: float = 30.0
) -> list[int]:
    """Publish one test message on each partition of a town and wait for the gateway to see it.

    Acknowledged does not mean stored, and stored does not mean read; this means both. The
    gateway writes what it saw to `probe_seen` and stores no reading.

    Returns
    -------
    list of int
        The partitions whose message did not arrive: empty is good.

    Raises
    ------
    BrokerUnreachableError
        The broker does not answer.
    """
    nonce_of = {n: secrets.token_hex(16) for n in range(account.partitions)}
    messages = []
    for partition_no, nonce in nonce_of.items():
        device = _device_on(partition_no, account.partitions)
        topic = f"mz/v1/{account.tenant_code}/d/{device}/up"
        messages.append((topic, json.dumps({"probe": nonce}).encode()))
    publish(mqtt, Login.gateway_of(account), messages)
    end = time.monotonic() + timeout_s
    while True:
        with database.transaction() as conn:
            seen = broker_accounts.probes_seen(conn, nonce_of.values())
        missing = [n for n, nonce in nonce_of.items() if nonce not in seen]
        if not missing or time.monotonic() > end:
            return missing
        time.sleep(_POLL_S)


def _device_on(partition_no: int, partitions: int) -> str:
    """Return a device code that the broker maps to a partition; no device needs to exist."""
    codes = (f"probe-{number}" for number in itertools.count())
    return next(code for code in codes if partition_of(code, partitions) == partition_no)
