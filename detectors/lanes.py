"""Profiles as tables: one row a profile, one column a lane.

A lane is one level of one rule. Lanes that look at the value come first, lanes that look at the
slope after them; a profile that has fewer lanes than the widest one has lanes that never fire.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import NEVER, Bits, Bools, Floats, Index, Times
from detectors.errors import ParameterError
from detectors.profile import KeyedRule, Profile
from detectors.rules import RateOfRise, Threshold
from detectors.sentence import Sentence

MAX_LANES: Final = 16


def _ms(seconds: float) -> int:
    """Seconds as whole milliseconds; what cannot be reached stays out of reach."""
    ms: int = min(math.ceil(seconds * 1000.0), -NEVER)
    return ms


def lane_id(key: str, level: int) -> int:
    """Name a lane in a stored state: it survives other rules coming and going."""
    return crc32(f"{key}#{level}".encode())


def _levels_of(profile: Profile, kind: type[Threshold | RateOfRise]) -> int:
    return sum(
        len(rule.levels) if isinstance(rule, Threshold) else len(rule.limits_per_h)
        for rule in (keyed.rule for keyed in profile.rules)
        if isinstance(rule, kind)
    )


def _check_one_window(profile: Profile) -> None:
    windows = {
        (k.rule.span_s, k.rule.noise, k.rule.autocorrelation)
        for k in profile.rules
        if isinstance(k.rule, RateOfRise)
    }
    if len(windows) > 1:
        raise ParameterError(
            "window_s",
            Sentence(
                "the rate rules of one datastream look at one window: give them equal window_s, "
                "interval_s, noise and autocorrelation"
            ),
        )


@dataclass(frozen=True, eq=False)
class Lanes:
    """Rule parameters of P profiles in K lanes, R rules.

    Attributes
    ----------
    value_lanes : int
        The first so many lanes look at the value, the others at the slope.
    present : bool[P, K]
    sign : float64[P, K]
        -1 for falling rules: values and slopes are turned over before they are compared.
    on, off : float64[P, K]
        Already turned over.
    delay_on_ms, delay_off_ms : int64[P, K]
    ceiling_per_ms, slack : float64[P, K]
        A step beyond ``ceiling * dt + slack`` is held for one reading; no step is beyond infinity.
    tell_at : float64[P, K]
        Held steps that reach this value are told at once, unconfirmed.
    failed_raises : bool[P, K]
    significance : float64[P, K]
        Of the slope lanes.
    span_ms, noise, inflation : [P]
        A profile has one window for all its slope lanes.
    rule_mask : uint16[P, R]
        Lanes of each rule.
    rule_lane : int64[P, R]
        The first of them.
    rule_tells : int16[P, R]
        Level from which a transition may be unconfirmed.
    ids : int64[P, K]
    max_gap_ms, lateness_ms : int64[P]
    """

    value_lanes: int
    present: Bools
    sign: Floats
    on: Floats
    off: Floats
    delay_on_ms: Times
    delay_off_ms: Times
    ceiling_per_ms: Floats
    slack: Floats
    tell_at: Floats
    failed_raises: Bools
    significance: Floats
    span_ms: Times
    noise: Floats
    inflation: Floats
    rule_mask: Bits
    rule_lane: Index
    rule_tells: NDArray[np.int16]
    ids: Times
    max_gap_ms: Times
    lateness_ms: Times

    @cached_property
    def count(self) -> int:
        """Number of lanes."""
        return len(self.on.T)

    @cached_property
    def looks_at_slopes(self) -> bool:
        """Whether any lane does."""
        return self.count > self.value_lanes

    @cached_property
    def jumps(self) -> list[bool]:
        """Lanes on which a step may be held."""
        return [bool(column.min() < np.inf) for column in self.slack.T]

    @cached_property
    def value_limits(self) -> Floats:
        """What values are compared with, [7, K, P]: one look-up for all.

        Sign, on, off, ceiling, slack, tell_at, and 1 where failed readings may raise.
        """
        columns = (self.sign, self.on, self.off, self.ceiling_per_ms, self.slack, self.tell_at)
        return np.stack([column.T for column in (*columns, self.failed_raises.astype(np.float64))])

    @cached_property
    def slope_limits(self) -> Floats:
        """What slopes are compared with, [4, K, P]: sign, on, off, significance."""
        return np.stack([c.T for c in (self.sign, self.on, self.off, self.significance)])

    @cached_property
    def bit(self) -> Bits:
        """Each lane's bit, [K, 1]."""
        return (np.uint16(1) << np.arange(self.count, dtype=np.uint16))[:, None]

    def lies_as(self, profile: int, other: "Lanes", of_other: int) -> bool:
        """Whether the levels of a profile lie in the same lanes as those of another one there."""
        mine = np.flatnonzero(self.present[profile])
        theirs = np.flatnonzero(other.present[of_other])
        return np.array_equal(mine, theirs) and np.array_equal(
            self.ids[profile, mine], other.ids[of_other, theirs]
        )

    @classmethod
    def compile(cls, profiles: Sequence[Profile]) -> Self:
        """Lay the rules of all profiles out in lanes.

        Raises
        ------
        ParameterError
            More levels on one datastream than there are lanes, or slope rules of one profile that
            want different windows.
        """
        for profile in profiles:
            _check_one_window(profile)
        values = max((_levels_of(p, Threshold) for p in profiles), default=0)
        slopes = max((_levels_of(p, RateOfRise) for p in profiles), default=0)
        if values + slopes > MAX_LANES:
            raise ParameterError(
                "rules",
                Sentence(
                    "at most {most} levels of all rules together fit one datastream, got {values} "
                    "on the value and {slopes} on its rate",
                    most=MAX_LANES,
                    values=values,
                    slopes=slopes,
                ),
            )
        shape = (len(profiles), values + slopes)
        rules = max((len(p.rules) for p in profiles), default=0)
        lanes = cls(
            value_lanes=values,
            present=np.zeros(shape, bool),
            sign=np.ones(shape),
            on=np.full(shape, np.inf),
            off=np.full(shape, -np.inf),
            delay_on_ms=np.zeros(shape, np.int64),
            delay_off_ms=np.zeros(shape, np.int64),
            ceiling_per_ms=np.zeros(shape),
            slack=np.full(shape, np.inf),
            tell_at=np.full(shape, np.inf),
            failed_raises=np.zeros(shape, bool),
            significance=np.zeros(shape),
            span_ms=np.zeros(len(profiles), np.int64),
            noise=np.zeros(len(profiles)),
            inflation=np.ones(len(profiles)),
            rule_mask=np.zeros((len(profiles), rules), np.uint16),
            rule_lane=np.zeros((len(profiles), rules), np.int64),
            rule_tells=np.full((len(profiles), rules), np.iinfo(np.int16).max, np.int16),
            ids=np.zeros(shape, np.int64),
            max_gap_ms=np.array([_ms(p.max_gap_s) for p in profiles], np.int64),
            lateness_ms=np.array([_ms(p.lateness_s) for p in profiles], np.int64),
        )
        for row, profile in enumerate(profiles):
            lanes._fill(row, profile)
        return lanes

    def _fill(self, row: int, profile: Profile) -> None:
        next_value, next_slope = 0, self.value_lanes
        for number, keyed in enumerate(profile.rules):
            is_value = isinstance(keyed.rule, Threshold)
            self.rule_lane[row, number] = next_value if is_value else next_slope
            if isinstance(keyed.rule, Threshold):
                next_value = self._fill_threshold(row, number, keyed, keyed.rule, next_value)
            else:
                next_slope = self._fill_slope(row, number, keyed, keyed.rule, next_slope)

    def _name(self, row: int, number: int, keyed: KeyedRule, lane: int, level: int) -> None:
        self.present[row, lane] = True
        self.ids[row, lane] = lane_id(keyed.key, level)
        self.rule_mask[row, number] |= np.uint16(1 << lane)

    def _fill_threshold(
        self, row: int, number: int, keyed: KeyedRule, rule: Threshold, lane: int
    ) -> int:
        sign = 1.0 if rule.direction == "rising" else -1.0
        for count, level in enumerate(rule.levels, 1):
            self._name(row, number, keyed, lane, count)
            self.sign[row, lane] = sign
            self.on[row, lane], self.off[row, lane] = sign * level.on, sign * level.off
            self.delay_on_ms[row, lane] = _ms(level.delay_on_s)
            self.delay_off_ms[row, lane] = _ms(level.delay_off_s)
            self.failed_raises[row, lane] = rule.failed_may_raise
            if rule.ceiling_per_h is not None:
                self.ceiling_per_ms[row, lane] = rule.ceiling_per_h / 3.6e6
                self.slack[row, lane] = 3.0 * rule.noise
                if rule.unconfirmed_from <= len(rule.levels):
                    tell = rule.levels[rule.unconfirmed_from - 1].on
                    self.tell_at[row, lane] = sign * tell
                    self.rule_tells[row, number] = rule.unconfirmed_from
            lane += 1
        return lane

    def _fill_slope(
        self, row: int, number: int, keyed: KeyedRule, rule: RateOfRise, lane: int
    ) -> int:
        self.span_ms[row] = _ms(rule.span_s)
        self.noise[row] = rule.noise
        a = rule.autocorrelation
        self.inflation[row] = math.sqrt((1.0 + a) / (1.0 - a))
        sign = 1.0 if rule.direction == "rising" else -1.0
        for count, limit in enumerate(rule.limits_per_h, 1):
            self._name(row, number, keyed, lane, count)
            self.sign[row, lane] = sign
            self.on[row, lane], self.off[row, lane] = limit, rule.clear_ratio * limit
            self.delay_off_ms[row, lane] = _ms(rule.delay_off_s)
            self.significance[row, lane] = rule.significance
            lane += 1
        return lane
