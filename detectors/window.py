"""Lowest and highest value of windows over irregular series, and values joined by time."""

import numpy as np

from detectors.arrays import Floats, Index, Times


def extremes(values: Floats, first: Index, last: Index) -> tuple[Floats, Floats]:
    """Lowest and highest value of each window.

    Parameters
    ----------
    values : float64[n]
        Without NaN.
    first, last : int64[m]
        Places in `values`, both included; first <= last.

    Returns
    -------
    float64[m], float64[m]

    Notes
    -----
    Tables of the extremes of 1, 2, 4, ... values: two overlapping entries cover any window. Exact,
    since comparing does not round.
    """
    low, high = np.empty(len(first)), np.empty(len(first))
    low_of, high_of, width = values, values, 1
    length = last - first + 1
    while len(low_of):
        fits = np.flatnonzero((length >= width) & (length < 2 * width))
        left, right = first[fits], last[fits] - width + 1
        low[fits] = np.minimum(low_of[left], low_of[right])
        high[fits] = np.maximum(high_of[left], high_of[right])
        if 2 * width > len(values):
            break
        low_of = np.minimum(low_of[:-width], low_of[width:])
        high_of = np.maximum(high_of[:-width], high_of[width:])
        width *= 2
    return low, high


def newest(times_ms: Times, at_ms: Times, within_ms: int) -> Index:
    """Place of the newest reading at each moment.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    at_ms : int64[m]
    within_ms : int

    Returns
    -------
    int64[m]
        -1 where there is none within `within_ms` before the moment or at it.
    """
    place = np.searchsorted(times_ms, at_ms, side="right").astype(np.int64) - 1
    if not len(times_ms):
        return place
    old = at_ms - times_ms[np.maximum(place, 0)] > within_ms
    return np.where(old, -1, place)


def value_at(times_ms: Times, values: Floats, at_ms: Times, within_ms: int) -> Floats:
    """Newest value at each moment.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    values : float64[n]
    at_ms : int64[m]
    within_ms : int

    Returns
    -------
    float64[m]
        NaN where none is recent enough.
    """
    if not len(times_ms):
        return np.full(len(at_ms), np.nan)
    place = newest(times_ms, at_ms, within_ms)
    found: Floats = np.where(place < 0, np.nan, values[np.maximum(place, 0)])
    return found
