"""Quality tests that look back over hours: attenuated signal, scatter, flat lines with a tolerance.

They run in a job once an hour on stored series (plateaus: once a night, since a plateau is only
known at its end) and make a new revision; a flag that was given in real time is never rewritten.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats, Index, Times
from detectors.flags import Flag, Test, aggregate
from detectors.parameters import Parameters, check_number
from detectors.quality import FlatLine
from detectors.windows import extremes, scatter, window_begin

Flags: TypeAlias = NDArray[np.uint8]


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
    smallest : float
        A step of so much or less is never suspect: where nothing moved for a day, one digit of
        the instrument would stand out.
    """

    kind: ClassVar[str] = "step_against_scatter"

    deviations: float = 3.0
    window_s: float = 25 * 3600.0
    smallest: float = 0.0

    def __post_init__(self) -> None:
        check_number("deviations", self.deviations, above=0.0)
        check_number("smallest", self.smallest, least=0.0)
        check_number("window_s", self.window_s, above=0.0)


HOURLY: Final = (Attenuated, StepAgainstScatter, FlatLine)


def look_back_s(rule: Parameters) -> float:
    """How far before a reading, or before the one before it, a test looks."""
    if isinstance(rule, FlatLine):
        return max(window_s for window_s, _ in _limits(rule))
    if isinstance(rule, Attenuated | StepAgainstScatter):
        return rule.window_s
    return 0.0


def hourly_flags(
    rules: Iterable[Parameters], time_ms: Times, value: Floats, at: Index
) -> tuple[Flags, NDArray[np.int16]]:
    """Join the verdicts of the hourly tests on rows of one series.

    Parameters
    ----------
    rules : iterable of Parameters
        Those that are no hourly test are left out; so is a flat line without a tolerance, which
        was judged exactly in real time.
    time_ms : int64[n]
        Ascending; from a reading at or before the beginning of the first row's window.
    value : float64[n]
    at : int64[m]
        Rows to judge.

    Returns
    -------
    uint8[m], int16[m]
        Flag, and mask of the tests that were evaluated.
    """
    flag = np.where(np.isnan(value[at]), Flag.MISSING, Flag.NOT_EVALUATED).astype(np.uint8)
    evaluated = np.zeros(len(at), np.int16)
    for rule in rules:
        match rule:
            case Attenuated():
                verdict, test = attenuated(rule, time_ms, value, at), Test.ATTENUATED
            case StepAgainstScatter():
                verdict, test = step_against_scatter(rule, time_ms, value, at), Test.SCATTER
            case FlatLine(tolerance=tolerance) if tolerance > 0.0:
                verdict, test = flat_line(rule, time_ms, value, at), Test.FLAT_LINE
            case _:
                continue
        flag = aggregate(flag, verdict)
        judged = (verdict != Flag.NOT_EVALUATED) & (verdict != Flag.MISSING)
        evaluated[judged] |= np.int16(test)
    return flag, evaluated


def plateau_flags(
    rules: Iterable[Parameters], time_ms: Times, value: Floats, at: Index
) -> tuple[Flags, NDArray[np.int16]]:
    """Join the plateaus of the flat lines among some rules.

    Parameters
    ----------
    rules : iterable of Parameters
        Those that are no flat line are left out.
    time_ms, value, at
        As `plateaus` takes them.

    Returns
    -------
    uint8[m], int16[m]
        Flag, and mask of the tests that were evaluated.
    """
    flag = np.where(np.isnan(value[at]), Flag.MISSING, Flag.NOT_EVALUATED).astype(np.uint8)
    evaluated = np.zeros(len(at), np.int16)
    for rule in rules:
        if isinstance(rule, FlatLine):
            flag = aggregate(flag, plateaus(rule, time_ms, value, at))
            evaluated[flag != Flag.MISSING] = np.int16(Test.FLAT_LINE)
    return flag, evaluated


def attenuated(rule: Attenuated, time_ms: Times, value: Floats, at: Index) -> Flags:
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
    begin, full = window_begin(time_ms, at, rule.window_s)
    count, low, high = extremes(value, begin, at)
    judged = full & (count >= 3)
    span = np.where(judged, high, 0.0) - np.where(judged, low, 0.0)
    flag = np.where(span < rule.suspect_below, Flag.SUSPECT, Flag.GOOD)
    flag = np.where(span < rule.fail_below, Flag.FAIL, flag)
    flag = np.where(judged, flag, Flag.NOT_EVALUATED)
    return np.where(np.isnan(value[at]), Flag.MISSING, flag).astype(np.uint8)


def flat_line(rule: FlatLine, time_ms: Times, value: Floats, at: Index) -> Flags:
    """Flag rows of one series that have stayed within a tolerance for too long.

    In real time the core compares for equality, which is the same while the tolerance does not
    exceed the instrument's resolution; this looks at the whole window and takes any tolerance.

    Parameters
    ----------
    rule : FlatLine
    time_ms : int64[n]
        Ascending.
    value : float64[n]
        NaN: missing.
    at : int64[m]
        Rows to judge.

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
    for window_s, verdict in _limits(rule):
        _, span = _flat_windows(time_ms, value, at, window_s)
        flag[span < rule.tolerance] = verdict
    flag[np.isnan(value[at])] = Flag.MISSING
    return flag


def plateaus(rule: FlatLine, time_ms: Times, value: Floats, at: Index) -> Flags:
    """Flag all readings of each plateau, from its beginning.

    While a value stands still nobody can know for how long it will: the first readings of a
    plateau are good in real time. Once it is known to be one they are as doubtful as its last.

    Parameters
    ----------
    rule : FlatLine
        With a tolerance of 0 equal values are flat, as in real time.
    time_ms : int64[n]
        Ascending; through `rule.fail_s` (or `suspect_s`) after the last row to judge, so that what
        became of it is known.
    value : float64[n]
    at : int64[m]
        Rows to judge.

    Returns
    -------
    uint8[m]
        The worst verdict of any flat window that a row lies in, else GOOD; MISSING where it is.
    """
    flag = np.full(len(value), Flag.GOOD, np.uint8)
    every = np.arange(len(value))
    for window_s, verdict in _limits(rule):
        begin, span = _flat_windows(time_ms, value, every, window_s)
        flat = np.flatnonzero((span < rule.tolerance) | (span <= 0.0))
        edges = np.zeros(len(value) + 1, np.int64)
        np.add.at(edges, begin[flat], 1)
        np.add.at(edges, flat + 1, -1)
        flag[np.cumsum(edges[:-1]) > 0] = verdict
    flag[np.isnan(value)] = Flag.MISSING
    return flag[at]


def step_against_scatter(
    rule: StepAgainstScatter, time_ms: Times, value: Floats, at: Index
) -> Flags:
    """Flag rows of one series that step further than the window's scatter allows.

    Parameters
    ----------
    rule : StepAgainstScatter
    time_ms : int64[n]
        Ascending.
    value : float64[n]
        NaN: missing.
    at : int64[m]
        Rows to judge.

    Returns
    -------
    uint8[m]
        NOT_EVALUATED first, after a missing reading, and until the window before it is full.

    Notes
    -----
    The standard deviation is that of the window that ends with the reading before the row (n - 1).
    """
    if not len(at):
        return np.zeros(0, np.uint8)
    prev = np.maximum(at - 1, 0)
    begin, full = window_begin(time_ms, prev, rule.window_s)
    count, sd = scatter(value, begin, prev)
    judged = full & (count >= 3) & (at > 0) & np.isfinite(value[at]) & np.isfinite(value[prev])
    step = np.abs(np.where(judged, value[at], 0.0) - np.where(judged, value[prev], 0.0))
    high = (step > rule.deviations * sd) & (step > rule.smallest)
    flag = np.where(judged, np.where(high, Flag.SUSPECT, Flag.GOOD), Flag.NOT_EVALUATED)
    return np.where(np.isnan(value[at]), Flag.MISSING, flag).astype(np.uint8)


def _limits(rule: FlatLine) -> list[tuple[float, Flag]]:
    limits = [(rule.suspect_s, Flag.SUSPECT)]
    return limits if rule.fail_s is None else [*limits, (rule.fail_s, Flag.FAIL)]


def _flat_windows(
    time_ms: Times, value: Floats, at: Index, window_s: float
) -> tuple[Index, Floats]:
    """First row and range of each row's window; infinite where it cannot be judged."""
    begin, full = window_begin(time_ms, at, window_s)
    count, low, high = extremes(value, begin, at)
    judged = full & (count == at - begin + 1) & (at - begin >= 2)
    return begin, np.where(judged, high, np.inf) - np.where(judged, low, 0.0)
