"""Quality tests of single datastreams as tables, and their verdicts over many rows at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import NEVER, Bools, Floats, Index, Times
from detectors.flags import Flag, Test
from detectors.profile import Profile
from detectors.quality import Climatology, FlatLine, GrossRange, RateOfChange, Spike

_GOOD, _NOT_EVALUATED, _SUSPECT, _FAIL, _MISSING = (
    np.uint8(flag)
    for flag in (Flag.GOOD, Flag.NOT_EVALUATED, Flag.SUSPECT, Flag.FAIL, Flag.MISSING)
)


@dataclass(frozen=True, eq=False)
class Verdict:
    """Aggregate flag and mask of evaluated tests of n rows, built test by test."""

    suspect: Bools
    fail: Bools
    evaluated: NDArray[np.int16]

    @classmethod
    def blank(cls, n: int) -> Self:
        """Nothing evaluated yet."""
        return cls(np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, np.int16))

    def add(self, test: Test, where: Bools, suspect: Bools, fail: Bools | None = None) -> None:
        """Take in one test's verdict on the rows `where` it could be evaluated."""
        np.logical_or(self.suspect, suspect & where, out=self.suspect)
        if fail is not None:
            np.logical_or(self.fail, fail & where, out=self.fail)
        np.bitwise_or(self.evaluated, int(test), out=self.evaluated, where=where)

    def flag(self, missing: Bools) -> NDArray[np.uint8]:
        """FAIL > SUSPECT > GOOD > NOT EVALUATED; a missing value is MISSING."""
        flag = np.empty(len(missing), np.uint8)
        flag.fill(_NOT_EVALUATED)
        flag[self.evaluated != 0] = _GOOD
        flag[self.suspect] = _SUSPECT
        flag[self.fail] = _FAIL
        flag[missing] = _MISSING
        return flag


@dataclass(frozen=True, eq=False)
class Checks:
    """Parameters of the quality tests of P profiles; NaN: the profile has no such test.

    Attributes
    ----------
    sensor_low, sensor_high, user_low, user_high : float64[P]
    season_low, season_high : float64[P, 12]
    spike_suspect, spike_fail : float64[P]
    rate_per_s : float64[P]
    flat_suspect_ms, flat_fail_ms : int64[P]
        NEVER: no such test; a fail limit beyond reach where there is none.

    Notes
    -----
    The tests look at n rows: `profile` int64[n] (or [1], the same for all), times int64[n] ms,
    values float64[n], conditions bool[n]. Each writes its verdict into `verdict`.
    """

    sensor_low: Floats
    sensor_high: Floats
    user_low: Floats
    user_high: Floats
    season_low: Floats
    season_high: Floats
    spike_suspect: Floats
    spike_fail: Floats
    rate_per_s: Floats
    flat_suspect_ms: Times
    flat_fail_ms: Times

    @classmethod
    def compile(cls, profiles: Sequence[Profile]) -> Self:
        """Lay the tests of all profiles out in tables."""
        n = len(profiles)
        blank = {name: np.full(n, np.nan) for name in _PER_PROFILE}
        checks = cls(
            **blank,
            season_low=np.full((n, 12), np.nan),
            season_high=np.full((n, 12), np.nan),
            flat_suspect_ms=np.full(n, NEVER, np.int64),
            flat_fail_ms=np.full(n, -NEVER, np.int64),
        )
        for row, profile in enumerate(profiles):
            for test in profile.quality:
                match test:
                    case GrossRange():
                        checks.sensor_low[row], checks.sensor_high[row] = test.sensor_span
                        user = test.user_span or test.sensor_span
                        checks.user_low[row], checks.user_high[row] = user
                    case Climatology():
                        checks._fill_seasons(row, test)
                    case Spike():
                        checks.spike_suspect[row], checks.spike_fail[row] = test.suspect, test.fail
                    case RateOfChange():
                        checks.rate_per_s[row] = test.limit_per_s
                    case FlatLine():
                        checks.flat_suspect_ms[row] = round(test.suspect_s * 1000.0)
                        if test.fail_s is not None:
                            checks.flat_fail_ms[row] = round(test.fail_s * 1000.0)
        return checks

    def _fill_seasons(self, row: int, test: Climatology) -> None:
        for season in test.seasons:
            for step in range((season.to_month - season.from_month) % 12 + 1):
                month = (season.from_month - 1 + step) % 12
                self.season_low[row, month], self.season_high[row, month] = season.span

    @cached_property
    def spans(self) -> Floats:
        """Limits of the gross range test, [4, P]: one look-up for all."""
        return np.stack([self.sensor_low, self.sensor_high, self.user_low, self.user_high])

    @cached_property
    def seasons(self) -> bool:
        """Whether any profile has a climatology; the next three likewise."""
        return not np.isnan(self.season_low).all()

    @cached_property
    def spikes(self) -> bool:
        """Whether any profile has a spike test."""
        return not np.isnan(self.spike_suspect).all()

    @cached_property
    def rates(self) -> bool:
        """Whether any profile has a limit on the rate of change."""
        return not np.isnan(self.rate_per_s).all()

    @cached_property
    def flats(self) -> bool:
        """Whether any profile has a flat line test."""
        return bool((self.flat_suspect_ms != NEVER).any())

    def alone(self, verdict: Verdict, profile: Index, time_ms: Times, value: Floats) -> Bools:
        """Tests that need no other reading: gross range and climatology.

        Returns
        -------
        bool[n]
            Outside the sensor's span, or infinite: no instrument measured that.
        """
        present = ~np.isnan(value)
        low, high, user_low, user_high = self.spans.take(profile, axis=1)
        failed: Bools = np.isinf(value) | (value < low) | (value > high)
        unusual = (value < user_low) | (value > user_high)
        verdict.add(Test.GROSS_RANGE, (present & ~np.isnan(low)) | failed, unusual, failed)
        if self.seasons:
            month = time_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64) % 12
            low, high = self.season_low[profile, month], self.season_high[profile, month]
            in_season = present & ~np.isnan(low)
            verdict.add(Test.CLIMATOLOGY, in_season, (value < low) | (value > high))
        return failed

    def step(
        self, verdict: Verdict, profile: Index, seconds: Floats, step: Floats, linked: Bools
    ) -> None:
        """Rate of change A: |x0 - x1| / dt.

        Parameters
        ----------
        seconds, step : float64[n]
            dt and x0 - x1, where `linked`: both present and no gap between them.
        """
        limit = self.rate_per_s[profile]
        tested = linked & ~np.isnan(limit)
        rate = np.divide(np.abs(step), seconds, out=np.zeros(len(step)), where=tested)
        verdict.add(Test.RATE_OF_CHANGE, tested, rate > limit)

    def spike(
        self, verdict: Verdict, profile: Index, before: Floats, value: Floats, after: Floats,
        linked: Bools,
    ) -> None:  # fmt: skip
        """Spike: |x1 - (x0 + x2) / 2|, where both neighbours are there."""
        low = self.spike_suspect[profile]
        tested = linked & ~np.isnan(low)
        # Rows that are not linked may have infinities to add up, of both signs.
        both = np.add(before, after, out=np.zeros(len(value)), where=linked)
        off = np.abs(np.subtract(value, both / 2.0, out=both, where=linked))
        verdict.add(Test.SPIKE, tested, off > low, off > self.spike_fail[profile])

    def flat(
        self, verdict: Verdict, profile: Index, lasted_ms: Times, present: Bools, three: Bools
    ) -> None:
        """Flat line: for how long the value has not changed, over at least three readings."""
        limit = self.flat_suspect_ms[profile]
        tested = present & (limit != NEVER)
        verdict.add(
            Test.FLAT_LINE,
            tested,
            three & (lasted_ms >= limit),
            three & (lasted_ms >= self.flat_fail_ms[profile]),
        )


_PER_PROFILE: Final = (
    "sensor_low",
    "sensor_high",
    "user_low",
    "user_high",
    "spike_suspect",
    "spike_fail",
    "rate_per_s",
)
