"""A pond's own usual day: what a probe showed at the same hour of the days before.

Ponds cycle every day: a fixed limit on the rate of pH or temperature would call at every sunrise.
So changes are judged against the median of the same hour of the last seven days.
"""

from typing import Final

import numpy as np

from detectors.arrays import Floats, Index, Times

BASELINE_DAYS: Final = 7
LEAST_DAYS: Final = 3
HOUR_MS: Final = 3_600_000
# How far back a usual value looks: seven days, the half hour of an interpolation, and its hour.
LOOK_BACK_MS: Final = (BASELINE_DAYS * 24 + 2) * HOUR_MS


def hourly_medians(times_ms: Times, values: Floats, first_hour: int, hours: int) -> Floats:
    """Median of each hour's readings.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    values : float64[n]
        Without NaN.
    first_hour : int
        Hours since 1970 of the first result.
    hours : int

    Returns
    -------
    float64[hours]
        NaN where an hour has no reading.
    """
    hour = times_ms // HOUR_MS - first_hour
    order = np.lexsort((values, hour))
    edges = np.searchsorted(hour[order], np.arange(hours + 1))
    count = np.diff(edges)
    some = np.flatnonzero(count)
    medians = np.full(hours, np.nan)
    ordered = values[order]
    low = ordered[edges[some] + ((count[some] - 1) >> 1)]
    high = ordered[edges[some] + (count[some] >> 1)]
    medians[some] = (low + high) / 2.0
    return medians


def usual_hours(medians: Floats) -> Floats:
    """Usual value of each hour: the median of the same hour of the seven days before.

    Parameters
    ----------
    medians : float64[n]
        Of consecutive hours; NaN where an hour has none.

    Returns
    -------
    float64[n]
        NaN where fewer than three of the seven days have that hour: nothing is usual yet.
    """
    before = np.full((BASELINE_DAYS, len(medians)), np.nan)
    for day in range(1, BASELINE_DAYS + 1):
        before[day - 1, 24 * day :] = medians[: max(len(medians) - 24 * day, 0)]
    days: Index = np.count_nonzero(~np.isnan(before), axis=0)
    ordered = np.sort(before, axis=0)  # NaN last
    column = np.arange(len(medians))
    low = ordered[np.maximum(days - 1, 0) >> 1, column]
    high = ordered[np.minimum(days >> 1, BASELINE_DAYS - 1), column]
    return np.where(days >= LEAST_DAYS, (low + high) / 2.0, np.nan)


def usual(times_ms: Times, values: Floats, at_ms: Times) -> Floats:
    """Usual value of each moment, from the readings of the seven days before it.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending; from `LOOK_BACK_MS` before the first of `at_ms` on, where there are any.
    values : float64[n]
        Without NaN.
    at_ms : int64[m]

    Returns
    -------
    float64[m]
        Between the middles of two hours a straight line: steps from hour to hour would look like
        changes of the water. NaN where one of the two hours has nothing usual.
    """
    if not len(times_ms) or not len(at_ms):
        return np.full(len(at_ms), np.nan)
    half = HOUR_MS // 2
    hour = (at_ms - half) // HOUR_MS
    first = int(hour.min()) - 24 * BASELINE_DAYS
    hours = int(hour.max()) + 2 - first
    inside = (times_ms >= first * HOUR_MS) & (times_ms < (first + hours) * HOUR_MS)
    known = usual_hours(hourly_medians(times_ms[inside], values[inside], first, hours))
    part = (at_ms - half - hour * HOUR_MS) / HOUR_MS
    low, high = known[hour - first], known[hour - first + 1]
    line: Floats = low + part * (high - low)
    return line
