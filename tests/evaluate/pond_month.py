"""Seeded synthetic carp ponds: a month of days, weather, dirt and hands, whose truth is known."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tests.evaluate.events import Span, runs

STEP_MS: Final = 600_000
PER_HOUR: Final = 6
# The first of June at 37 degrees north on the prime meridian, where the sun is up from 4:45 to
# 19:15 UTC.
BEGIN_MS: Final = 151 * 86_400_000
LAT, LON = 37.0, 0.0
SUNRISE_H, SUNSET_H = 4.75, 19.25


@dataclass(frozen=True, eq=False)
class Ponds:
    """Temperature, pH and oxygen of P ponds every ten minutes.

    Attributes
    ----------
    temp_c, ph, oxygen : float64[P, T]
        As reported; NaN: lost.
    true_oxygen : float64[P, T]
    shocks, blooms, fouled, lifted : list of Span
        What happened.
    """

    temp_c: np.ndarray
    ph: np.ndarray
    oxygen: np.ndarray
    true_oxygen: np.ndarray
    shocks: list[Span] = field(default_factory=list)
    blooms: list[Span] = field(default_factory=list)
    fouled: list[Span] = field(default_factory=list)
    lifted: list[Span] = field(default_factory=list)

    @property
    def time_ms(self) -> np.ndarray:
        """Time of each column; the first is midnight of the pond."""
        return BEGIN_MS + np.arange(self.temp_c.shape[1]) * STEP_MS

    @property
    def hour(self) -> np.ndarray:
        """Hour of the day of each column."""
        return self.time_ms / 3.6e6 % 24.0

    @classmethod
    def seeded(cls, seed: int, ponds: int = 30, days: int = 30) -> "Ponds":
        """Draw a month.

        Notes
        -----
        Water of 22 to 27 degC with a daily cycle of 1 to 6 degC, pH 7.6 with one of 0.3 to 0.8,
        oxygen 7.5 mg/L with one of 2 to 4; the water's noise is 0.1 degC, 0.03 and 0.1 mg/L; 3% of
        the reports are lost. From the second week on each pond has three nights on which the
        oxygen sinks to 1.5 to 3.5 mg/L, one shock (4.5 to 9 degC colder within 20 minutes, gone in
        hours), one bloom of two days (pH swings by 1.8 to 2.4 around 8.3), one oxygen probe that
        is overgrown within a day (it then shows its electronics' noise of 0.01 mg/L) and cleaned
        after three more, and two lift-outs of 20 to 40 minutes.
        """
        rng = np.random.default_rng(seed)
        steps = days * 24 * PER_HOUR
        hour = np.arange(steps) / PER_HOUR % 24.0
        day_cycle = np.sin(2.0 * np.pi * (hour - 9.0) / 24.0)  # lowest at 3, highest at 15

        def per_pond(low: float, high: float) -> np.ndarray:
            return rng.uniform(low, high, (ponds, 1))

        temp = per_pond(22.0, 27.0) + per_pond(0.5, 3.0) * day_cycle
        ph = 7.6 + per_pond(0.15, 0.4) * day_cycle
        oxygen = 7.5 + per_pond(1.0, 2.0) * day_cycle
        month = cls(temp, ph, oxygen, oxygen.copy())
        for values, noise in ((temp, 0.1), (ph, 0.03), (oxygen, 0.1)):
            np.add(values, noise * rng.normal(size=values.shape), out=values)
        for pond in range(ponds):
            # Each thing has days of its own, so that no two explain one another.
            free = rng.permutation(np.arange(8, days - 5, 5))
            month._sink(pond, free[0] + np.array([0, 1, 2]), rng)
            month._chill(pond, int(free[1]), rng)
            month._bloom(pond, int(free[2]), rng)
            month._overgrow(pond, int(free[3]), rng)
            for day in (int(free[1]) + 3, int(free[2]) + 4):
                month._lift(pond, day, rng)
        for values in (temp, ph, oxygen):
            values[rng.random(values.shape) < 0.03] = np.nan
        return month

    def _sink(self, pond: int, nights: np.ndarray, rng: np.random.Generator) -> None:
        for night in nights:
            dusk, dawn = (int((night * 24 + h) * PER_HOUR) for h in (SUNSET_H, 24.0 + SUNRISE_H))
            lowest = rng.uniform(1.5, 3.5)
            lack = self.true_oxygen[pond, dawn] - lowest
            shape = np.linspace(0.0, 1.0, dawn - dusk) ** 1.2
            back = np.linspace(1.0, 0.0, 3 * PER_HOUR)
            whole = np.concatenate([shape, back]) * lack
            self.true_oxygen[pond, dusk : dusk + len(whole)] -= whole
            self.oxygen[pond, dusk : dusk + len(whole)] -= whole

    def _chill(self, pond: int, day: int, rng: np.random.Generator) -> None:
        begin = int((day * 24 + rng.uniform(8.0, 16.0)) * PER_HOUR)
        since = np.arange(8 * PER_HOUR)
        fall = np.minimum(since / 2.0, 1.0) * np.exp(-np.maximum(since - 6, 0) / 18.0)
        self.temp_c[pond, begin : begin + len(since)] -= rng.uniform(4.5, 9.0) * fall
        self.shocks.append(_span(pond, begin, begin + PER_HOUR))

    def _bloom(self, pond: int, day: int, rng: np.random.Generator) -> None:
        begin, end = day * 24 * PER_HOUR, (day + 2) * 24 * PER_HOUR
        cycle = np.sin(2.0 * np.pi * (self.hour[begin:end] - 9.0) / 24.0)
        noise = 0.03 * rng.normal(size=len(cycle))
        self.ph[pond, begin:end] = 8.3 + rng.uniform(0.9, 1.2) * cycle + noise
        self.blooms.append(_span(pond, begin, end))

    def _overgrow(self, pond: int, day: int, rng: np.random.Generator) -> None:
        begin, end = day * 24 * PER_HOUR, (day + 4) * 24 * PER_HOUR
        rest = rng.uniform(4.5, 6.0)
        seen = np.exp(-np.arange(end - begin) / (4.0 * PER_HOUR))  # after a day 0.2% is left
        noise = 0.01 * rng.normal(size=len(seen))  # of the electronics
        self.oxygen[pond, begin:end] = rest + seen * (self.oxygen[pond, begin:end] - rest) + noise
        self.fouled.append(_span(pond, begin + 24 * PER_HOUR, end))

    def _lift(self, pond: int, day: int, rng: np.random.Generator) -> None:
        begin = int((day * 24 + rng.uniform(9.0, 16.0)) * PER_HOUR)
        end = begin + int(rng.integers(2, 5))
        self.temp_c[pond, begin:end] += rng.choice([-1.0, 1.0]) * rng.uniform(5.0, 8.0)
        self.ph[pond, begin:end] = rng.uniform(5.0, 6.0)
        self.oxygen[pond, begin:end] = 11.5
        self.lifted.append(_span(pond, begin, end - 1))

    def low_oxygen(self, below: float, grave: float) -> list[Span]:
        """Stretches with too little oxygen, by the truth."""
        spans = []
        for pond, true in enumerate(self.true_oxygen):
            for span in runs(pond, self.time_ms, true < below):
                first, last = ((t - BEGIN_MS) // STEP_MS for t in (span.begin_ms, span.end_ms))
                inside = true[first : last + 1]
                spans.append(Span(pond, span.begin_ms, span.end_ms, bool(inside.min() < grave)))
        return spans


def _span(pond: int, begin: int, end: int) -> Span:
    return Span(pond, BEGIN_MS + begin * STEP_MS, BEGIN_MS + end * STEP_MS)
