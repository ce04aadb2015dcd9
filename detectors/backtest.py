"""What would these rules have raised on a stored history: the live core, run over the past."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.arrays import Floats, Index, Times
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.readings import Readings

_MONTH_MS: Final = 30 * 86_400_000


@dataclass(frozen=True, eq=False)
class Episodes:
    """Alerts above level 0, by sensor, rule and onset.

    Attributes
    ----------
    sensor, rule : int32[e]
    onset_ms : int64[e]
    clear_ms : int64[e]
        The end of the history where `open`.
    open : bool[e]
        Not ended by an observed fall.
    peak_level : int16[e]
    unconfirmed : bool[e]
        Begun by a step that no second reading had confirmed.
    """

    sensor: NDArray[np.int32]
    rule: NDArray[np.int32]
    onset_ms: Times
    clear_ms: Times
    open: NDArray[np.bool_]
    peak_level: NDArray[np.int16]
    unconfirmed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sensor)


@dataclass(frozen=True, eq=False)
class Backtest:
    """Result of a run over a history.

    Attributes
    ----------
    episodes : Episodes
    flags : dict
        Readings by QARTOD flag.
    readings : int
        Decided on; duplicates are left out.
    sensor_months : float
        Time between first and last reading, summed over the sensors, in months of 30 days.
    per_sensor_month : float64[R]
        Episodes of each rule per sensor-month; NaN for a history without length.
    """

    episodes: Episodes
    flags: dict[int, int]
    readings: int
    sensor_months: float
    per_sensor_month: Floats


def backtest(profile: Profile, history: Readings) -> Backtest:
    """Run the rules of a profile over the history of some sensors.

    Parameters
    ----------
    profile : Profile
    history : Readings
        In any order; sensors are numbered from 0.

    Returns
    -------
    Backtest

    Notes
    -----
    There is no second implementation: the history is one batch of the streaming core, which
    gives the bits that it gave, or would have given, reading by reading.

    Examples
    --------
    >>> from detectors.rules import Level, Threshold
    >>> street = Profile.of([("street-depth", Threshold((Level(0.1, 0.05),)))])
    >>> run = backtest(street, Readings.of(0, [0, 60_000, 120_000], [0.0, 0.2, 0.0]))
    >>> run.episodes.clear_ms.tolist()
    [120000]
    """
    sensors = int(history.sensor.max(initial=-1)) + 1
    fleet = Fleet.compile([profile], np.zeros(sensors, np.int64))
    outcome = fleet.step(fleet.empty_state(), history)
    kept = ~(outcome.duplicate | outcome.conflict)
    first, last = _ends(history.sensor[kept], history.time_ms[kept], sensors)
    months = float((last - first).sum()) / _MONTH_MS
    moves = outcome.transitions
    begins = np.flatnonzero(moves.from_level == 0)
    # Transitions are sorted by sensor, rule and time: an episode goes on to the next beginning.
    ends = np.append(begins, len(moves))[1:]
    closing = np.maximum(ends - 1, 0)
    is_open = moves.to_level[closing] != 0
    sensor = moves.sensor[begins]
    peak = np.maximum.reduceat(moves.to_level, begins) if len(begins) else np.zeros(0, np.int16)
    episodes = Episodes(
        sensor=sensor,
        rule=moves.rule[begins],
        onset_ms=moves.time_ms[begins],
        clear_ms=np.where(is_open, last[sensor], moves.time_ms[closing]),
        open=is_open,
        peak_level=peak,
        unconfirmed=moves.unconfirmed[begins],
    )
    count = np.bincount(episodes.rule, minlength=len(profile.rules)).astype(np.float64)
    flag, times = np.unique(outcome.flag[kept], return_counts=True)
    return Backtest(
        episodes=episodes,
        flags=dict(zip(flag.tolist(), times.tolist(), strict=True)),
        readings=int(np.count_nonzero(kept)),
        sensor_months=months,
        per_sensor_month=count / months if months > 0.0 else np.full(len(count), np.nan),
    )


def poisson_interval(count: int, exposure: float) -> tuple[float, float]:
    """Exact 95% interval of a rate, from a count of events over an exposure.

    Parameters
    ----------
    count : int
    exposure : float
        Above 0; the rate is per unit of it.

    References
    ----------
    Garwood (1936), Fiducial limits for the Poisson distribution, Biometrika 28.

    Examples
    --------
    >>> [round(bound, 3) for bound in poisson_interval(0, 1.0)]
    [0.0, 3.689]
    """
    low = float(special.gammaincinv(count, 0.025)) if count else 0.0
    return low / exposure, float(special.gammaincinv(count + 1, 0.975)) / exposure


def _ends(sensor: NDArray[np.int32], time_ms: Times, sensors: int) -> tuple[Times, Index]:
    """First and last time of each sensor; equal for a sensor without readings."""
    first = np.full(sensors, np.iinfo(np.int64).max)
    last = np.full(sensors, np.iinfo(np.int64).min)
    np.minimum.at(first, sensor, time_ms)
    np.maximum.at(last, sensor, time_ms)
    silent = last < first
    return np.where(silent, 0, first), np.where(silent, 0, last)
