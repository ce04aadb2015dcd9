"""Refused messages once more, after what was wrong has been mended."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from deploy.broker.mqtt_client import Login, MqttAddress, publish
from deploy.settings import Settings
from gateway.codecs import native, sparkplug
from gateway.codecs.reading import Reading
from gateway.errors import RefusedReadingError
from gateway.foresight import Foresight
from gateway.quarantine import QUARANTINE_BYTES
from gateway.registry import Registry, load
from gateway.sparkplug.host import Host
from gateway.sparkplug.topic import Address
from store import births, broker_accounts, quarantine
from store.database import Database
from store.errors import RefusedError
from store.quarantine import Refused
from store.times import milliseconds
from store.town_catalog import Tenant

PAGE = 200


@dataclass
class Outcome:
    """What became of the messages that waited."""

    replayed: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by "reason: detail"
    dry: bool = False

    def lines(self) -> Iterator[str]:
        """Say it."""
        yield f"{self.replayed} {'could be' if self.dry else ''} replayed".replace("  ", " ")
        for why, count in self.refused.most_common():
            yield f"{count} still refused: {why}"


@dataclass(frozen=True)
class _Present:
    """What is known now, by which messages are judged again.

    `stood_in` is, by device, the last time of reception that stood in for one of the device: two
    messages of the same millisecond are two readings.
    """

    registry: Registry
    foresight: Foresight
    host: Host
    stood_in: dict[str, int] = field(default_factory=dict)


def replay(
    settings: Settings,
    database: Database,
    town: Tenant,
    *,
    device: str | None = None,
    reason: str | None = None,
    dry: bool = False,
    progress: Callable[[Outcome], None] = lambda _: None,
) -> Outcome:
    """Send a town's refused messages through the broker again, those that are good now.

    They take the way of every reading. A message that names its times goes as it came; one that
    does not is given the times of its first reception. Running it again changes nothing: what
    was replayed is marked, and what is stored is recognised.

    Parameters
    ----------
    database
        As the owner, or as the role `mizumori_jobs`.
    device, reason
        Only those of this device's code, and refused for this.

    Raises
    ------
    StoreError, BrokerUnreachableError
        Database or broker do not answer; what was replayed until then is marked.
    """
    outcome = Outcome(dry=dry)
    address = MqttAddress(settings.broker.host, settings.broker.port, settings.broker.tls_ca)
    after = 0
    with database.transaction() as conn:
        present = _Present(load(conn), Foresight(settings.gateway), Host())
        present.host.restore(births.births(conn, town.tenant_id))
        accounts = broker_accounts.list_accounts(conn)
    account = next((one for one in accounts if one.tenant_id == town.tenant_id), None)
    if account is None:
        raise RefusedError(f"The town {town.code} has no account at the broker yet.")
    login = Login.gateway_of(account)
    while page := _page(database, town, after, device, reason):
        after = page[-1].quarantine_id
        good = {}
        for entry in page:
            payload = _mended(entry, town, present, outcome)
            if payload is not None:
                good[entry.quarantine_id] = (_topic(town, entry), payload)
        if good and not dry:
            publish(address, login, good.values())
            with database.transaction() as conn:
                quarantine.mark_replayed(conn, list(good))
        outcome.replayed += len(good)
        progress(outcome)
    return outcome


def _page(
    database: Database, town: Tenant, after: int, device: str | None, reason: str | None
) -> list[Refused]:
    with database.transaction() as conn:
        return quarantine.entries(
            conn,
            town.tenant_id,
            after=after,
            reason=reason,
            device=device,
            waiting=True,
            limit=PAGE,
        )


def _topic(town: Tenant, entry: Refused) -> str:
    return f"mz/v1/{town.code}/d/{entry.device_code}/up"


def _mended(entry: Refused, town: Tenant, present: _Present, outcome: Outcome) -> bytes | None:
    """Return what to publish; None, and why in the outcome, if it would be refused again."""
    address = Address.parse(entry.topic)
    if entry.device_code is None or not (address or entry.topic.endswith("/up")):
        outcome.refused["it came on no topic of a device's readings"] += 1
        return None
    if len(entry.payload) >= QUARANTINE_BYTES:
        outcome.refused["only its beginning was kept: send it again from its source"] += 1
        return None
    payload = entry.payload
    if address is not None:
        try:
            payload = present.host.resolve(address, sparkplug.parse(payload)) or b""
        except RefusedReadingError as error:
            outcome.refused[f"{error.reason}: {error.detail}"] += 1
            return None
    received_ms = milliseconds(entry.received_time)
    topic = _topic(town, entry)
    found = present.foresight.foresee(present.registry, town.tenant_id, topic, payload, received_ms)
    if found.reason:
        outcome.refused[f"{found.reason}: {found.detail}"] += 1
        return None
    readings = found.readings
    if all(reading.ts is not None for reading in readings):
        return payload
    return native.encode_own(_timed(readings, received_ms, entry.device_code, present.stood_in))


def _timed(
    readings: Sequence[Reading], received_ms: int, device: str, stood_in: dict[str, int]
) -> list[Reading]:
    timed = []
    for reading in readings:
        if reading.ts is None:
            stood_in[device] = max(received_ms, stood_in.get(device, 0) + 1)
            at_ms = stood_in[device] - (reading.age_ms or 0)
            timed.append(msgspec.structs.replace(reading, ts=at_ms, age_ms=None))
        else:
            timed.append(reading)
    return timed
