"""Devices' links: online and offline from status messages and last wills.

That a device sends nothing any more is judged by a job, on received times.
"""

from collections.abc import Sequence

import msgspec
import structlog

from gateway.batch import Refused
from gateway.errors import RefusedReadingError
from gateway.message import Message
from gateway.reasons import Reason
from gateway.registry import Device, Registry
from gateway.topics import parse_status
from store import links, live
from store.database import Connection
from store.times import moment

log = structlog.get_logger(__name__)

# A device that sends every second is not written down as online every second; the job that
# judges silence takes far longer to call it silent.
HEARD_EVERY_MS = 5_000


class Status(msgspec.Struct, forbid_unknown_fields=False):
    """What a device says of itself; as a last will, what the broker says for it."""

    online: bool


_decoder = msgspec.json.Decoder(Status)


class Links:
    """Writes link states, and remembers what it wrote a moment ago."""

    def __init__(self) -> None:
        self._written_ms: dict[int, int] = {}

    def due(self, heard: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """Return those of {device_id: (tenant_id, received_ms)} that are worth writing."""
        written = self._written_ms
        return {
            device: (tenant, at)
            for device, (tenant, at) in heard.items()
            if at - written.get(device, 0) >= HEARD_EVERY_MS
        }

    def committed(self, heard: dict[int, tuple[int, int]]) -> None:
        """Remember what was written."""
        for device, (_, at) in heard.items():
            self._written_ms[device] = at

    def apply(
        self, conn: Connection, messages: Sequence[Message], registry: Registry
    ) -> list[Refused]:
        """Write what status messages say, in their order; return those that say nothing we know."""
        refused: list[Refused] = []
        changed: dict[int, list[int]] = {}
        for message in messages:
            code: str | None = None
            try:
                device, online = self._read(message, registry)
                code = device.code
            except RefusedReadingError as error:
                # The retained status of a device that was removed comes at every connection.
                if not message.retained:
                    tenant = message.intake.tenant_id
                    refused.append(Refused(message, tenant, code, error.reason, error.detail))
                continue
            self._written_ms.pop(device.device_id, None)
            if links.said(
                conn,
                device.tenant_id,
                device.device_id,
                moment(message.received_ms),
                online=online,
                retained=message.retained,
            ):
                changed.setdefault(device.tenant_id, []).append(device.device_id)
        for tenant, devices in changed.items():
            live.notify(conn, tenant, links=devices)
        return refused

    @staticmethod
    def _read(message: Message, registry: Registry) -> tuple[Device, bool]:
        try:
            town_code, device_code = parse_status(message.topic.decode())
        except UnicodeDecodeError as error:
            raise RefusedReadingError(Reason.BAD_TOPIC, "not UTF-8") from error
        town = registry.towns.get(town_code)
        if town is None or town.tenant_id != message.intake.tenant_id:
            raise RefusedReadingError(Reason.BAD_TOPIC, "not of this town")
        device = registry.devices.get((town.tenant_id, device_code))
        if device is None:
            raise RefusedReadingError(
                Reason.UNKNOWN_DEVICE, f"the town has no device {device_code!r}"
            )
        try:
            return device, _decoder.decode(message.payload).online
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedReadingError(Reason.BAD_PAYLOAD, str(error)[:500]) from error
