"""Rate of rise of one window: `detectors.slope` in plain numbers, bit for bit."""

import math
from collections.abc import Iterable, Sequence

from detectors.slope import LEAST_POINTS, OUTLIER_FLOOR, OUTLIER_MADS

_NOTHING = (math.nan, math.nan)


def guarded_slope(
    hours: Sequence[float], values: Sequence[float], noise: float, inflation: float
) -> tuple[float, float]:
    """Fit a line to a window after dropping its outliers.

    Parameters
    ----------
    hours, values
        The usable readings relative to the newest one, newest first.
    noise, inflation
        As of `detectors.slope.guarded_slopes`.

    Returns
    -------
    (float, float)
        Slope per hour and its standard error; NaN with fewer than four points before or after
        dropping.
    """
    count = len(hours)
    if count < LEAST_POINTS:
        return _NOTHING
    half = count >> 1
    guess = _median(
        (values[k] - values[k + half]) / (hours[k] - hours[k + half]) for k in range(count - half)
    )
    residual = [v - guess * t for t, v in zip(hours, values, strict=True)]
    middle = _median(residual)
    off = [abs(r - middle) for r in residual]
    bound = max(OUTLIER_MADS * _median(off), OUTLIER_FLOOR)
    kept = [k for k in range(count) if off[k] <= bound]
    return _least_squares([hours[k] for k in kept], [values[k] for k in kept], noise, inflation)


def _least_squares(
    hours: list[float], values: list[float], noise: float, inflation: float
) -> tuple[float, float]:
    points = len(hours)
    if points < LEAST_POINTS:
        return _NOTHING
    mean_t = _sum(hours) / points
    mean_v = _sum(values) / points
    dt, dv = [t - mean_t for t in hours], [v - mean_v for v in values]
    sxx = _sum(t * t for t in dt)
    if not sxx > 0.0:
        return _NOTHING
    slope = _sum(t * v for t, v in zip(dt, dv, strict=True)) / sxx
    left = [v - t * slope for t, v in zip(dt, dv, strict=True)]
    variance = max(_sum(r * r for r in left) / (points - 2), noise * noise)
    return slope, inflation * math.sqrt(variance / sxx)


def _sum(terms: Iterable[float]) -> float:
    """Add up in order, each rounded: the built-in `sum` keeps digits from Python 3.12 on."""
    total = 0.0
    for term in terms:
        total += term
    return total


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) >> 1] + ordered[len(ordered) >> 1]) / 2.0
