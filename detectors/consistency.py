"""Rules over several sensors of a place: contact ladder, neighbours, stuck sensors.

They run in the jobs, over stored readings and in event time: what a reading is said to be depends
on the readings measured before it and on none that came in between, so the order of arrival
changes nothing. Each gives flag 3 and lowers the confidence of an alert; none suppresses one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np

from detectors.arrays import NEVER, Bools, Floats, Index, Times
from detectors.errors import ParameterError
from detectors.parameters import Parameters, check_number
from detectors.sensor_series import SensorSeries, since
from detectors.sentence import Sentence

# No rule calls less than this wet or a movement: four standard deviations of a good ultrasonic
# sensor (5 mm). So a job can tell from the hours' highest values that there is nothing to look at.
STIR_M: Final = 0.02
# Nor is anybody a neighbour who stands farther away.
VICINITY_M: Final = 500.0
# A flat line holds a whole hour by the clock at least, which its lowest and highest value tell, and
# a day has seen every hour's traffic and temperature.
SHORTEST_FLAT_S: Final = 7200.0
LONGEST_FLAT_S: Final = 86_400.0


@dataclass(frozen=True)
class ContactLadder(Parameters):
    """A higher contact that is wet while a lower one of the same site is dry.

    Attributes
    ----------
    heartbeat_s : float, optional
        Longest time between two reports of one contact: so long they may honestly disagree.
        None: the longer expected interval of the two devices.
    contacts_m : tuple of float
        Heights above the ground at which this device has contacts, ascending. It reports the
        highest one that is wet, or 0.
    """

    kind: ClassVar[str] = "contact_ladder"

    heartbeat_s: float | None = None
    contacts_m: tuple[float, ...] = (0.1, 0.2, 0.3)

    def __post_init__(self) -> None:
        if self.heartbeat_s is not None:
            beat = check_number("heartbeat_s", self.heartbeat_s, above=0.0)
            object.__setattr__(self, "heartbeat_s", beat)
        contacts: Any = self.contacts_m
        if not isinstance(contacts, tuple) or not contacts:
            raise ParameterError(
                "contacts_m", Sentence("expected the heights of one contact or more")
            )
        heights = tuple(check_number("contacts_m", height, least=STIR_M) for height in contacts)
        if any(high <= low for low, high in pairwise(heights)):
            raise ParameterError("contacts_m", Sentence("the heights must ascend"))
        object.__setattr__(self, "contacts_m", heights)


@dataclass(frozen=True)
class Neighbours(Parameters):
    """A wet sensor among dry ones that lie lower.

    Attributes
    ----------
    dry_neighbours : int
        So many lower healthy neighbours must be dry [J].
    for_s : float
        For so long without interruption [J].
    within_m : float
        How far away a neighbour may be [J]: rain falls on a town by quarters, and a pipe or an
        embankment between two streets is more likely the farther they lie apart.
    lower_by_m : float
        How much lower its ground must lie to be sure that water comes there first: the vertical
        error of Japan's 5 m laser elevation model is 0.3 m (国土地理院, 基盤地図情報).
    wet_m, dry_m : float
        Depth from which a reading is wet, and up to which it is dry [J]. Between them a sensor
        says neither.
    """

    kind: ClassVar[str] = "neighbours"

    dry_neighbours: int = 2
    for_s: float = 900.0
    within_m: float = 300.0
    lower_by_m: float = 0.3
    wet_m: float = 0.05
    dry_m: float = 0.02

    def __post_init__(self) -> None:
        check_number("dry_neighbours", self.dry_neighbours, least=1)
        for name in ("for_s", "lower_by_m"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), least=0.0))
        near = check_number("within_m", self.within_m, above=0.0, most=VICINITY_M)
        object.__setattr__(self, "within_m", near)
        dry = check_number("dry_m", self.dry_m)
        object.__setattr__(self, "dry_m", dry)
        wet = check_number("wet_m", self.wet_m, least=STIR_M, above=dry)
        object.__setattr__(self, "wet_m", wet)


@dataclass(frozen=True)
class Stuck(Parameters):
    """A sensor that stands still while its neighbours move.

    Attributes
    ----------
    moving_neighbours : int
        So many of them must move; of a sensor with fewer neighbours, all [J].
    flat_s : float
        The very same value for so long, three times at least [J].
    moved_m : float
        A neighbour moves when its highest and lowest reading of that time lie so far apart [J]:
        ten times the noise of an ultrasonic sensor.
    within_m : float
        How far away a neighbour may be [J].
    dry_m : float
        A sensor that reports no more than this is dry. A dry street beside a flooded one may
        stand still honestly, so there only neighbours count that lie no lower.
    """

    kind: ClassVar[str] = "stuck"

    moving_neighbours: int = 2
    flat_s: float = 6 * 3600.0
    moved_m: float = 0.05
    within_m: float = 300.0
    dry_m: float = 0.02

    def __post_init__(self) -> None:
        check_number("moving_neighbours", self.moving_neighbours, least=1)
        flat = check_number("flat_s", self.flat_s, least=SHORTEST_FLAT_S, most=LONGEST_FLAT_S)
        object.__setattr__(self, "flat_s", flat)
        moved = check_number("moved_m", self.moved_m, least=STIR_M)
        object.__setattr__(self, "moved_m", moved)
        near = check_number("within_m", self.within_m, above=0.0, most=VICINITY_M)
        object.__setattr__(self, "within_m", near)
        object.__setattr__(self, "dry_m", check_number("dry_m", self.dry_m))


@dataclass(frozen=True, eq=False)
class Rung:
    """The contacts of one device on a site's ladder.

    Attributes
    ----------
    series : SensorSeries
        Depths that the device reported, metres: the highest of its contacts that was wet.
    contacts_m : tuple of float
        Heights of its contacts above the ground, ascending.
    """

    series: SensorSeries
    contacts_m: tuple[float, ...]

    def wet_and_dry(self, rows: Index) -> tuple[Floats, Floats]:
        """Highest contact that is wet, and lowest that is dry.

        Parameters
        ----------
        rows : int64[m]
            Of the series.

        Returns
        -------
        float64[m], float64[m]
            Metres; -inf: none is wet, inf: none is dry, NaN where the value is missing.
        """
        value = self.series.value[rows]
        # A value rounded on its way (0.1 in 32 bits) still stands for its contact.
        reached = np.searchsorted(np.array(self.contacts_m) - 1e-6, value, side="right")
        edges = np.array([-np.inf, *self.contacts_m, np.inf])
        missing = np.isnan(value)
        wet, dry = edges[reached * ~missing], edges[(reached + 1) * ~missing]
        return np.where(missing, np.nan, wet), np.where(missing, np.nan, dry)


def ladder_suspect(heartbeat_s: float, own: Rung, other: Rung) -> Bools:
    """Readings of a contact device that contradict another one of the same site.

    Parameters
    ----------
    heartbeat_s : float
        So long they may disagree.
    own, other : Rung

    Returns
    -------
    bool[n]
        For each reading of `own`: one of the two has been wet above a contact of the other that
        was dry, for longer than one heartbeat. The alert stays: either may be right.
    """
    if not (len(own.series.time_ms) and len(other.series.time_ms)):
        return np.zeros(len(own.series.time_ms), bool)
    time = np.union1d(own.series.time_ms, other.series.time_ms)
    (row, speaks), (row2, speaks2) = own.series.at(time), other.series.at(time)
    (wet, dry), (wet2, dry2) = own.wet_and_dry(row), other.wet_and_dry(row2)
    inverted = speaks & speaks2 & ((dry < wet2) | (dry2 < wet))
    linked = np.ones(len(time), bool)
    for series, at in ((own.series, row), (other.series, row2)):
        # Interrupted where it fell silent before this row.
        linked[1:] &= time[1:] - series.time_ms[at[:-1]] <= series.holds_ms
    begun = since(time, inverted, linked)
    suspect = inverted & (time - begun > heartbeat_s * 1000.0)
    mine: Bools = suspect[np.searchsorted(time, own.series.time_ms)]
    return mine


def lonely_wet(rule: Neighbours, own: SensorSeries, lower: Sequence[SensorSeries]) -> Bools:
    """Readings that are wet while lower sensors nearby have been dry for a while.

    Parameters
    ----------
    rule : Neighbours
    own : SensorSeries
    lower : sequence of SensorSeries
        Neighbours that lie lower, and so should be wet first.

    Returns
    -------
    bool[n]
        For each reading of `own`.
    """
    dry = np.zeros(len(own.time_ms), np.int64)
    for series in lower:
        if not len(series.time_ms):
            continue
        row, speaks = series.at(own.time_ms)
        begun = series.since(series.value <= rule.dry_m)[row]
        dry += speaks & (begun != NEVER) & (own.time_ms - begun >= rule.for_s * 1000.0)
    suspect: Bools = (own.value >= rule.wet_m) & (dry >= rule.dry_neighbours)
    return suspect


def stuck(
    rule: Stuck, own: SensorSeries, near: Sequence[SensorSeries], above: Sequence[bool]
) -> Bools:
    """Readings whose flat line is the sensor's own fault.

    Parameters
    ----------
    rule : Stuck
    own : SensorSeries
    near : sequence of SensorSeries
        Its neighbours.
    above : sequence of bool
        Whether each is known to lie no lower.

    Returns
    -------
    bool[n]
        Never for a sensor without neighbours: alone, a calm night looks the same.
    """
    flat_ms = round(rule.flat_s * 1000.0)
    verdict = np.zeros(len(own.time_ms), bool)
    same = np.zeros(len(own.time_ms), bool)
    same[1:] = (own.value[1:] == own.value[:-1]) & (np.diff(own.time_ms) <= own.holds_ms)
    finite = np.isfinite(own.value)
    begun = since(own.time_ms, finite, same)
    first = np.searchsorted(own.time_ms, begun)
    flat = np.flatnonzero(
        finite & (own.time_ms - begun >= flat_ms) & (np.arange(len(own.time_ms)) - first >= 2)
    )
    if not len(flat) or not near:
        return verdict
    time, dry = own.time_ms[flat], own.value[flat] <= rule.dry_m
    counts = np.zeros(len(flat), np.int64)
    moving = np.zeros(len(flat), np.int64)
    for series, higher in zip(near, above, strict=True):
        counted = ~dry | higher
        counts += counted
        moving += counted & (_range(series, time - flat_ms, time) >= rule.moved_m)
    needed = np.minimum(rule.moving_neighbours, counts)
    verdict[flat] = (counts > 0) & (moving >= needed)
    return verdict


def _range(series: SensorSeries, begin_ms: Times, end_ms: Times) -> Floats:
    """Highest less lowest reading in each [begin, end]; 0 where there is none."""
    there = np.isfinite(series.value)
    time, value = series.time_ms[there], series.value[there]
    low = np.searchsorted(time, begin_ms, side="left")
    high = np.searchsorted(time, end_ms, side="right")
    span = np.zeros(len(low))
    some = high > low
    if some.any():
        # reduceat wants every edge inside: one value behind the last.
        edges = np.column_stack([low[some], high[some]]).ravel()
        padded = np.append(value, value[-1])
        highest = np.maximum.reduceat(padded, edges)[::2]
        span[some] = highest - np.minimum.reduceat(padded, edges)[::2]
    return span
