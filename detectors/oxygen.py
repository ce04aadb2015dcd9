"""A pond's oxygen: whether it lasts until the sun rises, and whether warm water has enough."""

import math
from typing import Final

import numpy as np

from detectors.arrays import Floats, Times
from detectors.slope import guarded_slopes
from detectors.window import newest

# A one-sided 80% bound of a normal distribution is 0.8416 standard deviations off.
_Z_ONE_SIDED_80: Final = 0.8416212335729143
# The slope rests on the newest reading of each quarter of an hour of the last three [J].
_STEP_MS: Final = 900_000
_STEPS: Final = 12
LOOK_BACK_MS: Final = _STEP_MS * _STEPS
# Standard deviation of an oxygen probe's reading, and how alike successive errors are [J].
NOISE_MG_L: Final = 0.1
_INFLATION: Final = math.sqrt(1.3 / 0.7)
# Carp need more oxygen in warm water, which holds less [J].
WARM_C: Final = 28.0
WARM_NEED_MG_L: Final = 5.0


def least_until_sunrise(times_ms: Times, oxygen: Floats, hours_to_sunrise: Floats) -> Floats:
    """Least oxygen that a pond may have until the sun rises.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    oxygen : float64[n]
        mg/L, without NaN.
    hours_to_sunrise : float64[n]
        NaN by day, when plants make oxygen.

    Returns
    -------
    float64[n]
        By night the lower of the oxygen now and the lower 80% bound of oxygen + slope * hours, not
        below 0; NaN where fewer than four quarters of the last three hours have a reading. By day
        the oxygen itself: with the sunrise nothing is forecast any more.
    """
    out = oxygen.copy()
    night = np.flatnonzero(~np.isnan(hours_to_sunrise))
    if not len(night):
        return out
    hours, rise, usable = (np.zeros((_STEPS, len(night)), kind) for kind in (float, float, bool))
    for step in range(_STEPS):
        at_ms = times_ms[night] - step * _STEP_MS
        place = newest(times_ms, at_ms, _STEP_MS - 1)
        there = np.maximum(place, 0)
        usable[step] = place >= 0
        hours[step] = np.where(usable[step], (times_ms[there] - times_ms[night]) / 3.6e6, 0.0)
        rise[step] = np.where(usable[step], oxygen[there] - oxygen[night], 0.0)
    noise = np.full(len(night), NOISE_MG_L)
    slopes = guarded_slopes(
        hours, rise, usable, noise, np.full(len(night), _INFLATION), 3.0 * NOISE_MG_L
    )
    ahead = hours_to_sunrise[night]
    scatter = np.sqrt(noise * noise + (slopes.error * ahead) ** 2)
    bound = oxygen[night] + slopes.per_h * ahead - _Z_ONE_SIDED_80 * scatter
    out[night] = np.minimum(oxygen[night], np.maximum(bound, 0.0))
    return out


def warm_shortage(oxygen: Floats, temperature_c: Floats) -> Floats:
    """Oxygen that is missing to `WARM_NEED_MG_L` while the water is warmer than `WARM_C`.

    Parameters
    ----------
    oxygen : float64[n]
        mg/L; NaN: missing.
    temperature_c : float64[n]
        At the same times; NaN: missing.

    Returns
    -------
    float64[n]
        mg/L, 0 where nothing is missing or the water is cooler; NaN where either is missing.
    """
    short = np.where(temperature_c > WARM_C, np.maximum(WARM_NEED_MG_L - oxygen, 0.0), 0.0)
    return np.where(np.isnan(oxygen) | np.isnan(temperature_c), np.nan, short)
