"""Time to threshold: when water may reach the next level, with an interval that means it.

A Kalman filter follows level and slope as an integrated random walk; the slope is damped in the
forecast, because no stream rises for ever. What it says is shown to people and decides nothing in
the ledger, so its exponentials may differ in the last bit between processors.

The defaults and gates were chosen on New York's street floods, at every second sensor in every
second month, and accepted on the rest (`make evaluate`, docs/detection-report.md). The values that
the first design had (drive 3e-10, damping 3600 s, noise 1 cm) called a fifth as many crossings
expected there, and more than a quarter of these never came: streets fill within minutes and stop
as suddenly. On two flashy streams, read every five minutes, the interval held 58 and 68 of 100:
too few crossings are known to choose better values for a stream.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import NEVER, Bools, Floats, Index, Times
from detectors.parameters import Parameters, check_number

# Normalised innovations looked back on.
_CHECKED: Final = 10
# Slope beyond so many standard errors, on two readings running.
_SURE_SLOPE: Final = 2.0
# Mean normalised innovation squared: 1 for a filter that knows its noise, 3 is a filter astray.
_MOST_NIS: Final = 3.0
# The interval's half-width in standard deviations. 80% of a normal distribution lie within 1.28;
# of real crossings 84% did at 1.15, which leaves some room on either side of 80%.
_WIDTH: Final = 1.15
# A crossing is expected when the curve at the lower end of one-sided 90% arrives too, ...
_SURE_TO_ARRIVE: Final = 1.2815515655446004
# ... the innovations are no larger than those of a filter that knows its noise, ...
_EXPECTED_NIS: Final = 1.0
# ... and no more is missing than a third of the depth there is: a street's water may stop rising
# at any reading, and the wider it stands, the more it takes. (No bound on a river's stage, which
# counts from a datum far below.)
_MOST_GROWTH: Final = 1.0 / 3.0
_GRID: Final = 121


class Reach(IntEnum):
    """What may be said about reaching the level."""

    NOTHING = 0
    MAY = 1
    EXPECTED = 2


@dataclass(frozen=True)
class TimeToThreshold(Parameters):
    """Tell when the next level may be reached.

    Attributes
    ----------
    noise : float
        Standard deviation of a reading, m.
    drive : float
        Variance rate of the slope's random walk, m^2/s^3.
    damping_s : float
        Time after which a slope has lost most of itself.
    horizon_s : float
        Nothing is said beyond it.
    max_gap_s : float
        A longer gap starts the filter anew.
    """

    kind: ClassVar[str] = "time_to_threshold"

    noise: float = 0.005
    drive: float = 5e-11
    damping_s: float = 900.0
    horizon_s: float = 1800.0
    max_gap_s: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("noise", "drive", "damping_s", "horizon_s", "max_gap_s"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), above=0.0))


@dataclass(frozen=True, eq=False)
class Tracks:
    """Filters of S sensors.

    Attributes
    ----------
    time_ms : int64[S]
        Of the last reading taken in; NEVER before the first.
    level, slope : float64[S]
        m and m/s.
    p00, p01, p11 : float64[S]
        Their covariance.
    nis : float64[S, 10]
        Latest normalised innovations squared; NaN where there was none yet.
    sure : int64[S]
        Readings in a row at which the slope was beyond two standard errors.
    """

    time_ms: Times
    level: Floats
    slope: Floats
    p00: Floats
    p01: Floats
    p11: Floats
    nis: Floats
    sure: Index

    @classmethod
    def empty(cls, sensors: int) -> Self:
        """Filters that have seen nothing."""
        zeros = np.zeros(sensors)
        return cls(
            np.full(sensors, NEVER, np.int64), zeros, zeros, zeros, zeros, zeros,
            np.full((sensors, _CHECKED), np.nan), np.zeros(sensors, np.int64),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Arrival:
    """When a level may be reached.

    Attributes
    ----------
    reach : int8[n]
        `Reach`.
    after_s, earliest_s, latest_s : float64[n]
        Seconds from the last reading; NaN where nothing may be said, infinite where the damped
        curve never gets there. The interval holds the truth in 80 of 100 cases.
    """

    reach: NDArray[np.int8]
    after_s: Floats
    earliest_s: Floats
    latest_s: Floats


def follow(
    tracks: Tracks, rule: TimeToThreshold, sensor: Index, time_ms: Times, value: Floats
) -> Tracks:
    """Take in at most one new reading of each of some sensors.

    Parameters
    ----------
    tracks : Tracks
        Not written.
    rule : TimeToThreshold
    sensor : int64[n], unique
    time_ms : int64[n]
        Newer than what the filter has seen; older and missing ones are left out.
    value : float64[n]
        Level in metres.

    Returns
    -------
    Tracks
    """
    use = np.isfinite(value) & (time_ms > tracks.time_ms[sensor])
    sensor, time_ms, value = sensor[use], time_ms[use], value[use]
    old = {name: getattr(tracks, name)[sensor] for name in ("level", "slope", "p00", "p01", "p11")}
    known = tracks.time_ms[sensor] != NEVER
    dt = np.where(known, (time_ms - tracks.time_ms[sensor]) / 1000.0, 0.0)
    fresh = ~known | (dt > rule.max_gap_s)
    dt = np.where(fresh, 0.0, dt)
    noise2, q = rule.noise * rule.noise, rule.drive

    level = old["level"] + old["slope"] * dt
    p00 = old["p00"] + 2.0 * dt * old["p01"] + dt * dt * old["p11"] + q * dt * dt * dt / 3.0
    p01 = old["p01"] + dt * old["p11"] + q * dt * dt / 2.0
    p11 = old["p11"] + q * dt
    spread = p00 + noise2
    innovation = value - level
    gain0, gain1 = p00 / spread, p01 / spread
    nis = innovation * innovation / spread

    # A filter that starts knows the reading, and of the slope only that 20 m/h is a lot.
    steep2 = (20.0 / 3600.0) ** 2
    after = {
        "level": np.where(fresh, value, level + gain0 * innovation),
        "slope": np.where(fresh, 0.0, old["slope"] + gain1 * innovation),
        "p00": np.where(fresh, noise2, (1.0 - gain0) * p00),
        "p01": np.where(fresh, 0.0, (1.0 - gain0) * p01),
        "p11": np.where(fresh, steep2, p11 - gain1 * p01),
    }
    history = tracks.nis[sensor]
    history = np.concatenate([history[:, 1:], nis[:, None]], axis=1)
    history[fresh] = np.nan
    sure = after["slope"] > _SURE_SLOPE * np.sqrt(np.maximum(after["p11"], 0.0))
    columns = {name: getattr(tracks, name).copy() for name in vars(tracks)}
    for name, column in after.items():
        columns[name][sensor] = column
    columns["time_ms"][sensor] = time_ms
    columns["nis"][sensor] = history
    columns["sure"][sensor] = np.where(sure & ~fresh, tracks.sure[sensor] + 1, 0)
    return replace(tracks, **columns)


def arrival(tracks: Tracks, rule: TimeToThreshold, sensor: Index, level_m: Floats) -> Arrival:
    """Tell when each of some sensors may reach a level above it.

    Parameters
    ----------
    sensor : int64[n]
    level_m : float64[n]
        The next level's `on`.

    Returns
    -------
    Arrival

    Notes
    -----
    Solves L + b g(t) = H with g(t) = tau (1 - exp(-t / tau)); the interval solves the same curve
    plus and minus 1.15 sd(t), sd^2 = P00 + 2 g P01 + g^2 P11 + q t^3 / 3. "May" needs the middle
    curve to arrive within the horizon, a slope beyond two standard errors on two readings
    running, and innovations not far beyond the size the filter expects. "Expected" needs the
    curve less 1.28 sd to arrive too, innovations of just that size, and a level that is at most
    a third above the water.
    """
    tau = rule.damping_s
    t = np.linspace(0.0, rule.horizon_s, _GRID)
    g = tau * (1.0 - np.exp(-t / tau))
    level, slope = tracks.level[sensor][:, None], tracks.slope[sensor][:, None]
    p00, p01, p11 = (getattr(tracks, name)[sensor][:, None] for name in ("p00", "p01", "p11"))
    sd = np.sqrt(np.maximum(p00 + 2.0 * g * p01 + g * g * p11 + rule.drive * t**3 / 3.0, 0.0))
    middle = level + slope * g
    goal = level_m[:, None]
    after = _crossing(t, middle, goal)
    earliest = _crossing(t, middle + _WIDTH * sd, goal)
    latest = _crossing(t, middle - _WIDTH * sd, goal)
    arrives = np.isfinite(_crossing(t, middle - _SURE_TO_ARRIVE * sd, goal))

    nis = tracks.nis[sensor]
    checked = np.count_nonzero(~np.isnan(nis), axis=1)
    mean_nis = np.nansum(nis, axis=1) / np.maximum(checked, 1)
    below = tracks.level[sensor] < level_m
    may = below & (tracks.sure[sensor] >= 2) & (checked >= 2) & (mean_nis <= _MOST_NIS)
    may &= np.isfinite(after)
    near = level_m - tracks.level[sensor] <= _MOST_GROWTH * tracks.level[sensor]
    expected = arrives & near & (mean_nis <= _EXPECTED_NIS)
    reach = np.where(may, np.where(expected, Reach.EXPECTED, Reach.MAY), Reach.NOTHING)

    def said(seconds: Floats) -> Floats:
        return np.where(may, seconds, np.nan)

    return Arrival(reach.astype(np.int8), said(after), said(earliest), said(latest))


def _crossing(t: Floats, curve: Floats, goal: Floats) -> Floats:
    """First time at which each curve reaches its goal, infinite where it does not."""
    over: Bools = curve >= goal
    at = np.argmax(over, axis=1)
    rows = np.arange(len(curve))
    before = np.maximum(at - 1, 0)
    low, high = curve[rows, before], curve[rows, at]
    share = np.divide(goal[:, 0] - low, high - low, out=np.zeros(len(rows)), where=high > low)
    when = t[before] + np.clip(share, 0.0, 1.0) * (t[at] - t[before])
    return np.where(over.any(axis=1), np.where(at == 0, 0.0, when), np.inf)
