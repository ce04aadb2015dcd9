"""From a request's body to the commit: through the broker, as a message of the device."""

import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import msgspec
from paho.mqtt.client import MQTTMessageInfo

from gateway import remit
from gateway.codecs import native
from gateway.codecs.reading import Reading
from gateway.foresight import Foreseen, Foresight
from gateway.partition import partition_of
from gateway.publisher import BrokerAwayError, Publisher
from gateway.push.receipts import Receipts
from gateway.reasons import Reason
from gateway.registry import Registry
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.towns import partitions_of
from store import broker_accounts, quarantine
from store.broker_accounts import BrokerAccount
from store.database import Database
from store.operators import Operator

# Readings of one message where we write it anew.
_READINGS = 200
_OF_NEWCOMERS = frozenset({Reason.DEVICE_QUARANTINED, Reason.REGISTRATION_FULL})


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request's body, and for which device it is.

    `key` is the sender's name for this very request: with it a repetition is known even where a
    reading has neither time nor number.
    """

    tenant_id: int
    tenant_code: str
    device_code: str
    body: bytes
    key: str = ""

    @property
    def topic(self) -> str:
        """Where the device itself would publish it."""
        return f"mz/v1/{self.tenant_code}/d/{self.device_code}/up"


@dataclass(frozen=True, slots=True)
class Sent:
    """A body on its way.

    Attributes
    ----------
    committed
        Done when the receipt behind the body is committed.
    published
        What tells whether the broker has the body: it may have room for the receipt alone.
    """

    nonce: str
    committed: Future[None]
    published: Sequence[MQTTMessageInfo]
    foreseen: Foreseen


class Delivery:
    """Publishes bodies, each with a receipt behind it; may be asked by several threads.

    Parameters
    ----------
    database
        As the role `mizumori_gateway`.
    broker, settings
        Sections ``[broker]`` and ``[gateway]``.
    registry
        Returns what the worker goes by now; None while the database is away.
    receipts
        How a commit is heard of.
    """

    def __init__(
        self,
        database: Database,
        broker: BrokerSettings,
        settings: GatewaySettings,
        registry: Callable[[], Registry | None],
        receipts: Receipts,
    ) -> None:
        self._database = database
        self._broker = broker
        self._settings = settings
        self._registry = registry
        self._receipts = receipts
        self._foresight = Foresight(settings)
        self._lock = threading.Lock()
        self._publishers: dict[int, Publisher] = {}
        self._under_way: dict[int, dict[str, Future[None]]] = {}

    def objection(self, operator: Operator, device_code: str) -> str:
        """Say why an operator may not speak for a device; "": it may, or nobody knows now."""
        registry = self._registry()
        if registry is None:
            return ""  # nothing is taken then
        return remit.objection(registry, operator.tenant_id, operator.codec, device_code)

    def send(self, parcel: Parcel) -> Sent | None:
        """Publish a body and its receipt; None: the database is away, nothing was published.

        Raises
        ------
        BrokerAwayError
        DatabaseAwayError
        """
        registry = self._registry()
        if registry is None:
            return None
        foreseen = self._foresee(registry, parcel)
        publisher = self._publisher(parcel.tenant_id)
        account = publisher.account
        nonce, committed = self._receipts.expect()
        with self._lock:
            self._under_way.setdefault(parcel.tenant_id, {})[nonce] = committed
        receipt = json.dumps({"probe": nonce}).encode()
        messages = [(parcel.topic, payload) for payload in _payloads(parcel, foreseen.readings)]
        try:
            published = publisher.publish(
                [*messages, (self._receipt_topic(parcel, account), receipt)]
            )
        except BrokerAwayError:
            self.forget(parcel, nonce)
            raise
        return Sent(nonce, committed, published, foreseen)

    def result(self, parcel: Parcel, sent: Sent) -> Foreseen:
        """Say what became of a committed body: the gateway may have looked a device up since."""
        registry = self._registry()
        if not sent.foreseen.reason or registry is None:
            return sent.foreseen
        return self._foresee(registry, parcel)

    def recorded(self, parcel: Parcel, foreseen: Foreseen) -> Foreseen:
        """Say what the quarantine says of a newcomer: it may have been taken down for approval.

        Raises
        ------
        DatabaseAwayError
        """
        with self._database.transaction() as conn:
            kept = quarantine.newest(conn, parcel.tenant_id, device=parcel.device_code, limit=1)
        said = [Foreseen([], one.reason, one.detail) for one in kept if one.reason in _OF_NEWCOMERS]
        return said[0] if said else foreseen

    def forget(self, parcel: Parcel, nonce: str) -> None:
        """Wait for a receipt no longer."""
        self._receipts.forget(nonce)
        with self._lock:
            self._under_way.get(parcel.tenant_id, {}).pop(nonce, None)

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            publishers = list(self._publishers.values())
            self._publishers.clear()
        for publisher in publishers:
            publisher.close()

    def _foresee(self, registry: Registry, parcel: Parcel) -> Foreseen:
        return self._foresight.foresee(
            registry, parcel.tenant_id, parcel.topic, parcel.body, round(time.time() * 1000)
        )

    def _receipt_topic(self, parcel: Parcel, account: BrokerAccount) -> str:
        """Return a topic on the partition of the device, of no device: whose state says nothing."""
        partitions = len(partitions_of(account, self._broker))
        wanted = partition_of(parcel.device_code, partitions)
        codes = (f"receipt-{number}" for number in itertools.count())
        code = next(one for one in codes if partition_of(one, partitions) == wanted)
        return f"mz/v1/{parcel.tenant_code}/d/{code}/up"

    def _publisher(self, tenant_id: int) -> Publisher:
        with self._database.transaction() as conn:
            accounts = {one.tenant_id: one for one in broker_accounts.list_accounts(conn)}
        account = accounts.get(tenant_id)
        if account is None:
            raise BrokerAwayError("the town has no account at the broker yet")
        with self._lock:
            publisher = self._publishers.get(tenant_id)
            if publisher is not None and publisher.account == account:
                return publisher
            new = self._publishers[tenant_id] = Publisher(
                self._broker,
                account,
                self._settings.keepalive_s,
                ended=lambda: self._fail(tenant_id),
            )
        if publisher is not None:
            publisher.close()  # its password was changed
        return new

    def _fail(self, tenant_id: int) -> None:
        """The connection ended: nobody knows what of it the broker has."""
        with self._lock:
            lost = self._under_way.pop(tenant_id, {})
        for nonce, committed in lost.items():
            self._receipts.forget(nonce)
            if not committed.done():
                committed.set_exception(BrokerAwayError("the broker closed the connection"))


def _payloads(parcel: Parcel, readings: Sequence[Reading]) -> list[bytes]:
    """Return the body as it came, or numbered, if only the sender's key tells a repetition."""
    if not parcel.key or all(r.ts is not None or r.seq is not None for r in readings):
        return [parcel.body]
    numbered = [_numbered(reading, parcel, place) for place, reading in enumerate(readings)]
    starts = range(0, len(numbered), _READINGS)
    return [native.encode_own(numbered[start : start + _READINGS]) for start in starts]


def _numbered(reading: Reading, parcel: Parcel, place: int) -> Reading:
    """Give a reading without time and number the one that follows from the sender's key."""
    if reading.ts is not None or reading.seq is not None:
        return reading
    digest = hashlib.sha256(f"{parcel.key}\0{place}".encode()).digest()
    # 62 bits: above every number that a device counts up to, within a bigint.
    return msgspec.structs.replace(reading, seq=int.from_bytes(digest[:8], "big") >> 2 | 1 << 61)
