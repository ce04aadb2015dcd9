"""Quality tests of positions: location and speed."""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats, Times
from detectors.flags import Flag
from detectors.parameters import Parameters, check_number

_EARTH_RADIUS_M: Final = 6_371_008.8


@dataclass(frozen=True)
class Location(Parameters):
    """Where a fix can be.

    Attributes
    ----------
    most_m : float, optional
        A fix further than this from the one before is suspect. None: not looked at.
    """

    kind: ClassVar[str] = "location"

    most_m: float | None = None

    def __post_init__(self) -> None:
        if self.most_m is not None:
            check_number("most_m", self.most_m, above=0.0)


@dataclass(frozen=True)
class Speed(Parameters):
    """How fast a vehicle can be between two fixes.

    Attributes
    ----------
    suspect_kmh, fail_kmh : float
        No plow drives 110 km/h.
    """

    kind: ClassVar[str] = "speed"

    suspect_kmh: float = 90.0
    fail_kmh: float = 110.0

    def __post_init__(self) -> None:
        low = check_number("suspect_kmh", self.suspect_kmh, above=0.0)
        check_number("fail_kmh", self.fail_kmh, least=low)


def distance_m(lat0: Floats, lon0: Floats, lat1: Floats, lon1: Floats) -> Floats:
    """Great-circle distance on the mean sphere; 0.5% off the ellipsoid's at worst.

    Parameters
    ----------
    lat0, lon0, lat1, lon1 : float64[n]
        Degrees; NaN: missing.

    Returns
    -------
    float64[n]
        Metres; NaN where a coordinate is missing.

    Notes
    -----
    Haversine.
    """
    phi0, phi1 = np.radians(lat0), np.radians(lat1)
    half = np.sin((phi1 - phi0) / 2.0) ** 2
    half = half + np.cos(phi0) * np.cos(phi1) * np.sin(np.radians(lon1 - lon0) / 2.0) ** 2
    metres: Floats = 2.0 * _EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))
    return metres


def location_flags(rule: Location, lat: Floats, lon: Floats, moved_m: Floats) -> NDArray[np.uint8]:
    """Flag fixes by where they are.

    Parameters
    ----------
    lat, lon : float64[n]
        Degrees; NaN: missing.
    moved_m : float64[n]
        Distance from the fix before; NaN: there is none.

    Returns
    -------
    uint8[n]
        Both missing: MISSING. One missing, or no place on Earth: FAIL.
    """
    flag = np.full(len(lat), Flag.GOOD, np.uint8)
    if rule.most_m is not None:
        flag[moved_m > rule.most_m] = Flag.SUSPECT
    flag[(np.abs(lat) > 90.0) | (np.abs(lon) > 180.0)] = Flag.FAIL
    flag[np.isnan(lat) | np.isnan(lon)] = Flag.FAIL
    flag[np.isnan(lat) & np.isnan(lon)] = Flag.MISSING
    return flag


def speed_flags(rule: Speed, dt_ms: Times, moved_m: Floats) -> NDArray[np.uint8]:
    """Flag fixes by the speed that they imply.

    Parameters
    ----------
    dt_ms : int64[n]
        Since the fix before.
    moved_m : float64[n]
        NaN: there is none before, or one of the two has no place.

    Returns
    -------
    uint8[n]
        NOT_EVALUATED for the first; SUSPECT where it moved in no time.
    """
    known = ~np.isnan(moved_m)
    moving = known & (dt_ms > 0)
    kmh = np.divide(moved_m * 3600.0, dt_ms, out=np.zeros(len(dt_ms)), where=moving)
    flag = np.where(known, np.uint8(Flag.GOOD), np.uint8(Flag.NOT_EVALUATED))
    flag[kmh > rule.suspect_kmh] = Flag.SUSPECT
    flag[kmh > rule.fail_kmh] = Flag.FAIL
    flag[known & (dt_ms <= 0) & (moved_m > 0.0)] = Flag.SUSPECT
    return flag
