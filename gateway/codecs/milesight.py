"""Milesight's raw LoRaWAN payloads: EM310-UDL, EM500-SWL, EM300-SLD and -ZLD, AT101.

A payload is a row of (channel, type, data); how long the data are depends on the two, all
little-endian. Names, units and words are those of the manufacturer's published tables.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from gateway.codecs.report import Report, Scalar, measures
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

Values = dict[str, Scalar]
_TILT = ("normal", "tilt")
_LEAK = ("normal", "leak")
_MOTION = ("unknown", "start", "moving", "stop")
_FENCE = ("inside", "outside", "unset", "unknown")


@dataclass(frozen=True, slots=True)
class Channel:
    """How long the data of a channel are, and what they say; nothing: of no interest here.

    `past` marks what the device kept while it had no connection: the data begin with the time.
    """

    size: int
    read: Callable[[bytes], Values] | None = None
    past: bool = False


def _word(name: str, words: tuple[str, ...]) -> Callable[[bytes], Values]:
    return lambda data: {name: words[data[0]] if data[0] < len(words) else "unknown"}


def _signed(name: str, scale: float = 1) -> Callable[[bytes], Values]:
    return lambda data: {name: int.from_bytes(data[:2], "little", signed=True) / scale}


def _whole(name: str) -> Callable[[bytes], Values]:
    return lambda data: {name: int.from_bytes(data[:2], "little", signed=True)}


def _unsigned(name: str) -> Callable[[bytes], Values]:
    return lambda data: {name: int.from_bytes(data[:2], "little")}


def _place(data: bytes) -> Values:
    lat, lon = struct.unpack_from("<ii", data)
    return {"latitude": lat / 1e6, "longitude": lon / 1e6}


def _location(data: bytes) -> Values:
    motion, fence = data[8] & 15, data[8] >> 4
    return _place(data) | {
        "motion_status": _MOTION[motion] if motion < len(_MOTION) else "unknown",
        "geofence_status": _FENCE[fence] if fence < len(_FENCE) else "unknown",
    }


def _past_place(data: bytes) -> Values:
    lon, lat = struct.unpack("<ii", data)
    return {"latitude": lat / 1e6, "longitude": lon / 1e6}


def _leak_record(data: bytes) -> Values:
    return _signed("temperature", 10)(data) | {
        "humidity": data[2] / 2,
        "leakage_status": _LEAK[data[3]] if data[3] < len(_LEAK) else "unknown",
    }


_BATTERY = {(0x01, 0x75): Channel(1, lambda data: {"battery": data[0]})}
# What a device says of itself when it starts: versions, serial number, class, reset.
_ABOUT = {
    (0xFF, kind): Channel(size)
    for kind, size in (
        (0x01, 1), (0x08, 6), (0x09, 2), (0x0A, 2), (0x0B, 1), (0x0F, 1),
        (0x16, 8), (0xFE, 1), (0xFF, 2),
    )
}  # fmt: skip

MODELS: dict[str, dict[tuple[int, int], Channel]] = {
    "milesight/em310-udl": _ABOUT | _BATTERY | {
        (0x03, 0x82): Channel(2, _unsigned("distance")),
        (0x04, 0x00): Channel(1, _word("position", _TILT)),
        (0x83, 0x82): Channel(3, _unsigned("distance")),
        (0x20, 0xCE): Channel(6, _unsigned("distance"), past=True),
    },
    "milesight/em500-swl": _ABOUT | _BATTERY | {
        (0x03, 0x77): Channel(2, _whole("water_level")),
        (0x83, 0x77): Channel(3, _whole("water_level")),
        (0x20, 0xCE): Channel(6, _whole("water_level"), past=True),
    },
    "milesight/em300-sld-zld": _ABOUT | _BATTERY | {
        (0x03, 0x67): Channel(2, _signed("temperature", 10)),
        (0x04, 0x68): Channel(1, lambda data: {"humidity": data[0] / 2}),
        (0x05, 0x00): Channel(1, _word("leakage_status", _LEAK)),
        (0x83, 0x67): Channel(3, _signed("temperature", 10)),
        (0x20, 0xCE): Channel(8, _leak_record, past=True),
    },
    "milesight/at101": _ABOUT | _BATTERY | {
        (0x03, 0x67): Channel(2, _signed("temperature", 10)),
        (0x04, 0x88): Channel(9, _location),
        (0x05, 0x00): Channel(1, _word("position", _TILT)),
        (0x06, 0xD9): Channel(9),  # a Wi-Fi network nearby: no place without a directory of them
        (0x07, 0x00): Channel(1, _word("tamper_status", ("install", "uninstall"))),
        (0x83, 0x67): Channel(3, _signed("temperature", 10)),
        (0x20, 0xCE): Channel(12, _past_place, past=True),
    },
}  # fmt: skip


def decode(model: str, payload: bytes) -> list[Report]:
    """Decode the bytes of one uplink: what is now, and then what the device had kept.

    Raises
    ------
    RefusedReadingError
        If they are not of this model. What follows an unknown channel cannot be read, so nothing
        of the message is taken.

    Examples
    --------
    >>> decode("milesight/em500-swl", bytes.fromhex("01756403770200"))[0].measures[1].value
    2
    """
    channels = MODELS[model]
    now: Values = {}
    past: list[Report] = []
    place = 0
    while place < len(payload):
        head = payload[place : place + 2]
        channel = channels.get((head[0], head[1])) if len(head) == 2 else None
        if channel is None:
            raise RefusedReadingError(
                Reason.BAD_PAYLOAD, f"{head.hex(' ')} at byte {place} is no channel of {model}"
            )
        data = payload[place + 2 : place + 2 + channel.size]
        if len(data) < channel.size:
            raise RefusedReadingError(Reason.BAD_PAYLOAD, f"cut off at byte {place + 2}")
        place += 2 + channel.size
        if channel.read is None:
            continue
        if channel.past:
            # A device that was never told the time counts from 1970: the settings decide.
            ts_ms = int.from_bytes(data[:4], "little") * 1000
            past.append(Report(measures(channel.read(data[4:])), ts_ms=ts_ms))
        else:
            now |= channel.read(data)
    return [Report(measures(now)), *past]
