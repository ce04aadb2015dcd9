"""What a pond's temperature and pH do beyond the pond's own usual day.

All series here are without missing values, in order of time, and a result looks at nothing that
is later: so a value is final as soon as all readings up to it are stored.
"""

from typing import Final

import numpy as np

from detectors.arrays import Floats, Times
from detectors.usual import HOUR_MS
from detectors.window import extremes

# Three readings that confirm each other lie within so much time.
CONFIRM_MS: Final = 2 * HOUR_MS
DAY_MS: Final = 24 * HOUR_MS
# Hours of the last 24 that must have readings before a day's swing is known [J].
LEAST_HOURS: Final = 12


def confirmed(times_ms: Times, values: Floats, within_ms: int = CONFIRM_MS) -> Floats:
    """Median of each reading and the two before it: a single odd value does not count.

    A change shows with the second reading that has it. Where the readings lie further apart than
    `within_ms` each one counts.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    values : float64[n]
        Without NaN.
    within_ms : int

    Returns
    -------
    float64[n]
    """
    out = values.copy()
    if len(values) < 3:
        return out
    now, one, two = values[2:], values[1:-1], values[:-2]
    median = np.maximum(np.minimum(now, one), np.minimum(np.maximum(now, one), two))
    near = times_ms[2:] - times_ms[:-2] <= within_ms
    out[2:] = np.where(near, median, now)
    return out


def change_within(times_ms: Times, values: Floats, span_ms: int) -> Floats:
    """How far each value stands from the furthest value of a span of time before it.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    values : float64[n]
        Without NaN.
    span_ms : int

    Returns
    -------
    float64[n]
        Never negative; NaN where there is no other reading in the span.
    """
    last = np.arange(len(times_ms))
    first = np.searchsorted(times_ms, times_ms - span_ms).astype(np.int64)
    low, high = extremes(values, first, last)
    change = np.maximum(values - low, high - values)
    return np.where(first == last, np.nan, change)


def change_beyond_usual(times_ms: Times, values: Floats, usual: Floats, span_ms: int) -> Floats:
    """Change within a span of time beyond what the usual day does.

    Carp do not mind the sun: of a pond that warms by 8 degC every day nothing is told. Drops of 7
    to 11 degC stress carp within 20 minutes (Tanck 2000); koi keepers change 3 degC at most.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    values : float64[n]
        Without NaN.
    usual : float64[n]
        As `detectors.usual.usual` gives it, NaN where nothing is usual yet.
    span_ms : int

    Returns
    -------
    float64[n]
        In the values' unit, never negative; NaN where there is no usual value or no other reading
        in the span that has one.
    """
    known = ~np.isnan(usual)
    out = np.full(len(values), np.nan)
    beyond = values[known] - usual[known]
    out[known] = change_within(times_ms[known], beyond, span_ms)
    return out


def daily_swing(times_ms: Times, values: Floats) -> Floats:
    """Highest less lowest value of the last 24 hours.

    Ponds in bloom swing from pH 7.5 to 9.5 every day (Boyd and Fast 1992).

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    values : float64[n]
        Without NaN.

    Returns
    -------
    float64[n]
        NaN where fewer than `LEAST_HOURS` of the 24 hours have readings: half a day does not show
        how far the whole one swings.
    """
    if not len(values):
        return values.copy()
    last = np.arange(len(times_ms))
    first = np.searchsorted(times_ms, times_ms - DAY_MS, side="right").astype(np.int64)
    low, high = extremes(values, first, last)
    new_hour = np.ones(len(times_ms), np.int64)
    new_hour[1:] = np.diff(times_ms // HOUR_MS) != 0
    begun = np.cumsum(new_hour)
    hours = begun[last] - begun[first] + 1
    return np.where(hours >= LEAST_HOURS, high - low, np.nan)
