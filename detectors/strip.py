"""A strip: the readings of several sensors laid out as [context | rows], and what they reach."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import (
    WINDOW,
    Bits,
    Bools,
    Floats,
    Index,
    Marks,
    Times,
    blocks,
    count_true,
    some_of,
)
from detectors.checks import Checks, Verdict
from detectors.hysteresis import Rows
from detectors.lanes import Lanes
from detectors.slope import guarded_slopes

BROKEN: Final = np.uint8(1)  # no reading within max_gap before this one
SAME: Final = np.uint8(2)  # the value of the reading before, without a gap between
FAILED: Final = np.uint8(4)  # outside what the instrument can measure

# Windows fitted together: their arrays stay within the processor's second-level cache.
_WINDOWS_AT_A_TIME: Final = 4_096
# No water rises by this: the sums of a fit stay finite, and NaN is not below it.
ANY_RISE: Final = 1e100


@dataclass(frozen=True, eq=False)
class Strip:
    """n readings of T sensors; each sensor's readings together, in order of time.

    Attributes
    ----------
    owner : int64[n]
        Which of the T sensors.
    start : int64[T]
        First reading of each sensor in the strip.
    time_ms : int64[n]
    value : float64[n]
    reach, leave : uint16[n]
        Lanes whose `on` (`off`) the reading, or the slope at it, is at or beyond.
    mark : uint8[n]
    flag : uint8[n]
    evaluated : int16[n]
        These five hold what was stored for context rows, and are filled in for the others.
    rate_per_h : float64[n]
    """

    owner: Index
    start: Index
    time_ms: Times
    value: Floats
    reach: Bits
    leave: Bits
    mark: Marks
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]
    rate_per_h: Floats

    @classmethod
    def blank(cls, owner: Index, start: Index, time_ms: Times, value: Floats) -> "Strip":
        """Lay out readings about which nothing is decided yet."""
        n = len(owner)
        return cls(
            owner,
            start,
            time_ms,
            value,
            np.zeros(n, np.uint16),
            np.zeros(n, np.uint16),
            np.zeros(n, np.uint8),
            np.zeros(n, np.uint8),
            np.zeros(n, np.int16),
            np.full(n, np.nan),
        )

    def rows(self, index: Index, owner: Index) -> Rows:
        """Rows for the state machine."""
        return Rows(
            owner,
            self.time_ms[index],
            self.reach[index],
            self.leave[index],
            (self.mark[index] & BROKEN) != 0,
            (self.mark[index] & SAME) != 0,
        )


def compare(strip: Strip, lanes: Lanes, checks: Checks, kind: Index, rows: Index) -> Verdict:
    """Fill in marks, reach, leave and slope of `rows`, and begin their verdict.

    Parameters
    ----------
    strip : Strip
        Written at `rows`.
    lanes, checks
    kind : int64[m] or int64[1]
        Profile of each row, from `kinds_of`.
    rows : int64[m]
        Ascending. The context before each must reach back as far as its windows do, or to the
        sensor's very first reading.

    Returns
    -------
    Verdict
        Of gross range, climatology and rate of change; the other tests need more than the past.
    """
    time, value = strip.time_ms[rows], strip.value[rows]
    has_one = rows > strip.start[strip.owner[rows]]
    prev = np.maximum(rows - 1, 0)
    before = strip.value[prev]
    dt_ms = time - strip.time_ms[prev]
    unbroken = has_one & (dt_ms <= lanes.max_gap_ms[kind])
    finite = np.isfinite(value)
    linked = unbroken & finite & np.isfinite(before)

    verdict = Verdict.blank(len(rows))
    failed = checks.alone(verdict, kind, time, value)
    step = np.subtract(value, before, out=np.zeros(len(rows)), where=linked)
    if checks.rates:
        checks.step(verdict, kind, dt_ms / 1000.0, step, linked)

    strip.mark[rows] = ~unbroken * BROKEN | (linked & (step == 0.0)) * SAME | failed * FAILED
    strip.reach[rows], strip.leave[rows] = _compare_values(
        lanes, kind, value, before, (np.abs(step), dt_ms, linked), finite, failed
    )
    if lanes.looks_at_slopes:
        _compare_slopes(strip, lanes, kind, rows)
    return verdict


def _compare_values(
    lanes: Lanes,
    kind: Index,
    value: Floats,
    before: Floats,
    step: tuple[Floats, Times, Bools],
    finite: Bools,
    failed: Bools,
) -> tuple[Bits, Bits]:
    """Lanes that look at the value: which the readings reach, and which they leave.

    Parameters
    ----------
    step
        From the reading before: its size, its milliseconds, and whether there is one.
    """
    size, dt_ms, linked = step
    sound = finite & ~failed
    reach, leave = np.zeros((2, len(value)), np.uint16)
    for some in blocks(0, lanes.value_lanes, len(value)):
        sign, on, off, ceiling, slack, tell_at, may = lanes.value_limits[:, some].take(kind, axis=2)
        turned = sign * value
        reached = (turned >= on) & (sound | (finite & (may != 0.0)))
        if any(lanes.jumps[some]):
            jump = linked & reached & (sign * before < on) & (size > ceiling * dt_ms + slack)
            reached &= ~jump | (turned >= tell_at)
        left = (turned <= off) & sound
        reach |= np.bitwise_or.reduce(reached * lanes.bit[some], axis=0)
        leave |= np.bitwise_or.reduce(left * lanes.bit[some], axis=0)
    return reach, leave


def _compare_slopes(strip: Strip, lanes: Lanes, kind: Index, rows: Index) -> None:
    """Slopes at `rows`, over at most WINDOW readings back, not across a gap or a failed one."""
    sound = np.isfinite(strip.value) & ((strip.mark & FAILED) == 0)
    wanted = (lanes.span_ms[kind] > 0) & sound[rows]
    if np.count_nonzero(wanted) < len(rows):
        rows, kind = rows[wanted], some_of(kind, wanted)
        if not len(rows):
            return
    value = np.where(sound, strip.value, np.nan)
    # How far back a window may reach: to the sensor's first reading here, or the last gap.
    index = np.arange(len(strip.owner))
    after_gap = np.maximum.accumulate(np.where((strip.mark & BROKEN) != 0, index, 0))
    furthest = rows - np.maximum(after_gap[rows], strip.start[strip.owner[rows]])
    slope, error = np.empty(len(rows)), np.empty(len(rows))
    for low in range(0, len(rows), _WINDOWS_AT_A_TIME):
        block = slice(low, low + _WINDOWS_AT_A_TIME)
        of = some_of(kind, block)
        window = _look_back(strip.time_ms, value, rows[block], furthest[block], lanes.span_ms[of])
        slope[block], error[block] = _fit(*window, lanes.noise[of], lanes.inflation[of])
    strip.rate_per_h[rows] = slope
    reach, leave = strip.reach[rows], strip.leave[rows]
    for some in blocks(lanes.value_lanes, lanes.count, len(rows)):
        sign, on, off, significance = lanes.slope_limits[:, some].take(kind, axis=2)
        turned = sign * slope
        reached = (turned > significance * error) & (turned > on)
        reach |= np.bitwise_or.reduce(reached * lanes.bit[some], axis=0)
        leave |= np.bitwise_or.reduce((turned <= off) * lanes.bit[some], axis=0)
    strip.reach[rows], strip.leave[rows] = reach, leave


def _fit(
    hours: Floats, rise: Floats, usable: Bools, noise: Floats, inflation: Floats
) -> tuple[Floats, Floats]:
    """Slope and standard error of each window.

    Most sensors of a dry town do not move: their slope is 0 without any fitting.
    """
    moving = np.logical_or.reduce(usable & (rise != 0.0), axis=0)
    at = moving.nonzero()[0]
    if len(at) == len(moving):
        fit = guarded_slopes(hours, rise, usable, noise, inflation)
        return fit.per_h, fit.error
    still = ~moving & (count_true(usable) >= 4)
    slope, error = np.where(still, 0.0, np.nan), np.zeros(len(moving))
    if len(at):
        fit = guarded_slopes(
            hours[:, at], rise[:, at], usable[:, at], some_of(noise, at), some_of(inflation, at)
        )
        slope[at], error[at] = fit.per_h, fit.error
    return slope, error


def _look_back(
    time_ms: Times, value: Floats, rows: Index, furthest: Index, span_ms: Times
) -> tuple[Floats, Floats, Bools]:
    """Gather the window of each row, lag after lag, as far as any window reaches.

    Parameters
    ----------
    furthest : int64[m]
        Readings before each row that its window may hold.
    span_ms : int64[m] or int64[1]

    Returns
    -------
    hours : float64[w, m]
        Time after the row's own: 0 or negative. w is at most WINDOW.
    rise : float64[w, m]
        Value less the row's own; NaN where missing.
    usable : bool[w, m]
    """
    most = min(WINDOW, int(furthest.max()) + 1)
    shape = (most, len(rows))
    hours, rise, usable = np.empty(shape), np.empty(shape), np.empty(shape, bool)
    hours[0], rise[0], usable[0] = 0.0, 0.0, True
    now_ms, here, oldest_ms = time_ms[rows], value[rows], -span_ms
    for some in blocks(1, most, len(rows)):
        lag = np.arange(some.start, some.stop)[:, None]
        at = rows - lag  # before the strip's first reading: clipped, and beyond `furthest`
        after_ms = time_ms.take(at, mode="clip") - now_ms
        inside = (lag <= furthest) & (after_ms >= oldest_ms)
        np.divide(after_ms, 3.6e6, out=hours[some])
        np.subtract(value.take(at, mode="clip"), here, out=rise[some])
        np.logical_and(inside, np.abs(rise[some]) < ANY_RISE, out=usable[some])
        if not np.count_nonzero(inside[-1]):  # times descend: nor is any further one in a window
            most = some.start + int(np.count_nonzero(np.logical_or.reduce(inside, axis=1)))
            break
    return hours[:most], rise[:most], usable[:most]


def judge(
    strip: Strip, checks: Checks, kind: Index, rows: Index, flat_ms: Times, verdict: Verdict
) -> None:
    """Finish the verdict of `rows` with flat line and, where the successor is there, spike.

    Parameters
    ----------
    kind : int64[m] or int64[1]
        Profile of each row, from `kinds_of`.
    flat_ms : int64[m]
        When the value last changed, as of each row.
    """
    value = strip.value[rows]
    if checks.flats:
        same = strip.mark & SAME
        three = (same[rows] & same[np.maximum(rows - 1, 0)]) != 0
        checks.flat(verdict, kind, strip.time_ms[rows] - flat_ms, np.isfinite(value), three)
    judge_spikes(strip, checks, kind, rows, verdict)
    strip.flag[rows] = verdict.flag(np.isnan(value))
    strip.evaluated[rows] = verdict.evaluated


def judge_spikes(strip: Strip, checks: Checks, kind: Index, rows: Index, verdict: Verdict) -> None:
    """Test `rows` that have both neighbours, with no gap between; parameters as of `judge`."""
    if not checks.spikes:
        return
    owner, after = strip.owner[rows], np.minimum(rows + 1, len(strip.owner) - 1)
    linked = (after > rows) & (strip.owner[after] == owner) & (rows > strip.start[owner])
    if not np.count_nonzero(linked):
        return
    prev = np.maximum(rows - 1, 0)
    x1, x0, x2 = strip.value[prev], strip.value[rows], strip.value[after]
    linked &= ((strip.mark[rows] | strip.mark[after]) & BROKEN) == 0
    linked &= np.isfinite(x1) & np.isfinite(x0) & np.isfinite(x2)
    checks.spike(verdict, kind, x1, x0, x2, linked)
