"""From messages to columns. What cannot be accepted is set aside with its reason."""

import math
from collections.abc import Sequence

import numpy as np

from gateway.batch import NO_SEQUENCE, Batch, Refused, RowLists, Rows
from gateway.codecs import native
from gateway.codecs.reading import Fix, Reading
from gateway.errors import RefusedReadingError
from gateway.message import Message
from gateway.reasons import Reason
from gateway.registry import Device, Registry
from gateway.settings import GatewaySettings
from store.marks import Mark
from store.positions import Position
from store.times import milliseconds

_TAKEN_STATES = frozenset({"active", "maintenance", "out_of_season"})
_REFUSED_STATES = {
    "quarantined": (Reason.DEVICE_QUARANTINED, "it waits for approval: `mizumori device approve`"),
    "retired": (Reason.DEVICE_RETIRED, "`mizumori device set --state active` takes it in again"),
}
_NO_TIME = int(Mark.NO_DEVICE_TIME)
_AT_LEAST_ONCE = int(Mark.NO_DEVICE_TIME | Mark.AT_LEAST_ONCE)
_SUSPECT = int(Mark.CLOCK_SUSPECT)
_NAN = math.nan
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

    def decode(self, messages: Sequence[Message], registry: Registry, most: int) -> Batch:
        """Turn messages into a batch; never raises for what is in them.

        Parameters
        ----------
        messages
            Not all of them are taken if they hold more than `most` readings:
            ``batch.messages`` are the first ones, at least one.
        """
        lists = RowLists()
        positions: list[Position] = []
        refused: list[Refused] = []
        heard: dict[int, tuple[int, int]] = {}
        probes: list[tuple[str, int]] = []
        routers: dict[int, list[str]] = {}
        for message in messages:
            length, fixes, nonces = len(lists.sensor), len(positions), len(probes)
            if length >= most:
                break
            device: Device | None = None
            try:
                device = registry.route(message)
                named = self._take(message, device, lists, positions, probes)
            except RefusedReadingError as error:
                lists.truncate(length)
                del positions[fixes:], probes[nonces:]
                lists.counts.append(0)
                if error.reason is Reason.UNKNOWN_DEVICE and (tests := _probes_of_nobody(message)):
                    probes += [(nonce, message.intake.tenant_id) for nonce in tests]
                    continue
                code = device.code if device is not None else registry.code_in(message)
                refused.append(
                    Refused(message, message.intake.tenant_id, code, error.reason, error.detail)
                )
            else:
                heard[device.device_id] = (device.tenant_id, message.received_ms)
                if named:
                    routers[device.device_id] = named
                lists.counts.append(len(lists.sensor) - length)
        taken = messages[: len(lists.counts)]
        received = np.array([m.received_ms for m in taken], np.int64)
        rows = Rows.of(lists, received)
        return Batch(taken, rows, positions, refused, heard, probes, routers)

    def _take(
        self,
        message: Message,
        device: Device,
        lists: RowLists,
        positions: list[Position],
        probes: list[tuple[str, int]],
    ) -> list[str] | None:
        """Append what one message says; return the network gateways that heard it."""
        readings = self._readings(message, device)
        clock = self._clock_of(device)
        streams, received_ms = device.streams, message.received_ms
        # Bound once: this loop is what the gateway does most.
        earliest_ms, latest_ms = self._earliest_ms, received_ms + self._max_future_ms
        training, ahead_ms = device.training_mark, received_ms + _AHEAD_MS
        add_sensor, add_time = lists.sensor.append, lists.time_ms.append
        add_value, add_seq = lists.value.append, lists.seq.append
        for reading in readings:
            at_ms, seq = reading.ts, reading.seq
            if at_ms is not None and earliest_ms <= at_ms <= latest_ms and at_ms >= clock.newest_ms:
                time_ms = clock.newest_ms = at_ms
                clock.newest_seq = seq
                marks = training if at_ms <= ahead_ms else training | _SUSPECT
            else:
                time_ms, marks = self._unusual_time(reading, received_ms, clock)
                marks |= training
            if seq is None:
                seq = NO_SEQUENCE
            measured = reading.m
            if measured:
                if marks:
                    lists.marked.append((len(lists.sensor), len(measured), marks))
                for name, value in measured.items():
                    sensor = streams.get(name)
                    if sensor is None:
                        raise _refused_property(device, name)
                    add_sensor(sensor)
                    add_time(time_ms)
                    add_value(_NAN if value is None else value)
                    add_seq(seq)
            if (fix := reading.fix) is not None:
                positions.append(_position(device, fix, time_ms, received_ms, seq, marks))
            elif not measured or reading.probe is not None:
                probes.append((_probe_of(reading), device.tenant_id))
        return readings[0].routers if readings else None

    def _clock_of(self, device: Device) -> "_Clock":
        clock = self._clocks.get(device.device_id)
        if clock is None:
            clock = self._clocks[device.device_id] = _Clock()
        return clock

    def _readings(self, message: Message, device: Device) -> list[Reading]:
        """Decode the payload of a device that may send, within the limits."""
        if device.state not in _TAKEN_STATES:
            raise RefusedReadingError(*_REFUSED_STATES[device.state])
        if len(message.payload) > self._max_bytes:
            raise RefusedReadingError(Reason.TOO_LARGE, f"{len(message.payload)} bytes")
        readings = device.decode(message.payload)
        if len(readings) > self._max_readings:
            raise RefusedReadingError(Reason.TOO_MANY_READINGS, f"{len(readings)} readings")
        return readings

    def _unusual_time(self, reading: Reading, received_ms: int, clock: "_Clock") -> tuple[int, int]:
        """Return phenomenon time and marks of a reading that is not simply the device's newest."""
        time_ms, seq = reading.ts, reading.seq
        if time_ms is None:
            time_ms = clock.stand_in(received_ms) - (reading.age_ms or 0)
            self._check(time_ms, received_ms)
            return time_ms, _AT_LEAST_ONCE if seq is None else _NO_TIME
        self._check(time_ms, received_ms)
        # A reading that comes later and is older has an older number too, or the clock went back.
        if seq is not None and clock.newest_seq is not None and seq > clock.newest_seq:
            return time_ms, _SUSPECT
        return time_ms, _SUSPECT if time_ms - received_ms > _AHEAD_MS else 0

    def _check(self, time_ms: int, received_ms: int) -> None:
        """Refuse a time outside what the settings allow."""
        if time_ms < self._earliest_ms:
            raise RefusedReadingError(Reason.TIME_TOO_EARLY, f"ts {time_ms}")
        if time_ms - received_ms > self._max_future_ms:
            detail = f"ts {time_ms}, received {received_ms}"
            raise RefusedReadingError(Reason.TIME_IN_FUTURE, detail)


def _refused_property(device: Device, name: str) -> RefusedReadingError:
    if name in device.derived:
        said = f"{name} is computed here from other readings; no device may send it"
        return RefusedReadingError(Reason.DERIVED_PROPERTY, said)
    return RefusedReadingError(Reason.UNKNOWN_PROPERTY, name[:100])


def _probe_of(reading: Reading) -> str:
    """Return the nonce of a test publish; what is not even that says nothing."""
    if reading.probe is None:
        raise RefusedReadingError(Reason.EMPTY, "neither m nor fix nor probe")
    return reading.probe


def _probes_of_nobody(message: Message) -> list[str]:
    """Return the nonces of a message of nothing but test publishes, from no device of the town.

    `mizumori doctor` tries each partition of a town with a device code that falls on it. Nobody
    but the gateway's own account may publish for a device that is not there.
    """
    try:
        readings = native.decode(message.payload)
    except RefusedReadingError:
        return []
    nonces = [reading.probe for reading in readings if reading.probe and not reading.m]
    return nonces if len(nonces) == len(readings) else []


class _Clock:
    """What is known of one device's clock: its newest time, and the last stand-in for one."""

    __slots__ = ("newest_ms", "newest_seq", "stood_in_ms")

    def __init__(self) -> None:
        self.newest_ms = 0
        self.newest_seq: int | None = None
        self.stood_in_ms = 0

    def stand_in(self, received_ms: int) -> int:
        """Return the received time, or a little more if another reading has it already."""
        self.stood_in_ms = max(received_ms, self.stood_in_ms + 1)
        return self.stood_in_ms


def _position(
    device: Device, fix: Fix, time_ms: int, received_ms: int, seq: int, marks: int
) -> Position:
    return Position(
        device.device_id,
        device.tenant_id,
        time_ms,
        received_ms,
        fix.lat,
        fix.lon,
        fix.speed_kmh,
        fix.course_deg,
        fix.hdop,
        fix.blade,
        seq,
        marks,
    )
