"""Fixes of a batch as columns, with the flags of the location and the speed test."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.flags import Flag, Test, aggregate
from detectors.track import Location, Speed, distance_m, location_flags, speed_flags
from gateway.batch import Position
from store.database import Connection
from store.positions import Positions, fixes_before


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


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


NO_POSITIONS: Final = columns(())


def held_to_speed(conn: Connection, fixes: Positions) -> Positions:
    """Flag new fixes by the speed that they imply since the fix before, in the batch or stored.

    Each is compared with its neighbour in time, also with one that failed: a lone fix that is far
    off costs itself and the next, and a first one that was far off does not condemn all others.
    """
    order = np.lexsort((fixes.time_ms, fixes.device_id))
    device, time_ms = fixes.device_id[order], fixes.time_ms[order]
    nowhere = fixes.flag[order] == Flag.FAIL
    lat = np.where(nowhere, np.nan, fixes.lat[order])
    lon = np.where(nowhere, np.nan, fixes.lon[order])
    before_ms, before_lat, before_lon = np.roll(time_ms, 1), np.roll(lat, 1), np.roll(lon, 1)
    first = np.flatnonzero(np.diff(device, prepend=-1))
    before_lat[first] = np.nan
    known, stored_ms, stored_lat, stored_lon = fixes_before(conn, device[first], time_ms[first])
    known = first[known]
    before_ms[known], before_lat[known], before_lon[known] = stored_ms, stored_lat, stored_lon
    moved_m = distance_m(before_lat, before_lon, lat, lon)
    flag, evaluated = fixes.flag.copy(), fixes.evaluated.copy()
    speed = speed_flags(Speed(), time_ms - before_ms, moved_m)
    said = speed != Flag.NOT_EVALUATED
    flag[order[said]] = aggregate(flag[order[said]], speed[said])
    evaluated[order[said]] |= Test.SPEED
    return replace(fixes, flag=flag, evaluated=evaluated)
