"""Quality tests that look back over hours: attenuated signal, scatter, flat lines with a tolerance.

They run in a job once an hour on stored series and make a new revision; a flag that was given in
real time is never rewritten by them.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats, Index, Times
from detectors.flags import Flag
from detectors.parameters import Parameters, check_number
from detectors.quality import FlatLine


@dataclass(frozen=True)
class Attenuated(Parameters):
    """A signal that has lost its life: fouled probe, clogged pipe, iced float.

    Attributes
    ----------
    suspect_below, fail_below : float
        Range (highest less lowest) over the window under which the flag is 3, 4.
    window_s : float
    """

    kind: ClassVar[str] = "attenuated"

    suspect_below: float
    fail_below: float
    window_s: float = 12 * 3600.0

    def __post_init__(self) -> None:
        low = check_number("fail_below", self.fail_below, least=0.0)
        check_number("suspect_below", self.suspect_below, least=low)
        check_number("window_s", self.window_s, above=0.0)


@dataclass(frozen=True)
class StepAgainstScatter(Parameters):
    """Rate of change B: a step larger than so many standard deviations of the window before it.

    Attributes
    ----------
    deviations : float
        QARTOD's 3.
    window_s : float
        QARTOD's 25 hours: one tide, or one day of a pond, with a margin.
    """

    kind: ClassVar[str] = "step_against_scatter"

    deviations: float = 3.0
    window_s: float = 25 * 3600.0

    def __post_init__(self) -> None:
        check_number("deviations", self.deviations, above=0.0)
        check_number("window_s", self.window_s, above=0.0)


def _windows(
    time_ms: Times, value: Floats, at: Index, window_s: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Values of [t - window, t] of each row `at`, NaN beside them; whether the window is full.

    Full: a reading lies at or before its beginning.
    """
    begin = np.searchsorted(time_ms, time_ms[at] - round(window_s * 1000.0), side="left")
    at_edge = time_ms[begin] == time_ms[at] - round(window_s * 1000.0)
    width = int((at - begin).max(initial=0)) + 1
    back = at[:, None] - np.arange(width)
    inside = back >= begin[:, None]
    return np.where(inside, value[np.maximum(back, 0)], np.nan), (begin > 0) | at_edge


def attenuated(rule: Attenuated, time_ms: Times, value: Floats, at: Index) -> NDArray[np.uint8]:
    """Flag rows of one series whose window hardly moves.

    Parameters
    ----------
    rule : Attenuated
    time_ms : int64[n]
        Ascending.
    value : float64[n]
    at : int64[m]
        Rows to judge.

    Returns
    -------
    uint8[m]
        NOT_EVALUATED until the window is full; MISSING where the row is.
    """
    window, full = _windows(time_ms, value, at, rule.window_s)
    there = np.isfinite(window)
    high = np.where(there, window, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(there, window, np.inf).min(axis=1, initial=np.inf)
    judged = full & (np.count_nonzero(there, axis=1) >= 3)
    span = np.where(judged, high, 0.0) - np.where(judged, low, 0.0)
    flag = np.where(span < rule.suspect_below, Flag.SUSPECT, Flag.GOOD)
    flag = np.where(span < rule.fail_below, Flag.FAIL, flag)
    flag = np.where(judged, flag, Flag.NOT_EVALUATED)
    return np.where(np.isnan(value[at]), Flag.MISSING, flag).astype(np.uint8)


def flat_line(rule: FlatLine, time_ms: Times, value: Floats, at: Index) -> NDArray[np.uint8]:
    """Flag rows of one series that have stayed within a tolerance for too long.

    In real time the core compares for equality, which is the same while the tolerance does not
    exceed the instrument's resolution; this looks at the whole window and takes any tolerance.

    Returns
    -------
    uint8[m]
        As the flat line test in real time: GOOD until a window is full and flat; MISSING where
        the row is.

    Notes
    -----
    Flat: range over [t - T, t] < tolerance, absolute, at least three readings, none missing. A
    tolerance of 0 flags nothing, as in ioos_qc: use the instrument's resolution.
    """
    flag = np.full(len(at), Flag.GOOD, np.uint8)
    limits = [(rule.suspect_s, Flag.SUSPECT)]
    if rule.fail_s is not None:
        limits.append((rule.fail_s, Flag.FAIL))
    for window_s, verdict in limits:
        window, full = _windows(time_ms, value, at, window_s)
        there = np.isfinite(window)
        high = np.where(there, window, -np.inf).max(axis=1, initial=-np.inf)
        low = np.where(there, window, np.inf).min(axis=1, initial=np.inf)
        begin = np.searchsorted(time_ms, time_ms[at] - round(window_s * 1000.0), side="left")
        whole = np.count_nonzero(there, axis=1) == at - begin + 1
        judged = full & whole & (at - begin >= 2)
        span = np.where(judged, high, np.inf) - np.where(judged, low, 0.0)
        flag[span < rule.tolerance] = verdict
    flag[np.isnan(value[at])] = Flag.MISSING
    return flag


def step_against_scatter(
    rule: StepAgainstScatter, time_ms: Times, value: Floats, at: Index
) -> NDArray[np.uint8]:
    """Flag rows of one series that step further than the window's scatter allows.

    Returns
    -------
    uint8[m]
        NOT_EVALUATED first, after a missing reading, and until the window before it is full.

    Notes
    -----
    The standard deviation is that of the window before the row (n - 1), by two passes of
    sequential sums: a prefix-sum difference would round by the series' position.
    """
    prev = np.maximum(at - 1, 0)
    window, full = _windows(time_ms, value, prev, rule.window_s)
    there = np.isfinite(window)
    count = np.count_nonzero(there, axis=1)
    judged = full & (count >= 3) & (at > 0) & np.isfinite(value[at]) & np.isfinite(value[prev])
    total = np.zeros(len(at))
    for k in range(window.shape[1]):
        total += np.where(there[:, k], window[:, k], 0.0)
    mean = total / np.maximum(count, 1)
    squares = np.zeros(len(at))
    for k in range(window.shape[1]):
        off = np.where(there[:, k], window[:, k] - mean, 0.0)
        squares += off * off
    sd = np.sqrt(squares / np.maximum(count - 1, 1))
    step = np.abs(np.where(judged, value[at], 0.0) - np.where(judged, value[prev], 0.0))
    flag = np.where(step > rule.deviations * sd, Flag.SUSPECT, Flag.GOOD)
    flag = np.where(judged, flag, Flag.NOT_EVALUATED)
    return np.where(np.isnan(value[at]), Flag.MISSING, flag).astype(np.uint8)
