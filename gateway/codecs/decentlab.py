"""Decentlab's raw LoRaWAN payloads, version 2: DL-MBX, DL-OPTOD, DL-PHEHT, DL-PR36CTD.

Byte 0 is the version, two bytes the device's number, two bytes say which sensors follow (bit 0
first), each a fixed number of 16-bit words, all big-endian. Names and conversions are those of
the manufacturer's published payload descriptions.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from gateway.codecs.report import Report, Scalar, measures
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

VERSION = 2
_HEADER = struct.Struct(">BHH")
# A word is sent with this added, so that it may be negative.
_OFFSET = 32768

Convert = Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Sensor:
    """What one bit of the flags announces: a word for each value, in order."""

    values: tuple[tuple[str, Convert], ...]


def _plain(word: int) -> float:
    return word


def _signed(divisor: float) -> Convert:
    return lambda word: (word - _OFFSET) / divisor


_BATTERY = Sensor((("battery_voltage", lambda word: word / 1000),))

MODELS: dict[str, tuple[Sensor, ...]] = {
    "decentlab/dl-mbx": (
        Sensor((("distance", _plain), ("number_of_valid_samples", _plain))),
        _BATTERY,
    ),
    "decentlab/dl-optod": (
        Sensor(
            (
                ("status", _plain),
                ("temperature", _signed(100)),
                ("oxygen_saturation", _signed(100)),
                ("oxygen_concentration", _signed(100)),
                ("oxygen_concentration_alt", _signed(100)),
            )
        ),
        _BATTERY,
    ),
    "decentlab/dl-pheht": (
        Sensor(
            (
                ("status", _plain),
                ("temperature", _signed(100)),
                ("ph", _signed(100)),
                ("redox", _signed(10)),
                ("ph_mv", _signed(10)),
            )
        ),
        _BATTERY,
    ),
    "decentlab/dl-pr36ctd": (
        Sensor(
            (
                ("pressure", _signed(8192)),
                ("temperature_electronics", _signed(256)),
                ("temperature_pt1000", _signed(256)),
                ("electrical_conductivity", _signed(1024)),
            )
        ),
        _BATTERY,
    ),
}


def decode(model: str, payload: bytes) -> list[Report]:
    """Decode the bytes of one uplink.

    Raises
    ------
    RefusedReadingError
        If they are not of this model.

    Examples
    --------
    >>> [report] = decode("decentlab/dl-mbx", bytes.fromhex("02012f000304d200010bb1"))
    >>> [measure.value for measure in report.measures]
    [1234, 1, 2.993]
    """
    if len(payload) < _HEADER.size:
        raise RefusedReadingError(
            Reason.BAD_PAYLOAD, f"{len(payload)} bytes, too short for {model}"
        )
    version, _device, flags = _HEADER.unpack_from(payload)
    if version != VERSION:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, f"version {version} is not {model}'s")
    sensors = MODELS[model]
    if flags >> len(sensors):
        raise RefusedReadingError(Reason.BAD_PAYLOAD, f"sensors {flags:#x} are not {model}'s")
    place = _HEADER.size
    values: dict[str, Scalar] = {}
    for bit, sensor in enumerate(sensors):
        if not flags >> bit & 1:
            continue
        end = place + 2 * len(sensor.values)
        if end > len(payload):
            raise RefusedReadingError(Reason.BAD_PAYLOAD, f"cut off: {model} announces more")
        words = struct.unpack(f">{len(sensor.values)}H", payload[place:end])
        for (name, convert), word in zip(sensor.values, words, strict=True):
            values[name] = convert(word)
        place = end
    if place != len(payload):
        raise RefusedReadingError(
            Reason.BAD_PAYLOAD, f"{len(payload) - place} bytes more than {model} sends"
        )
    return [Report(measures(values))]
