"""Rate of rise: guarded least squares over short irregular windows, many windows at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from detectors.arrays import Bools, Floats, Index, count_true, some_of

# Residuals beyond 3.5 robust standard deviations are dropped, but never within 3 cm of the line:
# ripples and the instrument's resolution are not outliers.
OUTLIER_MADS: Final = 3.5 * 1.4826
LEAST_POINTS: Final = 4
# In the unit of the value: metres of water.
OUTLIER_FLOOR: Final = 0.03


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


def _network(width: int) -> tuple[tuple[int, int], ...]:
    """Batcher's odd-even merge sort: the pairs to put in order, for a power of two."""
    pairs = []
    p = 1
    while p < width:
        k = p
        while k >= 1:
            for j in range(k % p, width - k, 2 * k):
                pairs += [
                    (i + j, i + j + k)
                    for i in range(min(k, width - j - k))
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p)
                ]
            k //= 2
        p *= 2
    return tuple(pairs)


# A network for 16 also sorts fewer: what is absent counts as +inf and stays at the end.
_NETWORK: Final = _network(16)
# Below this many windows sorting each column is cheaper than a network of whole-row operations.
_FEW: Final = 400


@lru_cache
def _selection(width: int, low: int, high: int) -> tuple[tuple[int, int, bool, bool], ...]:
    """Pairs of the network that the ranks `low` to `high` of `width` rows depend on.

    Returns
    -------
    tuple of (int, int, bool, bool)
        Two rows, and whether the smaller and the larger of each two values are needed.
    """
    needed = set(range(low, high + 1))
    steps = []
    for first, second in reversed(_NETWORK):
        if second < width and (first in needed or second in needed):
            steps.append((first, second, first in needed, second in needed))
            needed |= {first, second}
    return tuple(reversed(steps))


def _ranks(rows: Floats, low: int, high: int) -> Sequence[Floats]:
    """Ranks `low` to `high` of each column; the same result either way, sorting does not round.

    The rows are used up.
    """
    width, n = rows.shape
    if n < _FEW or width > 16:
        rows.sort(axis=0)
        return list(rows[low : high + 1])
    ordered = list(rows)
    spare = np.empty(n)
    for first, second, smaller, larger in _selection(width, low, high):
        a, b = ordered[first], ordered[second]
        if not larger:
            np.minimum(a, b, out=a)
        elif not smaller:
            np.maximum(a, b, out=b)
        else:
            np.minimum(a, b, out=spare)
            np.maximum(a, b, out=b)
            ordered[first], spare = spare, a
    return ordered[low : high + 1]


def _median(rows: Floats, count: Index, least: int, most: int) -> Floats:
    """Median of the first `count` entries of each column; the others must be +inf.

    The counts are from `least` to `most`. The rows are used up.
    """
    low = (least - 1) >> 1
    ranks = _ranks(rows, low, most >> 1)
    if least == most:
        alike: Floats = (ranks[0] + ranks[-1]) / 2.0
        return alike
    at = np.arange(len(count))
    near = np.stack(ranks)
    middle: Floats = (near[((count - 1) >> 1) - low, at] + near[(count >> 1) - low, at]) / 2.0
    return middle


def guarded_slopes(
    hours: Floats,
    values: Floats,
    usable: Bools,
    noise: Floats,
    inflation: Floats,
    outlier_floor: Floats | float = OUTLIER_FLOOR,
) -> Slopes:
    """Fit a line to each window after dropping its outliers.

    Parameters
    ----------
    hours : float64[w, n]
        Times before the newest reading (row 0), hours, so row 0 is 0 and the others are negative
        and descending. Windows are columns: each operation runs along contiguous rows.
    values : float64[w, n]
        Values minus the newest value. Centring before anything is squared keeps the digits.
    usable : bool[w, n]
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
    n = values.shape[1]
    count = count_true(usable)
    some = (count >= LEAST_POINTS).nonzero()[0]
    if not len(some):
        return Slopes(np.full(n, np.nan), np.full(n, np.nan))
    if len(some) < n:
        hours, values, usable, count = hours[:, some], values[:, some], usable[:, some], count[some]
        noise, inflation = some_of(noise, some), some_of(inflation, some)
        if isinstance(outlier_floor, np.ndarray):
            outlier_floor = outlier_floor[some]
    least, most = int(count.min()), int(count.max())
    full = least == len(values)
    if not full:
        hours, values, usable = _close_holes(hours, values, usable, count, most)

    first_guess = _half_lag_slope(hours, values, count, least, most)
    residual = np.subtract(values, first_guess * hours)
    if not full:
        residual[~usable] = np.inf
    residual -= _median(residual.copy(), count, least, most)
    off = np.abs(residual, out=residual)
    bound = np.maximum(OUTLIER_MADS * _median(off.copy(), count, least, most), outlier_floor)
    fit = _least_squares(hours, values, off <= bound, noise, inflation)
    if len(some) == n:
        return fit
    per_h, error = np.full(n, np.nan), np.full(n, np.nan)
    per_h[some], error[some] = fit.per_h, fit.error
    return Slopes(per_h, error)


def _half_lag_slope(hours: Floats, values: Floats, count: Index, least: int, most: int) -> Floats:
    """Median slope of the pairs of points that are half a window apart."""
    width, half = len(hours), count >> 1
    pairs, least_pairs, most_pairs = count - half, least - (least >> 1), most - (most >> 1)
    if least == width:  # all windows are full: the partners stand in whole rows
        lags = width - width // 2
        run = hours[:lags] - hours[width // 2 :]
        rise = values[:lags] - values[width // 2 :]
        return _median(np.divide(rise, run, out=rise), pairs, least_pairs, most_pairs)
    lag = np.arange((width + 1) // 2)[:, None]
    partner = np.minimum(lag + half, width - 1), np.arange(len(count))
    paired = lag < pairs
    run = np.where(paired, hours[: len(lag)] - hours[partner], 1.0)
    rise = values[: len(lag)] - values[partner]
    return _median(np.where(paired, rise / run, np.inf), pairs, least_pairs, most_pairs)


def _close_holes(
    hours: Floats, values: Floats, usable: Bools, count: Index, used: int
) -> tuple[Floats, Floats, Bools]:
    """Move the usable points of each column to its top, newest first; unusable ones become 0.

    Rows that are then used nowhere, beyond the first `used`, are cut off.
    """
    dense = np.arange(len(values))[:, None] < count
    holed = (usable != dense).any(axis=0).nonzero()[0]
    hours, values = np.where(usable, hours, 0.0), np.where(usable, values, 0.0)
    if len(holed):
        order = np.argsort(~usable[:, holed], axis=0, kind="stable")
        hours[:, holed] = np.take_along_axis(hours[:, holed], order, axis=0)
        values[:, holed] = np.take_along_axis(values[:, holed], order, axis=0)
    return hours[:used], values[:used], dense[:used]


def _least_squares(
    hours: Floats, values: Floats, keep: Bools, noise: Floats, inflation: Floats
) -> Slopes:
    weight = keep.astype(np.float64)
    points = count_true(keep).astype(np.float64)
    enough = points >= LEAST_POINTS
    safe = np.where(enough, points, 1.0)
    dt = hours - _inner(weight, hours) / safe
    dt *= weight
    dv = values - _inner(weight, values) / safe
    dv *= weight
    sxx, sxy = _inner(dt, dt), _inner(dt, dv)
    enough &= sxx > 0.0
    sxx = np.where(enough, sxx, 1.0)
    slope = sxy / sxx
    dt *= slope
    dv -= dt
    variance = np.maximum(_inner(dv, dv) / np.maximum(points - 2.0, 1.0), noise * noise)
    error = inflation * np.sqrt(variance / sxx)
    return Slopes(np.where(enough, slope, np.nan), np.where(enough, error, np.nan))


def _inner(a: Floats, b: Floats) -> Floats:
    """Sum of products of each column, added up from 0 in the order of the rows.

    `accumulate` adds in that order by definition, unlike `sum`, and is faster for few columns. It
    begins with the first product and not with 0, which shows where all of them are -0.
    """
    n = a.shape[1]
    if n < _FEW:
        in_order: Floats = np.add.accumulate(a * b, axis=0)[-1] + 0.0
        return in_order
    total, part = np.zeros(n), np.empty(n)
    for one, other in zip(a, b, strict=True):
        total += np.multiply(one, other, out=part)
    return total
