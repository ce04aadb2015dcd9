"""A reading that is decided alone, in plain numbers: what it reaches, and its quality.

What is decided, and why, stands in `detectors.strip` and `detectors.checks`: this gives the same
bits.
"""

import math
from dataclasses import dataclass

import numpy as np

from detectors.arrays import NEVER, WINDOW
from detectors.flags import Flag, Test
from detectors.plain_profile import PlainProfile
from detectors.plain_slope import guarded_slope
from detectors.slope import LEAST_POINTS
from detectors.strip import ANY_RISE, BROKEN, FAILED, SAME

_BROKEN, _SAME, _FAILED = int(BROKEN), int(SAME), int(FAILED)
_GROSS_RANGE, _CLIMATOLOGY = int(Test.GROSS_RANGE), int(Test.CLIMATOLOGY)
_RATE_OF_CHANGE, _FLAT_LINE = int(Test.RATE_OF_CHANGE), int(Test.FLAT_LINE)
_GOOD, _SUSPECT, _FAIL = int(Flag.GOOD), int(Flag.SUSPECT), int(Flag.FAIL)
_NOT_EVALUATED, _MISSING = int(Flag.NOT_EVALUATED), int(Flag.MISSING)


@dataclass(slots=True)
class PlainReading:
    """A reading, what its sensor knows, newest first, and what is decided about it.

    Of the known readings only the first `held` are there.
    """

    time_ms: int
    value: float
    held: int
    times: list[int]
    values: list[float]
    marks: list[int]
    mark: int = 0
    reach: int = 0
    leave: int = 0
    rate_per_h: float = math.nan
    suspect: bool = False
    fail: bool = False
    evaluated: int = 0

    @property
    def flag(self) -> int:
        """See `Verdict.flag`."""
        if math.isnan(self.value):
            return _MISSING
        if self.fail:
            return _FAIL
        if self.suspect:
            return _SUSPECT
        return _GOOD if self.evaluated else _NOT_EVALUATED


def compare(profile: PlainProfile, one: PlainReading) -> None:
    """Fill in what a reading reaches, and begin its verdict; see `strip.compare`."""
    dt_ms = one.time_ms - one.times[0]
    unbroken = one.held > 0 and dt_ms <= profile.max_gap_ms
    finite = math.isfinite(one.value)
    linked = unbroken and finite and math.isfinite(one.values[0])
    step = one.value - one.values[0] if linked else 0.0
    failed = _judge_alone(profile, one)
    if linked and not math.isnan(profile.rate_per_s):
        one.evaluated |= _RATE_OF_CHANGE
        one.suspect |= abs(step) / (dt_ms / 1000.0) > profile.rate_per_s
    if not unbroken:
        one.mark |= _BROKEN
    if linked and step == 0.0:
        one.mark |= _SAME
    if failed:
        one.mark |= _FAILED
    if finite:
        _compare_value(profile, one, linked=linked)
    if finite and not failed and profile.span_ms > 0:
        _compare_slope(profile, one)


def _compare_value(profile: PlainProfile, one: PlainReading, *, linked: bool) -> None:
    """See `strip._compare_values`."""
    x, before, dt_ms = one.value, one.values[0], one.time_ms - one.times[0]
    failed = one.mark & _FAILED
    for bit, sign, on, off, ceiling_per_ms, slack, tell_at, failed_raises in profile.values:
        turned = sign * x
        if turned >= on and (failed_raises or not failed):
            steep = linked and abs(x - before) > ceiling_per_ms * dt_ms + slack
            if not (steep and sign * before < on) or turned >= tell_at:
                one.reach |= bit
        if turned <= off and not failed:
            one.leave |= bit


def _compare_slope(profile: PlainProfile, one: PlainReading) -> None:
    """See `strip._compare_slopes`."""
    hours, rises = _look_back(profile, one)
    if any(rises):
        slope, error = guarded_slope(hours, rises, profile.noise, profile.inflation)
    else:
        slope, error = 0.0 if len(rises) >= LEAST_POINTS else math.nan, 0.0
    one.rate_per_h = slope
    for bit, sign, on, off, significance in profile.slopes:
        turned = sign * slope
        if turned > significance * error and turned > on:
            one.reach |= bit
        if turned <= off:
            one.leave |= bit


def _look_back(profile: PlainProfile, one: PlainReading) -> tuple[list[float], list[float]]:
    """Gather the usable readings of the window, itself included, relative to the reading."""
    hours, rises = [0.0], [0.0]
    if one.mark & _BROKEN:
        return hours, rises
    oldest_ms = one.time_ms - profile.span_ms
    for lag in range(min(one.held, WINDOW - 1)):
        if one.times[lag] < oldest_ms:
            break
        rise = one.values[lag] - one.value
        if not one.marks[lag] & _FAILED and abs(rise) < ANY_RISE:
            hours.append((one.times[lag] - one.time_ms) / 3.6e6)
            rises.append(rise)
        if one.marks[lag] & _BROKEN:
            break
    return hours, rises


def _judge_alone(profile: PlainProfile, one: PlainReading) -> bool:
    """See `Checks.alone`; return whether no instrument measured that."""
    x = one.value
    low, high = profile.sensor_span
    failed = math.isinf(x) or x < low or x > high
    if failed or not (math.isnan(x) or math.isnan(low)):
        one.evaluated |= _GROSS_RANGE
        one.suspect |= x < profile.user_span[0] or x > profile.user_span[1]
        one.fail |= failed
    if profile.seasons and not math.isnan(x):
        month = np.datetime64(one.time_ms, "ms").astype("datetime64[M]").astype(int) % 12
        low, high = profile.seasons[month]
        if not math.isnan(low):
            one.evaluated |= _CLIMATOLOGY
            one.suspect |= x < low or x > high
    return failed


def judge_flat_line(profile: PlainProfile, one: PlainReading, flat_ms: int) -> None:
    """Finish the verdict, given when the value last changed; see `Checks.flat`."""
    if profile.flat_suspect_ms == NEVER or not math.isfinite(one.value):
        return
    one.evaluated |= _FLAT_LINE
    if one.mark & _SAME and one.marks[0] & _SAME:
        lasted_ms = one.time_ms - flat_ms
        one.suspect |= lasted_ms >= profile.flat_suspect_ms
        one.fail |= lasted_ms >= profile.flat_fail_ms


def spike_flag(profile: PlainProfile, one: PlainReading) -> int | None:
    """Judge the newest known reading, whose successor this is, as `Checks.spike` does.

    None where a neighbour is missing.
    """
    if math.isnan(profile.spike_suspect) or one.held < 2:
        return None
    before, value, after = one.values[1], one.values[0], one.value
    if (one.mark | one.marks[0]) & _BROKEN or not all(map(math.isfinite, (before, value, after))):
        return None
    off = abs(value - (before + after) / 2.0)
    if off > profile.spike_fail:
        return _FAIL
    return _SUSPECT if off > profile.spike_suspect else _GOOD
