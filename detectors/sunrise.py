"""When the sun rises over a pond: until then its oxygen only falls."""

import math
from typing import Final

import numpy as np

from detectors.arrays import Floats, Times

_DAY_MS: Final = 86_400_000
_J2000_MS: Final = 946_728_000_000  # 2000-01-01 12:00 UTC
# Upper limb at the horizon with ordinary refraction.
_ALTITUDE: Final = math.radians(-0.833)


def sunrise_ms(day: int, lat: float, lon: float) -> int | None:
    """Sunrise on a day counted from 2000-01-01.

    Parameters
    ----------
    day : int
        Days since 2000-01-01 at the place's own solar noon.
    lat, lon : float
        Degrees, north and east positive.

    Returns
    -------
    int or None
        Milliseconds since 1970 UTC, to about two minutes; None where the sun does not rise.

    Notes
    -----
    Solar mean anomaly, equation of the centre and declination by the low-precision formulas of
    the Astronomical Almanac.
    """
    noon = day - lon / 360.0
    anomaly = math.radians((357.5291 + 0.98560028 * noon) % 360.0)
    centre = 1.9148 * math.sin(anomaly) + 0.02 * math.sin(2 * anomaly)
    centre += 0.0003 * math.sin(3 * anomaly)
    longitude = math.radians((math.degrees(anomaly) + centre + 282.9372) % 360.0)
    transit = noon + 0.0053 * math.sin(anomaly) - 0.0069 * math.sin(2 * longitude)
    sin_declination = math.sin(longitude) * math.sin(math.radians(23.44))
    declination = math.asin(sin_declination)
    phi = math.radians(lat)
    cosine = (math.sin(_ALTITUDE) - math.sin(phi) * sin_declination) / (
        math.cos(phi) * math.cos(declination)
    )
    if not -1.0 <= cosine <= 1.0:
        return None
    rise = transit - math.degrees(math.acos(cosine)) / 360.0
    return _J2000_MS + round(rise * _DAY_MS)


def hours_to_sunrise(times_ms: Times, lat: float, lon: float) -> Floats:
    """Hours until the next sunrise while it is night.

    Parameters
    ----------
    times_ms : int64[n]
    lat, lon : float
        Degrees, north and east positive.

    Returns
    -------
    float64[n]
        NaN by day, and where the sun does not rise within the next two days.

    Examples
    --------
    >>> night = np.array([1_763_748_000_000])  # 2025-11-21 18:00 UTC, 03:00 in Japan
    >>> hours_to_sunrise(night, 37.4, 140.4).round(1).tolist()
    [3.4]
    """
    if not len(times_ms):
        return np.zeros(0)
    today = np.rint((times_ms - _J2000_MS) / _DAY_MS + lon / 360.0).astype(np.int64)
    days = range(int(today.min()) - 1, int(today.max()) + 3)
    found = [rise for day in days if (rise := sunrise_ms(day, lat, lon)) is not None]
    # The end of what is known: a sunrise that never comes.
    rises = np.array([*found, 1 << 62], np.int64)
    coming = rises[np.searchsorted(rises, times_ms, side="right")]
    # Night is the stretch before sunrise in which the sun is down: symmetrical about midnight.
    local = (coming - _J2000_MS) / _DAY_MS + lon / 360.0
    midnight = _J2000_MS + (np.floor(local + 0.5) - 0.5 - lon / 360.0) * _DAY_MS
    night = (coming - times_ms <= 2 * _DAY_MS) & (times_ms >= 2 * midnight - coming)
    return np.where(night, (coming - times_ms) / 3.6e6, np.nan)
