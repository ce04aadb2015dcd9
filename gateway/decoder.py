"""From messages to columns. What cannot be accepted is set aside with its reason."""

import math
from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np

from gateway.batch import NO_SEQUENCE, Batch, Position, Refused, RowLists, Rows
from gateway.codecs import native
from gateway.errors import RefusedReadingError
from gateway.intake import Message
from gateway.reasons import Reason
from gateway.registry import Device, Registry
from gateway.settings import GatewaySettings
from store.fleet import milliseconds
from store.marks import Mark

CODECS: MappingProxyType[str, Callable[[bytes], list[native.Reading]]] = MappingProxyType(
    {"native": native.decode}
)

_TAKEN_STATES = frozenset({"active", "maintenance", "out_of_season"})
_STATE_REASONS = {"quarantined": Reason.DEVICE_QUARANTINED, "retired": Reason.DEVICE_RETIRED}
_NO_TIME = int(Mark.NO_DEVICE_TIME)
_AT_LEAST_ONCE = int(Mark.NO_DEVICE_TIME | Mark.AT_LEAST_ONCE)
# A clock ahead of ours by more than a minute is not just a slow network or a leap.
_AHEAD_MS = 60_000


class Decoder:
    """Decodes batches against a registry.

    It remembers per device what a clock that steps back is judged by, and the last received time
    that stood in for a device time, so that no two readings share one.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._max_bytes = settings.max_message_bytes
        self._max_readings = settings.max_message_readings
        self._earliest_ms = milliseconds(settings.earliest_time)
        self._max_future_ms = round(settings.max_future_s * 1000)
        self._clocks: dict[int, _Clock] = {}

    def decode(self, messages: Sequence[Message], registry: Registry) -> Batch:
        """Turn messages into a batch; never raises for what is in them."""
        lists = RowLists()
        batch = Batch(messages, _NO_ROWS, [], [], {}, [])
        for number, message in enumerate(messages):
            length, positions = len(lists.sensor), len(batch.positions)
            device: Device | None = None
            try:
                device = registry.route(message)
                probes = self._take(number, message, device, lists, batch.positions)
            except RefusedReadingError as error:
                lists.truncate(length)
                del batch.positions[positions:]
                if error.reason is Reason.UNKNOWN_DEVICE and (nonces := _probes_of_nobody(message)):
                    batch.probes.extend((nonce, message.intake.tenant_id) for nonce in nonces)
                    continue
                code = device.code if device is not None else registry.code_in(message)
                batch.refused.append(
                    Refused(message, message.intake.tenant_id, code, error.reason, error.detail)
                )
                continue
            batch.probes.extend((nonce, device.tenant_id) for nonce in probes)
            batch.heard[device.device_id] = (device.tenant_id, message.received_ms)
        received = np.fromiter((m.received_ms for m in messages), np.int64, len(messages))
        return Batch(
            messages,
            Rows.of(lists, received),
            batch.positions,
            batch.refused,
            batch.heard,
            batch.probes,
        )

    def _take(
        self,
        number: int,
        message: Message,
        device: Device,
        lists: RowLists,
        positions: list[Position],
    ) -> list[str]:
        """Append one message's readings; return the nonces of its test publishes."""
        if device.state not in _TAKEN_STATES:
            raise RefusedReadingError(_STATE_REASONS[device.state])
        if len(message.payload) > self._max_bytes:
            raise RefusedReadingError(Reason.TOO_LARGE, f"{len(message.payload)} bytes")
        codec = CODECS.get(device.codec)
        if codec is None:
            raise RefusedReadingError(Reason.UNKNOWN_CODEC, device.codec)
        readings = codec(message.payload)
        if len(readings) > self._max_readings:
            raise RefusedReadingError(Reason.TOO_MANY_READINGS, f"{len(readings)} readings")
        probes: list[str] = []
        streams, training, received_ms = device.streams, device.training_mark, message.received_ms
        latest_ms = received_ms + self._max_future_ms
        clock = self._clocks.get(device.device_id)
        if clock is None:
            clock = self._clocks[device.device_id] = _Clock()
        for reading in readings:
            time_ms, seq = reading.ts, reading.seq
            if time_ms is None:
                marks = training | (_AT_LEAST_ONCE if seq is None else _NO_TIME)
                time_ms = clock.stand_in(received_ms)
            elif time_ms < self._earliest_ms:
                raise RefusedReadingError(Reason.TIME_TOO_EARLY, f"ts {time_ms}")
            elif time_ms > latest_ms:
                raise RefusedReadingError(
                    Reason.TIME_IN_FUTURE, f"ts {time_ms}, received {received_ms}"
                )
            else:
                marks = training
                if seq is not None and clock.stepped_back(seq, time_ms):
                    marks |= Mark.CLOCK_SUSPECT
                if time_ms > received_ms + _AHEAD_MS:
                    marks |= Mark.CLOCK_SUSPECT
            if seq is None:
                seq = NO_SEQUENCE
            measured = reading.m
            if measured:
                for name, value in measured.items():
                    sensor = streams.get(name)
                    if sensor is None:
                        raise RefusedReadingError(Reason.UNKNOWN_PROPERTY, name[:100])
                    lists.sensor.append(sensor)
                    lists.time_ms.append(time_ms)
                    lists.value.append(math.nan if value is None else value)
                    lists.seq.append(seq)
                    lists.marks.append(marks)
                    lists.message.append(number)
            fix = reading.fix
            if fix is not None:
                positions.append(
                    Position(
                        device.device_id, device.tenant_id, time_ms, received_ms, fix.lat, fix.lon,
                        fix.speed_kmh, fix.course_deg, fix.hdop, fix.blade, seq, marks,
                    )
                )  # fmt: skip
            if reading.probe is not None:
                probes.append(reading.probe)
            elif not measured and fix is None:
                raise RefusedReadingError(Reason.EMPTY, "neither m nor fix nor probe")
        if not readings:
            raise RefusedReadingError(Reason.EMPTY, "an empty array")
        return probes


def _probes_of_nobody(message: Message) -> list[str]:
    """Return the nonces of a message of nothing but test publishes, of a device that is not there.

    `mizumori doctor` tries each partition of a town with a device code that falls on it. Nobody
    but the gateway's own account may publish for a device that is not there.
    """
    try:
        readings = CODECS["native"](message.payload)
    except RefusedReadingError:
        return []
    if any(reading.m or reading.fix is not None or reading.probe is None for reading in readings):
        return []
    return [reading.probe for reading in readings if reading.probe is not None]


class _Clock:
    """What is known of one device's clock."""

    __slots__ = ("newest_ms", "newest_seq", "stood_in_ms")

    def __init__(self) -> None:
        self.newest_ms = 0
        self.newest_seq = 0
        self.stood_in_ms = 0

    def stand_in(self, received_ms: int) -> int:
        """Return the received time, or a little more if another reading has it already."""
        self.stood_in_ms = max(received_ms, self.stood_in_ms + 1)
        return self.stood_in_ms

    def stepped_back(self, seq: int, time_ms: int) -> bool:
        """Whether a later reading has an earlier time: buffered ones come with their old numbers."""
        if time_ms >= self.newest_ms:
            self.newest_ms, self.newest_seq = time_ms, seq
            return False
        return seq > self.newest_seq


_NO_ROWS = Rows.of(RowLists(), np.zeros(0, np.int64))
