"""What the gateway would make of a message, without taking it in."""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from gateway.codecs.reading import Reading
from gateway.decoder import Decoder
from gateway.message import Message
from gateway.registry import Registry
from gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from gateway.intake import Intake


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The readings of a message, or the reason why it would be refused."""

    readings: list[Reading]
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a message is taken to come from: a town, outside of any partition."""

    tenant_id: int
    partition_no: None = None
    partitions: int = 1


class Foresight:
    """Judges messages as the gateway's worker does; may be asked by several threads."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._decoder = Decoder(settings)
        self._lock = threading.Lock()

    def foresee(
        self, registry: Registry, tenant_id: int, topic: str, payload: bytes, received_ms: int
    ) -> Foreseen:
        """Decode a message of a device's topic, ``mz/v1/{town}/d/{device}/up``."""
        # The decoder asks an intake only for the town and the partition.
        source = cast("Intake", _Source(tenant_id))
        message = Message(source, 0, 0, topic.encode(), payload, received_ms)
        with self._lock:
            batch = self._decoder.decode([message], registry, 1)
        if batch.refused:
            [refused] = batch.refused
            return Foreseen([], str(refused.reason), refused.detail)
        if not batch.heard:
            return Foreseen([])  # a test publish from no device of the town
        return Foreseen(registry.route(message).decode(payload))
