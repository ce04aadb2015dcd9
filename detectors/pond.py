"""Pond rules that need a pond's own day: swings, shocks, nights, and probes lifted out.

Ponds cycle every day: a fixed limit on the rate of pH or temperature would call at every sunrise.
So changes are judged against the same hour of the days before. These run in the jobs, on hourly
values.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from detectors.arrays import NEVER, Bools, Floats, Times
from detectors.errors import ParameterError
from detectors.parameters import Parameters, check_number

# Days that make up the usual value of an hour.
BASELINE_DAYS: Final = 7
HOURS: Final = (BASELINE_DAYS + 1) * 24
# A one-sided 80% bound of a normal distribution is 0.8416 standard deviations off.
_Z_ONE_SIDED_80: Final = 0.8416212335729143


def _ascending(field: str, limits: tuple[float, ...]) -> tuple[float, ...]:
    checked = tuple(check_number(field, x, above=0.0) for x in limits)
    if not checked or list(checked) != sorted(checked):
        raise ParameterError(field, "at least one limit, ascending")
    return checked


@dataclass(frozen=True)
class DailySwing(Parameters):
    """A value that swings too far within a day, or stands off its usual value of the hour.

    Attributes
    ----------
    per_day : tuple of float
        Range over 24 h of each level; ponds in bloom swing from pH 7.5 to 9.5 every day (Boyd and
        Fast 1992).
    off_usual : float
        Distance from the median of the same hour of the last seven days: level 1.
    """

    kind: ClassVar[str] = "daily_swing"

    per_day: tuple[float, ...] = (1.0, 1.5)
    off_usual: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_day", _ascending("per_day", self.per_day))
        check_number("off_usual", self.off_usual, above=0.0)


@dataclass(frozen=True)
class TemperatureShock(Parameters):
    """Water that changes its temperature faster than carp bear.

    Attributes
    ----------
    per_day : tuple of float
        Change within 24 h beyond the usual daily cycle, of level 1, 2, ...
    per_hour : tuple of float
        Change within an hour beyond what is usual at that hour, of level 2, 3, ... Drops of 7 to
        11 degC stress carp within 20 minutes (Tanck 2000); koi keepers change 3 degC at most.
    """

    kind: ClassVar[str] = "temperature_shock"

    per_day: tuple[float, ...] = (3.0, 5.0)
    per_hour: tuple[float, ...] = (2.0, 7.0)

    def __post_init__(self) -> None:
        for name in ("per_day", "per_hour"):
            object.__setattr__(self, name, _ascending(name, getattr(self, name)))


@dataclass(frozen=True)
class NightOxygen(Parameters):
    """Oxygen that will not last until the sun rises.

    Attributes
    ----------
    floor_mg_l : float
        Carp come up for air below it (鼻上げ).
    warm_c, warm_floor_mg_l : float
        Above this temperature this much oxygen is too little at any hour.
    """

    kind: ClassVar[str] = "night_oxygen"

    floor_mg_l: float = 3.0
    warm_c: float = 28.0
    warm_floor_mg_l: float = 5.0

    def __post_init__(self) -> None:
        for name in ("floor_mg_l", "warm_floor_mg_l"):
            check_number(name, getattr(self, name), above=0.0)
        check_number("warm_c", self.warm_c)


@dataclass(frozen=True)
class LiftOut(Parameters):
    """All probes of a pond jump together: somebody has lifted them out.

    Attributes
    ----------
    within_s : float
        The jumps lie so close together.
    quiet_s : float
        Alerts of the pond are held back for so long, and the log says so [J].
    """

    kind: ClassVar[str] = "lift_out"

    within_s: float = 300.0
    quiet_s: float = 1800.0

    def __post_init__(self) -> None:
        for name in ("within_s", "quiet_s"):
            check_number(name, getattr(self, name), above=0.0)


def usual(hourly: Floats) -> Floats:
    """Usual value of the newest 24 hours: the median of the same hour of the days before.

    Parameters
    ----------
    hourly : float64[n, 192]
        Hourly means of eight days, oldest first; NaN where an hour has none.

    Returns
    -------
    float64[n, 24]
        NaN where fewer than three of the seven days have that hour: nothing is usual yet.
    """
    before = hourly[:, :-24].reshape(len(hourly), BASELINE_DAYS, 24)
    days = np.count_nonzero(~np.isnan(before), axis=1)
    ordered = np.sort(before, axis=1)  # NaN last
    low = np.take_along_axis(ordered, (np.maximum(days - 1, 0) >> 1)[:, None, :], axis=1)
    high = np.take_along_axis(ordered, np.minimum(days >> 1, BASELINE_DAYS - 1)[:, None, :], axis=1)
    return np.where(days >= 3, (low[:, 0] + high[:, 0]) / 2.0, np.nan)


def _range(values: Floats) -> Floats:
    """Highest less lowest of each row; NaN where a row has nothing."""
    some = ~np.isnan(values)
    high = np.where(some, values, -np.inf).max(axis=1)
    low = np.where(some, values, np.inf).min(axis=1)
    return np.where(some.any(axis=1), high - low, np.nan)


def _levels(value: Floats, limits: tuple[float, ...], first: int = 1) -> Floats:
    level = np.zeros(len(value))
    level[np.isnan(value)] = np.nan
    for number, limit in enumerate(limits, first):
        level[value > limit] = number
    return level


def swing_level(rule: DailySwing, hourly: Floats) -> Floats:
    """Level of the daily swing at the newest hour.

    Parameters
    ----------
    hourly : float64[n, 192]
        As in `usual`.

    Returns
    -------
    float64[n]
        NaN: the newest hour is missing, so nothing is known.
    """
    day = hourly[:, -24:]
    level = _levels(_range(day), rule.per_day)
    off = np.abs(day[:, -1] - usual(hourly)[:, -1])
    level = np.where(off > rule.off_usual, np.fmax(level, 1.0), level)
    return np.where(np.isnan(day[:, -1]), np.nan, level)


def shock_level(rule: TemperatureShock, hourly: Floats) -> Floats:
    """Level of the temperature's change at the newest hour, beyond its usual daily cycle.

    Parameters
    ----------
    hourly : float64[n, 192]
        As in `usual`.

    Returns
    -------
    float64[n]
        NaN: the newest hour is missing. Without a usual day (the first week) the change itself
        is judged.
    """
    day = hourly[:, -24:]
    cycle = usual(hourly)
    unknown = np.count_nonzero(np.isnan(cycle), axis=1) > 0
    beyond = day - np.where(unknown[:, None], 0.0, cycle)
    level = _levels(_range(beyond), rule.per_day)
    per_hour = np.abs(beyond[:, -1] - beyond[:, -2])
    level = np.fmax(level, _levels(per_hour, rule.per_hour, first=2))
    return np.where(np.isnan(day[:, -1]), np.nan, level)


def night_level(
    rule: NightOxygen, oxygen: Floats, slope_per_h: Floats, error_per_h: Floats,
    noise: Floats, hours_to_sunrise: Floats, temperature_c: Floats,
) -> Floats:  # fmt: skip
    """Whether the oxygen lasts until sunrise.

    Parameters
    ----------
    oxygen : float64[n]
        mg/L.
    slope_per_h, error_per_h : float64[n]
        From `guarded_slopes` over the last hours; NaN where not evaluated.
    noise : float64[n]
        Standard deviation of a reading.
    hours_to_sunrise : float64[n]
        NaN by day: then only the warm-water rule applies.
    temperature_c : float64[n]
        NaN where there is no such probe.

    Returns
    -------
    float64[n]
        2: the lower 80% bound of DO + slope * hours falls below the floor before sunrise. 1: warm
        water with little oxygen. 0: neither. NaN: the oxygen is missing.
    """
    at_sunrise = oxygen + slope_per_h * hours_to_sunrise
    sd = np.sqrt(noise * noise + (error_per_h * hours_to_sunrise) ** 2)
    falls = at_sunrise - _Z_ONE_SIDED_80 * sd < rule.floor_mg_l
    warm = (temperature_c > rule.warm_c) & (oxygen < rule.warm_floor_mg_l)
    level = np.where(falls, 2.0, np.where(warm, 1.0, 0.0))
    return np.where(np.isnan(oxygen), np.nan, level)


def lifted_out(rule: LiftOut, jumped_ms: Times, probes: Bools) -> Bools:
    """Ponds whose probes have all jumped together.

    Parameters
    ----------
    jumped_ms : int64[n, k]
        When each of k probes last jumped (spike or rate of change: suspect); NEVER: not lately.
    probes : bool[n, k]
        Which of the k a pond has.

    Returns
    -------
    bool[n]
        Never for a single probe: alone it may be right.
    """
    latest = np.where(probes, jumped_ms, NEVER).max(axis=1)
    first = np.where(probes, jumped_ms, -NEVER).min(axis=1)
    together: Bools = np.count_nonzero(probes, axis=1) >= 2
    jumped = together & (first != NEVER)
    apart_ms = latest - np.where(jumped, first, latest)
    lifted: Bools = jumped & (apart_ms <= rule.within_s * 1000.0)
    return lifted
