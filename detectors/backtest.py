"""What would these rules have raised on a stored history: the live core, run over the past."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats, Index, Times
from detectors.flags import Flag
from detectors.fleet import Fleet
from detectors.outcome import Transitions, Verdicts
from detectors.part import join, no_transitions
from detectors.profile import Profile
from detectors.readings import Readings

_MONTH_MS: Final = 30 * 86_400_000
# Readings stepped at a time.
_PIECE: Final = 65_536


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
    There is no second implementation: the streaming core steps through the history in pieces, so
    that a year of minutes needs no more memory than the history and one piece. Where it is cut
    changes no bit: the pieces are in order of time, and readings of one moment stay together.

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
    state, flags, moved = fleet.empty_state(), _Flags(sensors), []
    first = np.full(sensors, np.iinfo(np.int64).max)
    last = np.full(sensors, np.iinfo(np.int64).min)
    for piece in _pieces(history):
        outcome = fleet.step(state, piece)
        state = outcome.state
        kept = ~(outcome.duplicate | outcome.conflict)
        sensor, time_ms = piece.sensor[kept], piece.time_ms[kept]
        flags.take(sensor, outcome.flag[kept], outcome.verdicts)
        np.minimum.at(first, sensor, time_ms)
        np.maximum.at(last, sensor, time_ms)
        moved.append(outcome.transitions)
    silent = last < first
    first[silent] = last[silent] = 0
    months = float((last - first).sum()) / _MONTH_MS
    moves = join(Transitions, moved, no_transitions())
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
    return Backtest(
        episodes=episodes,
        flags={int(flag): int(flags.count[flag]) for flag in np.flatnonzero(flags.count)},
        readings=int(flags.count.sum()),
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
    # Loaded when somebody asks: 18 MB and an eighth of the start of the API, which rarely does.
    from scipy import special  # noqa: PLC0415

    low = float(special.gammaincinv(count, 0.025)) if count else 0.0
    return low / exposure, float(special.gammaincinv(count + 1, 0.975)) / exposure


class _Flags:
    """Readings by flag, as they stand once the spike test has told what it had to wait for."""

    def __init__(self, sensors: int) -> None:
        self.count: Index = np.zeros(max(Flag) + 1, np.int64)
        self._newest = np.zeros(sensors, np.uint8)

    def take(self, sensor: NDArray[np.int32], flag: NDArray[np.uint8], verdicts: Verdicts) -> None:
        """Count the flags of a piece, in order of time, and what it tells of the one before."""
        self.count -= np.bincount(self._newest[verdicts.sensor], minlength=len(self.count))
        self.count += np.bincount(verdicts.flag, minlength=len(self.count))
        self.count += np.bincount(flag, minlength=len(self.count))
        self._newest[sensor] = flag  # of several readings of one sensor the last one stays


def _pieces(history: Readings) -> Iterator[Readings]:
    """Cut a history in order of time into pieces of about `_PIECE` readings."""
    order = np.argsort(history.time_ms, kind="stable")
    time_ms = history.time_ms[order]
    cuts = np.unique(np.searchsorted(time_ms, time_ms[::_PIECE]))
    for low, high in pairwise([*cuts.tolist(), len(order)]):
        yield history.take(order[low:high])
