"""Refused messages once more, after what was wrong has been mended."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import msgspec

from deploy.broker.mqtt_client import Login, MqttAddress, publish
from deploy.settings import Settings
from gateway.codecs import native
from gateway.codecs.reading import Reading
from gateway.decoder import Decoder
from gateway.intake import Message
from gateway.quarantine import QUARANTINE_BYTES
from gateway.registry import Registry, load
from store import broker_accounts, quarantine
from store.database import Database
from store.errors import RefusedError
from store.fleet import milliseconds
from store.quarantine import Refused
from store.town_catalog import Tenant

if TYPE_CHECKING:
    from gateway.intake import Intake

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
class _Source:
    """Where a message is taken to come from: a town, outside of any partition."""

    tenant_id: int
    partition_no: None = None
    partitions: int = 1


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
    decoder = Decoder(settings.gateway)
    after = 0
    with database.transaction() as conn:
        registry = load(conn)
        accounts = broker_accounts.list_accounts(conn)
    account = next((one for one in accounts if one.tenant_id == town.tenant_id), None)
    if account is None:
        raise RefusedError(f"The town {town.code} has no account at the broker yet.")
    login = Login.gateway_of(account)
    while page := _page(database, town, after, device, reason):
        after = page[-1].quarantine_id
        good = {}
        for entry in page:
            payload = _mended(entry, town, registry, decoder, outcome)
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


def _mended(
    entry: Refused, town: Tenant, registry: Registry, decoder: Decoder, outcome: Outcome
) -> bytes | None:
    """Return what to publish; None, and why in the outcome, if it would be refused again."""
    if entry.device_code is None or not entry.topic.endswith("/up"):
        outcome.refused["it came on no topic of a device's readings"] += 1
        return None
    if len(entry.payload) >= QUARANTINE_BYTES:
        outcome.refused["only its beginning was kept: send it again from its source"] += 1
        return None
    received_ms = milliseconds(entry.received_time)
    # The decoder asks an intake only for the town and the partition.
    source = cast("Intake", _Source(town.tenant_id))
    message = Message(source, 0, 0, _topic(town, entry).encode(), entry.payload, received_ms)
    batch = decoder.decode([message], registry, 1)
    if batch.refused:
        [refused] = batch.refused
        outcome.refused[f"{refused.reason}: {refused.detail}"] += 1
        return None
    readings = registry.route(message).decode(entry.payload)
    if all(reading.ts is not None for reading in readings):
        return entry.payload
    return native.encode_own(
        [_timed(reading, received_ms + number) for number, reading in enumerate(readings)]
    )


def _timed(reading: Reading, received_ms: int) -> Reading:
    if reading.ts is not None:
        return reading
    return msgspec.structs.replace(reading, ts=received_ms - (reading.age_ms or 0), age_ms=None)
