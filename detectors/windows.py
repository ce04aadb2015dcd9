"""Extremes and scatter of windows that end at each reading of one series, however irregular.

A window of w readings is put together from runs of 1, 2, 4, ... readings counted from its own
beginning: log2(w) steps over the series instead of w, and a result that depends on the readings in
the window alone, bit for bit, and not on where the series was cut.
"""

import numpy as np

from detectors.arrays import Floats, Index, Times


def window_begin(time_ms: Times, at: Index, window_s: float) -> tuple[Index, Index]:
    """First reading of [t - window, t] of each row `at`, and whether the window is full.

    Parameters
    ----------
    time_ms : int64[n]
        Ascending.
    at : int64[m]
    window_s : float

    Returns
    -------
    int64[m], bool[m]
        Full: a reading lies at or before the window's beginning.
    """
    edge_ms = time_ms[at] - round(window_s * 1000.0)
    begin = np.searchsorted(time_ms, edge_ms, side="left")
    return begin, (begin > 0) | (time_ms[begin] == edge_ms)


def extremes(value: Floats, begin: Index, last: Index) -> tuple[Index, Floats, Floats]:
    """Count, lowest and highest of the finite values of windows [begin, last].

    Parameters
    ----------
    value : float64[n]
        NaN and infinities are left out.
    begin, last : int64[m]
        Both included.

    Returns
    -------
    int64[m], float64[m], float64[m]
        inf and -inf where a window has no finite value.

    Examples
    --------
    >>> begin, last = np.array([0, 1]), np.array([2, 1])
    >>> [found.tolist() for found in extremes(np.array([1.0, np.nan, 3.0]), begin, last)]
    [[2, 0], [1.0, inf], [3.0, -inf]]
    """
    there = np.isfinite(value)
    run = [there.astype(np.int64), np.where(there, value, np.inf), np.where(there, value, -np.inf)]
    found = [np.zeros(len(begin), np.int64), np.full(len(begin), np.inf)]
    found.append(np.full(len(begin), -np.inf))
    joins = (np.add, np.minimum, np.maximum)
    place, left, step = begin.copy(), last - begin + 1, 1
    while True:
        odd = np.flatnonzero(left & 1)
        for join, part, whole in zip(joins, run, found, strict=True):
            whole[odd] = join(whole[odd], part[place[odd]])
        place[odd] += step
        left = left >> 1
        if not left.any():
            return found[0], found[1], found[2]
        run = [join(part[:-step], part[step:]) for join, part in zip(joins, run, strict=True)]
        step *= 2


def scatter(value: Floats, begin: Index, last: Index) -> tuple[Index, Floats]:
    """Count and standard deviation (n - 1) of the finite values of windows [begin, last].

    Parameters
    ----------
    value : float64[n]
        NaN and infinities are left out.
    begin, last : int64[m]
        Both included; an empty window has last = begin - 1.

    Returns
    -------
    int64[m], float64[m]
        0 with fewer than two values, and exactly 0 where all are equal.

    Notes
    -----
    Two runs are joined by their counts, means and sums of squared deviations: M = Ma + Mb +
    d^2 na nb / n, d the difference of the means. No sum of squares is taken of raw values, so
    that nothing cancels.

    References
    ----------
    Chan, Golub, LeVeque (1983): Algorithms for computing the sample variance.
    """
    there = np.isfinite(value)
    run = (there.astype(np.float64), np.where(there, value, 0.0), np.zeros(len(value)))
    found = (np.zeros(len(begin)), np.zeros(len(begin)), np.zeros(len(begin)))
    place, left, step = begin.copy(), last - begin + 1, 1
    while True:
        odd = np.flatnonzero(left & 1)
        joined = _join([a[odd] for a in found], [a[place[odd]] for a in run])
        for whole, part in zip(found, joined, strict=True):
            whole[odd] = part
        place[odd] += step
        left = left >> 1
        if not left.any():
            break
        run = _join([a[:-step] for a in run], [a[step:] for a in run])
        step *= 2
    count, _, squares = found
    return count.astype(np.int64), np.sqrt(squares / np.maximum(count - 1.0, 1.0))


def _join(one: list[Floats], other: list[Floats]) -> tuple[Floats, Floats, Floats]:
    (na, mean_a, sq_a), (nb, mean_b, sq_b) = one, other
    n = na + nb
    share = nb / np.maximum(n, 1.0)
    # Beyond 1e154 a square is infinite: no step stands out of such a scatter.
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.where((na > 0.0) & (nb > 0.0), mean_b - mean_a, 0.0)
        squares = sq_a + sq_b + apart * apart * na * share
    return n, np.where(na > 0.0, mean_a + apart * share, mean_b), squares
