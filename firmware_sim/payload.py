"""What a device says: its own encoder of the native payload, shared with nobody.

A codec that both sides share is wrong on both sides at once, so this one knows the format from
its description alone: `{"ts": ms, "seq": n, "m": {...}}`, `{"ts": ms, "seq": n, "fix": {...}}`,
or an array of them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STATUS_ONLINE = b'{"online":true}'
STATUS_OFFLINE = b'{"online":false}'


@dataclass(frozen=True, slots=True)
class Fix:
    """One GPS fix.

    Parameters
    ----------
    lat, lon
        WGS 84 degrees.
    speed_kmh, course_deg, hdop
        As the receiver gives them; None: not reported.
    blade
        True: down; None: no blade switch.
    """

    lat: float
    lon: float
    speed_kmh: float | None = None
    course_deg: float | None = None
    hdop: float | None = None
    blade: bool | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What one device measured at one moment.

    Parameters
    ----------
    time_ms
        Device clock, milliseconds since 1970 UTC; None: the device has no clock.
    seq
        The device's own running number; None: it has none.
    values
        Property to value; NaN: the sensor was read and gave nothing.
    fix
        Position, for vehicles.
    """

    time_ms: int | None
    seq: int | None
    values: Mapping[str, float] = field(default_factory=dict)
    fix: Fix | None = None


def encode(samples: Sequence[Sample]) -> bytes:
    """Encode samples as one payload: an object for one, an array for several.

    Parameters
    ----------
    samples
        At least one, in the order in which they were measured.

    Returns
    -------
    bytes
        Compact JSON in UTF-8.

    Raises
    ------
    ValueError
        If there is nothing to encode, or a value is infinite (JSON has no such number).

    Examples
    --------
    >>> encode([Sample(1763760000123, 7, {"depth_m": 0.123})])
    b'{"ts":1763760000123,"seq":7,"m":{"depth_m":0.123}}'
    """
    if not samples:
        raise ValueError("a payload holds at least one sample")
    objects = [_object(sample) for sample in samples]
    payload = objects[0] if len(objects) == 1 else objects
    return json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()


def _object(sample: Sample) -> dict[str, Any]:
    message: dict[str, Any] = {}
    if sample.time_ms is not None:
        message["ts"] = sample.time_ms
    if sample.seq is not None:
        message["seq"] = sample.seq
    if sample.values:
        message["m"] = {
            name: None if math.isnan(value) else value for name, value in sample.values.items()
        }
    if sample.fix is not None:
        fix = sample.fix
        parts = {
            "lat": fix.lat,
            "lon": fix.lon,
            "speed_kmh": fix.speed_kmh,
            "course_deg": fix.course_deg,
            "hdop": fix.hdop,
            "blade": fix.blade,
        }
        message["fix"] = {name: part for name, part in parts.items() if part is not None}
    return message
