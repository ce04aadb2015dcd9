"""Rate of rise: guarded least squares over short irregular windows, many windows at once."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from detectors.arrays import Bools, Floats, Index

# Residuals beyond 3.5 robust standard deviations are dropped, but never within 3 cm of the line:
# ripples and the instrument's resolution are not outliers.
_OUTLIER_MADS: Final = 3.5 * 1.4826
_LEAST_POINTS: Final = 4


@dataclass(frozen=True, eq=False)
class Slopes:
    """Slopes of n windows.

    Attributes
    ----------
    per_h : float64[n]
        Unit of the value per hour; NaN where fewer than four points support it.
    error : float64[n]
        Its standard error, same unit.
    """

    per_h: Floats
    error: Floats


def _median(rows: Floats, count: Index) -> Floats:
    """Median of the first `count` entries of each row; the others must be +inf."""
    ordered = np.sort(rows, axis=1)
    at = np.arange(len(rows))
    middle: Floats = (ordered[at, (count - 1) >> 1] + ordered[at, count >> 1]) / 2.0
    return middle


def guarded_slopes(
    hours: Floats,
    values: Floats,
    usable: Bools,
    noise: Floats,
    inflation: Floats,
    outlier_floor: Floats | float = 0.03,
) -> Slopes:
    """Fit a line to each window after dropping its outliers.

    Parameters
    ----------
    hours : float64[n, w]
        Times before the newest reading (column 0), hours, so column 0 is 0 and the others are
        negative and descending.
    values : float64[n, w]
        Values minus the newest value. Centring before anything is squared keeps the digits.
    usable : bool[n, w]
        False: missing, or outside the window.
    noise : float64[n]
        Floor under the residual standard deviation.
    inflation : float64[n]
        sqrt((1 + a) / (1 - a)) for errors with autocorrelation a.
    outlier_floor : float or float64[n]
        Residuals up to here are always kept.

    Returns
    -------
    Slopes

    Notes
    -----
    b0 = median of the slopes of pairs half a window apart; residuals r = v - b0 t; a point is
    dropped where |r - median r| > max(3.5 * 1.4826 * MAD, floor); least squares on the rest;
    error = inflation * sqrt(max(RSS / (m - 2), noise^2) / Sxx). Fewer than four points before
    or after dropping: not evaluated.

    Sums run in an explicit loop over the window, so that the result of a row does not depend on
    how many rows stand beside it.
    """
    n, width = values.shape
    per_h, error = np.full(n, np.nan), np.full(n, np.nan)
    count = np.count_nonzero(usable, axis=1)
    rows = np.flatnonzero(count >= _LEAST_POINTS)
    if not len(rows):
        return Slopes(per_h, error)
    if len(rows) < n:
        hours, values, usable, count = hours[rows], values[rows], usable[rows], count[rows]
        noise, inflation = noise[rows], inflation[rows]
        if isinstance(outlier_floor, np.ndarray):
            outlier_floor = outlier_floor[rows]
    hours, values, usable = _close_holes(hours, values, usable, count)
    count = count.astype(np.int64)

    half = count >> 1
    lag = np.arange((width + 1) // 2)
    partner = np.minimum(lag[None, :] + half[:, None], width - 1)
    run = hours[:, : len(lag)] - np.take_along_axis(hours, partner, axis=1)
    rise = values[:, : len(lag)] - np.take_along_axis(values, partner, axis=1)
    paired = lag[None, :] < (count - half)[:, None]
    pairs = np.divide(rise, run, out=np.full(run.shape, np.inf), where=paired)
    first_guess = _median(pairs, count - half)

    residual = np.where(usable, values - first_guess[:, None] * hours, np.inf)
    off = np.where(usable, np.abs(residual - _median(residual, count)[:, None]), np.inf)
    bound = np.maximum(_OUTLIER_MADS * _median(off, count), outlier_floor)
    keep = off <= bound[:, None]

    fit, fit_error = _least_squares(hours, values, keep, noise, inflation)
    per_h[rows], error[rows] = fit, fit_error
    return Slopes(per_h, error)


def _close_holes(
    hours: Floats, values: Floats, usable: Bools, count: Index
) -> tuple[Floats, Floats, Bools]:
    """Move the usable points of each row to its front, newest first; unusable ones become 0."""
    width = values.shape[1]
    dense = np.arange(width)[None, :] < count[:, None]
    holed = np.flatnonzero((usable != dense).any(axis=1))
    hours, values = np.where(usable, hours, 0.0), np.where(usable, values, 0.0)
    if len(holed):
        order = np.argsort(~usable[holed], axis=1, kind="stable")
        hours[holed] = np.take_along_axis(hours[holed], order, axis=1)
        values[holed] = np.take_along_axis(values[holed], order, axis=1)
    return hours, values, dense


def _least_squares(
    hours: Floats, values: Floats, keep: Bools, noise: Floats, inflation: Floats
) -> tuple[Floats, Floats]:
    n, width = values.shape
    weight = keep.astype(np.float64)
    points, sum_t, sum_v = np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(width):
        points += weight[:, k]
        sum_t += weight[:, k] * hours[:, k]
        sum_v += weight[:, k] * values[:, k]
    enough = points >= _LEAST_POINTS
    safe = np.where(enough, points, 1.0)
    mean_t, mean_v = sum_t / safe, sum_v / safe
    sxx, sxy = np.zeros(n), np.zeros(n)
    for k in range(width):
        dt = weight[:, k] * (hours[:, k] - mean_t)
        sxx += dt * dt
        sxy += dt * (values[:, k] - mean_v)
    enough &= sxx > 0.0
    sxx = np.where(enough, sxx, 1.0)
    slope = sxy / sxx
    rss = np.zeros(n)
    for k in range(width):
        left = weight[:, k] * ((values[:, k] - mean_v) - slope * (hours[:, k] - mean_t))
        rss += left * left
    variance = np.maximum(rss / np.maximum(points - 2.0, 1.0), noise * noise)
    error = inflation * np.sqrt(variance / sxx)
    return np.where(enough, slope, np.nan), np.where(enough, error, np.nan)
