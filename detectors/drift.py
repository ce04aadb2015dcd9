"""Drift of a probe: its days move away slowly from what they were, and others' days do not.

QARTOD leaves drift to the comparison with a second instrument. Here the second instrument is the
median of the other probes of the same property; days are compared by their medians, so that
neither a storm nor the pond's daily cycle counts.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats, Index, Times
from detectors.errors import ParameterError
from detectors.flags import Flag
from detectors.parameters import Parameters, check_number
from detectors.sentence import Sentence

DAY_MS: Final = 86_400_000
# A day of fewer readings says nothing of its median.
LEAST_READINGS: Final = 6
_LEAST_NEIGHBOURS: Final = 2

Flags: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Drift(Parameters):
    """A slow departure of the daily median, in the unit of the datastream.

    Attributes
    ----------
    limit : float
        Departure from the days before, beyond that of the neighbours, above which a day's
        readings get flag 3.
    limit_alone : float, optional
        The same without neighbours to compare with; None: then it is not evaluated, because the
        season moves the water too.
    days : float
        How many days before are compared with; at least half of them must be there.
    """

    kind: ClassVar[str] = "drift"

    limit: float
    limit_alone: float | None = None
    days: float = 14.0

    def __post_init__(self) -> None:
        least = check_number("limit", self.limit, above=0.0)
        if self.limit_alone is not None:
            check_number("limit_alone", self.limit_alone, least=least)
        if check_number("days", self.days, least=4.0, most=90.0) % 1.0:
            raise ParameterError(
                "days", Sentence("must be a whole number, got {value:g}", value=self.days)
            )


def daily_medians(time_ms: Times, value: Floats, first_day: int, days: int) -> Floats:
    """Median of each day of one series.

    Parameters
    ----------
    time_ms : int64[n]
        Ascending.
    value : float64[n]
    first_day, days : int
        Day 0 began with 1970 UTC.

    Returns
    -------
    float64[days]
        NaN: too few finite readings, or a day after which the series has no reading: it may not
        be over.
    """
    medians = np.full(days, np.nan)
    edges = np.searchsorted(time_ms, (first_day + np.arange(days + 1)) * DAY_MS)
    for day in range(days):
        if edges[day + 1] == len(time_ms):
            break
        of_day = value[edges[day] : edges[day + 1]]
        of_day = of_day[np.isfinite(of_day)]
        if len(of_day) >= LEAST_READINGS:
            medians[day] = np.median(of_day)
    return medians


def drifted_days(rule: Drift, own: Floats, others: Floats) -> Flags:
    """Judge the days of one series.

    Parameters
    ----------
    rule : Drift
    own : float64[days]
        Daily medians, NaN where there is none.
    others : float64[k, days]
        Those of its neighbours.

    Returns
    -------
    uint8[days]
        GOOD, SUSPECT or NOT_EVALUATED.

    Notes
    -----
    The departure of a day is what it lies above a neighbour, less the median of that over the
    `rule.days` days before it; of several neighbours the median counts, and two at least are
    needed. Without them it is the day less the median of the days before. A move from one day to
    the next of more than the limit is no drift but a step (the probe was cleaned, calibrated or
    exchanged): what was before it is not compared with.
    """
    flag = np.full(len(own), Flag.NOT_EVALUATED, np.uint8)
    days = int(rule.days)
    since, last = 0, -1
    for day in np.flatnonzero(np.isfinite(own)).tolist():
        if last >= 0:
            move, limit = _beside(rule, own, others, day, slice(last, last + 1), 1)
            if limit is not None and abs(move) > limit:
                since = day
        last = day
        before = slice(max(since, day - days), day)
        if 2 * np.count_nonzero(np.isfinite(own[before])) < days:
            continue
        departure, limit = _beside(rule, own, others, day, before, (days + 1) // 2)
        if limit is not None:
            flag[day] = Flag.SUSPECT if abs(departure) > limit else Flag.GOOD
    return flag


def _beside(
    rule: Drift, own: Floats, others: Floats, day: int, before: slice, least: int
) -> tuple[float, float | None]:
    """How far a day is from the days before, beyond the neighbours; and what is allowed."""
    apart = own - others
    known = np.isfinite(apart[:, day])
    known &= np.count_nonzero(np.isfinite(apart[:, before]), axis=1) >= least
    if np.count_nonzero(known) < _LEAST_NEIGHBOURS:
        return float(own[day] - np.nanmedian(own[before])), rule.limit_alone
    departures = apart[known, day] - np.nanmedian(apart[known, before], axis=1)
    return float(np.median(departures)), rule.limit


def flags_of_days(day_flag: Flags, first_day: int, time_ms: Times, value: Floats) -> Flags:
    """Give each reading the flag of its day; NOT_EVALUATED outside, MISSING where it is.

    Parameters
    ----------
    day_flag : uint8[days]
    first_day : int
    time_ms : int64[n]
    value : float64[n]

    Returns
    -------
    uint8[n]
    """
    day: Index = time_ms // DAY_MS - first_day
    inside = (day >= 0) & (day < len(day_flag))
    flag = np.full(len(time_ms), Flag.NOT_EVALUATED, np.uint8)
    flag[inside] = day_flag[day[inside]]
    flag[np.isnan(value)] = Flag.MISSING
    return flag
