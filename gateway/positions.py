"""Fixes of a batch as columns, with the flags of the location test."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.flags import Test
from detectors.track import Location, location_flags
from gateway.batch import Position
from store.positions import Positions


def columns(fixes: Sequence[Position]) -> Positions:
    """Lay fixes out in columns; of two with one device and time the first stays."""
    first: dict[tuple[int, int], Position] = {}
    for fix in fixes:
        first.setdefault((fix.device_id, fix.time_ms), fix)
    kept = list(first.values())
    lat, lon = _floats([fix.lat for fix in kept]), _floats([fix.lon for fix in kept])
    return Positions(
        device_id=np.array([fix.device_id for fix in kept], np.int32),
        tenant_id=np.array([fix.tenant_id for fix in kept], np.int32),
        time_ms=np.array([fix.time_ms for fix in kept], np.int64),
        received_ms=np.array([fix.received_ms for fix in kept], np.int64),
        lat=lat,
        lon=lon,
        seq=np.array([fix.seq for fix in kept], np.int64),
        speed_kmh=_floats([fix.speed_kmh for fix in kept]),
        course_deg=_floats([fix.course_deg for fix in kept]),
        hdop=_floats([fix.hdop for fix in kept]),
        blade=np.array([-1 if fix.blade is None else int(fix.blade) for fix in kept], np.int8),
        flag=location_flags(Location(), lat, lon, np.full(len(kept), np.nan)),
        evaluated=np.full(len(kept), Test.LOCATION, np.int16),
        marks=np.array([fix.marks for fix in kept], np.int16),
    )


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
