"""The core as plain loops over one sensor's whole series: slow, obvious, and the oracle."""

import math
from dataclasses import dataclass, field
from statistics import median

from detectors.flags import Flag, Test
from detectors.profile import Profile
from detectors.quality import Climatology, FlatLine, GrossRange, RateOfChange, Spike
from detectors.rules import RateOfRise, Threshold

WINDOW = 16


@dataclass
class Told:
    """Everything that is decided about one series."""

    flag: list[int] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    # (rule, time, from, to, value, unconfirmed)
    moves: list[tuple[int, int, int, int, float, bool]] = field(default_factory=list)


def tell(profile: Profile, times: list[int], values: list[float]) -> Told:
    """Decide about a whole series at once; times ascend strictly."""
    told = Told()
    failed = [is_failed(profile, x) for x in values]
    told.rate = [rate_at(profile, times, values, failed, i) for i in range(len(times))]
    for i in range(len(times)):
        flag, evaluated = flag_at(profile, times, values, i)
        told.flag.append(flag)
        told.evaluated.append(evaluated)
    for number, keyed in enumerate(profile.rules):
        told.moves += moves_of(profile, number, keyed.rule, times, values, failed)
    return told


def of_kind(profile: Profile, kind: type):
    return next((test for test in profile.quality if isinstance(test, kind)), None)


def is_failed(profile: Profile, x: float) -> bool:
    test = of_kind(profile, GrossRange)
    if math.isnan(x):
        return False
    return math.isinf(x) or (
        test is not None and not test.sensor_span[0] <= x <= test.sensor_span[1]
    )


def linked(profile: Profile, times: list[int], i: int) -> bool:
    """Whether reading i has a neighbour before it without a gap."""
    return i > 0 and times[i] - times[i - 1] <= math.ceil(profile.max_gap_s * 1000)


def flag_at(  # noqa: C901, PLR0912 (one branch a test: that is how it can be read)
    profile: Profile, times: list[int], values: list[float], i: int
) -> tuple[int, int]:
    x = values[i]
    if math.isnan(x):
        return Flag.MISSING, 0
    verdicts: dict[int, int] = {}
    gross, season = of_kind(profile, GrossRange), of_kind(profile, Climatology)
    if is_failed(profile, x):
        verdicts[Test.GROSS_RANGE] = Flag.FAIL
    elif gross:
        low, high = gross.user_span or gross.sensor_span
        verdicts[Test.GROSS_RANGE] = Flag.GOOD if low <= x <= high else Flag.SUSPECT
    if season:
        month = month_of(times[i])
        for part in season.seasons:
            if (month - part.from_month) % 12 <= (part.to_month - part.from_month) % 12:
                inside = part.span[0] <= x <= part.span[1]
                verdicts[Test.CLIMATOLOGY] = Flag.GOOD if inside else Flag.SUSPECT
    step, spike, flat = (of_kind(profile, kind) for kind in (RateOfChange, Spike, FlatLine))
    if step and linked(profile, times, i) and math.isfinite(x) and math.isfinite(values[i - 1]):
        rate = abs(x - values[i - 1]) / ((times[i] - times[i - 1]) / 1000.0)
        verdicts[Test.RATE_OF_CHANGE] = Flag.SUSPECT if rate > step.limit_per_s else Flag.GOOD
    if spike and i + 1 < len(times) and linked(profile, times, i) and linked(profile, times, i + 1):
        around = values[i - 1], values[i + 1]
        if all(map(math.isfinite, (*around, x))):
            off = abs(x - (around[0] + around[1]) / 2.0)
            verdicts[Test.SPIKE] = (
                Flag.FAIL
                if off > spike.fail
                else Flag.SUSPECT
                if off > spike.suspect
                else Flag.GOOD
            )
    if flat and math.isfinite(x):
        start = i
        while linked(profile, times, start) and values[start - 1] == x:
            start -= 1
        lasted, three = times[i] - times[start], i - start >= 2
        fails = flat.fail_s is not None and lasted >= flat.fail_s * 1000
        verdicts[Test.FLAT_LINE] = (
            Flag.FAIL if three and fails
            else Flag.SUSPECT if three and lasted >= flat.suspect_s * 1000
            else Flag.GOOD
        )  # fmt: skip
    evaluated = sum(verdicts)
    for worst in (Flag.FAIL, Flag.SUSPECT, Flag.GOOD):
        if worst in verdicts.values():
            return worst, evaluated
    return Flag.NOT_EVALUATED, evaluated


def month_of(time_ms: int) -> int:
    from datetime import UTC, datetime, timedelta

    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).month


def slope_rule(profile: Profile) -> RateOfRise | None:
    return next((k.rule for k in profile.rules if isinstance(k.rule, RateOfRise)), None)


def window_at(profile, times, values, failed, i) -> list[tuple[float, float]]:
    """(hours, value) relative to reading i, newest first, of the readings its slope looks at."""
    rule = slope_rule(profile)
    points = []
    for lag in range(WINDOW):
        j = i - lag
        if j < 0 or times[i] - times[j] > math.ceil(rule.span_s * 1000):
            break
        if math.isfinite(values[j]) and not failed[j]:
            points.append(((times[j] - times[i]) / 3.6e6, values[j] - values[i]))
        if not linked(profile, times, j):
            break
    return points


def fit(points, rule: RateOfRise) -> tuple[float, float]:
    if len(points) < 4:
        return math.nan, math.nan
    m = len(points)
    half = m // 2
    guess = median(
        (points[k][1] - points[k + half][1]) / (points[k][0] - points[k + half][0])
        for k in range(m - half)
    )
    residual = [v - guess * t for t, v in points]
    middle = median(residual)
    off = [abs(r - middle) for r in residual]
    bound = max(3.5 * 1.4826 * median(off), 0.03)
    kept = [p for p, o in zip(points, off, strict=True) if o <= bound]
    if len(kept) < 4:
        return math.nan, math.nan
    mean_t, mean_v = 0.0, 0.0
    for t, v in kept:
        mean_t, mean_v = mean_t + t, mean_v + v
    mean_t, mean_v = mean_t / len(kept), mean_v / len(kept)
    sxx = sxy = rss = 0.0
    for t, v in kept:
        sxx += (t - mean_t) * (t - mean_t)
        sxy += (t - mean_t) * (v - mean_v)
    slope = sxy / sxx
    for t, v in kept:
        left = (v - mean_v) - slope * (t - mean_t)
        rss += left * left
    a = rule.autocorrelation
    inflation = math.sqrt((1.0 + a) / (1.0 - a))
    variance = max(rss / (len(kept) - 2), rule.noise * rule.noise)
    return slope, inflation * math.sqrt(variance / sxx)


def slope_at(profile, times, values, failed, i) -> tuple[float, float]:
    rule = slope_rule(profile)
    if rule is None or failed[i] or not math.isfinite(values[i]):
        return math.nan, math.nan
    return fit(window_at(profile, times, values, failed, i), rule)


def rate_at(profile, times, values, failed, i) -> float:
    return slope_at(profile, times, values, failed, i)[0]


def moves_of(profile, number, rule, times, values, failed):
    """The state machine of one rule, level by level, as the specification words it."""
    sign = 1.0 if rule.direction == "rising" else -1.0
    if isinstance(rule, Threshold):
        levels = [(sign * v.on, sign * v.off, v.delay_on_s, v.delay_off_s) for v in rule.levels]
    else:
        levels = [(v, rule.clear_ratio * v, 0.0, rule.delay_off_s) for v in rule.limits_per_h]
    state = [False] * len(levels)
    run_a: list[int | None] = [None] * len(levels)
    run_b: list[int | None] = [None] * len(levels)
    moves = []
    for i, t in enumerate(times):
        if not linked(profile, times, i):
            run_a, run_b = [None] * len(levels), [None] * len(levels)
        reach, leave, told = reaches(profile, rule, sign, levels, times, values, failed, i)
        before = sum(state)
        for k, (_, _, delay_on, delay_off) in enumerate(levels):
            run_a[k] = (t if run_a[k] is None else run_a[k]) if reach[k] else None
            run_b[k] = (t if run_b[k] is None else run_b[k]) if leave[k] else None
            if run_a[k] is not None and t - run_a[k] >= math.ceil(delay_on * 1000):
                state[k] = True
            if run_b[k] is not None and t - run_b[k] >= math.ceil(delay_off * 1000):
                state[k] = False
        after = sum(state)
        assert state == sorted(state, reverse=True), "a level is on above one that is off"
        if after != before:
            sure = not (told and after > before and after >= rule.unconfirmed_from)
            moves.append((number, t, before, after, values[i], not sure))
    return moves


def reaches(profile, rule, sign, levels, times, values, failed, i):
    x = values[i]
    none = [False] * len(levels)
    if isinstance(rule, RateOfRise):
        slope, error = slope_at(profile, times, values, failed, i)
        if math.isnan(slope):
            return none, none, False
        sure = sign * slope > rule.significance * error
        return (
            [sure and sign * slope > on for on, *_ in levels],
            [sign * slope <= off for _, off, *_ in levels],
            False,
        )
    if not math.isfinite(x):
        return none, none, False
    may_raise = rule.failed_may_raise or not failed[i]
    reach = [may_raise and sign * x >= on for on, *_ in levels]
    leave = [not failed[i] and sign * x <= off for _, off, *_ in levels]
    told = False
    if rule.ceiling_per_h and linked(profile, times, i) and math.isfinite(values[i - 1]):
        before = sign * values[i - 1]
        bound = rule.ceiling_per_h / 3.6e6 * (times[i] - times[i - 1]) + 3.0 * rule.noise
        tell_at = math.inf
        if rule.unconfirmed_from <= len(levels):
            tell_at = levels[rule.unconfirmed_from - 1][0]
        if abs(x - values[i - 1]) > bound:
            told = reach[0] and sign * x >= tell_at > before
            for k, (on, *_) in enumerate(levels):
                if before < on and sign * x < tell_at:
                    reach[k] = False
    return reach, leave, told
