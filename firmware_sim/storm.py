"""The weather of a simulated town: storms, and how water rises and falls at a place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_sim.chance import Chance


@dataclass(frozen=True, slots=True)
class Hydrograph:
    """How water answers to a storm at one place.

    Parameters
    ----------
    base_m
        Level without rain: 0 on a street, the low-water stage of a river.
    peak_m
        Rise above the base at the crest of a storm of strength 1.
    lag_s, rise_s
        From the storm's onset to the first water, and from there to the crest.
    hold_s, recession_s
        How long the crest stays, and the time in which the water then falls to 1/e.
    loss_m
        What gullies and soil swallow: a place with a loss stays dry in a weak storm.
    """

    base_m: float
    peak_m: float
    lag_s: float
    rise_s: float
    hold_s: float
    recession_s: float
    loss_m: float = 0.0

    def __post_init__(self) -> None:
        if min(self.rise_s, self.recession_s) <= 0 or min(self.lag_s, self.hold_s) < 0:
            raise ValueError(
                "a hydrograph needs a rise and a recession above 0 s, and a lag and a hold of "
                f"0 s or more, not {self}"
            )

    def rise_m(self, since_onset_s: float, strength: float) -> float:
        """Return the rise above the base, in metres, so long after a storm's onset."""
        wet_s = since_onset_s - self.lag_s
        if wet_s <= 0:
            return 0.0
        if wet_s < self.rise_s:
            shape = wet_s / self.rise_s
        else:
            falling_s = max(0.0, wet_s - self.rise_s - self.hold_s)
            shape = math.exp(-falling_s / self.recession_s)
        return max(0.0, strength * shape * (self.peak_m + self.loss_m) - self.loss_m)


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm.

    Parameters
    ----------
    onset_ms
        When the rain starts to show.
    strength
        1: as the hydrographs say.
    number
        0 for the one that the run started with; faults are planned by it.
    """

    onset_ms: int
    strength: float
    number: int


class Weather:
    """Storms without end, as a pure function of time.

    Parameters
    ----------
    first_onset_ms
        Onset of storm number 0, milliseconds since 1970 UTC; earlier ones have negative numbers.
    period_s
        Mean time from onset to onset.
    seed
        The run's seed: the spacing and strength of later storms come from it.
    """

    def __init__(self, first_onset_ms: int, period_s: float, seed: int) -> None:
        if period_s < 600:
            raise ValueError(f"storms come at most every 600 s, not every {period_s} s")
        self.first_onset_ms = first_onset_ms
        self._period_ms = int(period_s * 1000)
        self._chance = Chance(seed, "weather")

    def storm(self, number: int) -> Storm:
        """Return the storm with this number."""
        if number == 0:  # the one that people see first: at the promised moment, in full strength
            return Storm(self.first_onset_ms, 1.0, 0)
        shift = self._chance.uniform("onset", number, -0.12, 0.12)
        return Storm(
            self.first_onset_ms + int(self._period_ms * (number + shift)),
            self._chance.uniform("strength", number, 0.45, 1.15),
            number,
        )

    def recent(self, time_ms: int) -> Sequence[Storm]:
        """Return the storms whose water may still stand at `time_ms`, oldest first."""
        newest = (time_ms - self.first_onset_ms) // self._period_ms + 1
        storms = [self.storm(number) for number in range(newest - 3, newest + 1)]
        return [storm for storm in storms if storm.onset_ms <= time_ms]

    def rise_m(self, hydrograph: Hydrograph, time_ms: int) -> float:
        """Return the water's rise above its base at a place, in metres."""
        return sum(
            hydrograph.rise_m((time_ms - storm.onset_ms) / 1000, storm.strength)
            for storm in self.recent(time_ms)
        )
