"""Rules over several datastreams of one place: contact ladder, neighbours, stuck sensors.

They run in the jobs. Each gives flag 3 and lowers the confidence of an alert; none suppresses one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from detectors.arrays import NEVER, Bools, Index, Times
from detectors.parameters import Parameters, check_number


@dataclass(frozen=True)
class ContactLadder(Parameters):
    """A higher contact that is wet while a lower one is dry.

    Attributes
    ----------
    heartbeat_s : float
        Longest time between two reports of one contact: so long they may honestly disagree.
    """

    kind: ClassVar[str] = "contact_ladder"

    heartbeat_s: float

    def __post_init__(self) -> None:
        beat = check_number("heartbeat_s", self.heartbeat_s, above=0.0)
        object.__setattr__(self, "heartbeat_s", beat)


@dataclass(frozen=True)
class Neighbours(Parameters):
    """A wet sensor among dry ones that lie lower.

    Attributes
    ----------
    dry_neighbours : int
        So many lower healthy neighbours must be dry [J].
    for_s : float
        For so long without interruption [J].
    """

    kind: ClassVar[str] = "neighbours"

    dry_neighbours: int = 2
    for_s: float = 900.0

    def __post_init__(self) -> None:
        check_number("dry_neighbours", self.dry_neighbours, least=1)
        object.__setattr__(self, "for_s", check_number("for_s", self.for_s, least=0.0))


@dataclass(frozen=True)
class Stuck(Parameters):
    """A sensor that stands still while its neighbours move.

    Attributes
    ----------
    moving_neighbours : int
        So many of them must move; of a sensor with fewer neighbours, all [J].
    """

    kind: ClassVar[str] = "stuck"

    moving_neighbours: int = 2

    def __post_init__(self) -> None:
        check_number("moving_neighbours", self.moving_neighbours, least=1)


@dataclass(frozen=True, eq=False)
class Adjacency:
    """Who is whose neighbour, in compressed rows.

    Attributes
    ----------
    owner, other : int64[e]
        Sensor `other` is a neighbour of sensor `owner`.
    sensors : int
    """

    owner: Index
    other: Index
    sensors: int

    @classmethod
    def of(cls, neighbours: Sequence[Sequence[int]]) -> Self:
        """Build from a list of neighbours per sensor."""
        owner = np.repeat(np.arange(len(neighbours)), [len(n) for n in neighbours])
        other = np.array([o for n in neighbours for o in n], np.int64)
        return cls(owner, other, len(neighbours))

    def count(self, which: Bools) -> Index:
        """How many neighbours of each sensor are in `which` (bool[e], per pair)."""
        return np.bincount(self.owner[which], minlength=self.sensors)


def ladder_suspect(
    rule: ContactLadder, wet: Index, since_ms: Times, now_ms: int
) -> tuple[Bools, Times]:
    """Contact ladders that contradict themselves.

    Parameters
    ----------
    rule : ContactLadder
    wet : int8[n, k]
        Contacts from the lowest up: 1 wet, 0 dry, -1 unknown.
    since_ms : int64[n]
        What the last call returned; NEVER for each device at first.
    now_ms : int

    Returns
    -------
    suspect : bool[n]
        Inverted for longer than one heartbeat. The alert stays: either contact may be right.
    since_ms : int64[n]
        Since when each ladder is inverted; NEVER where it is not.
    """
    dry_below = np.logical_or.accumulate(wet == 0, axis=1)
    inverted = ((wet[:, 1:] == 1) & dry_below[:, :-1]).any(axis=1)
    since = np.where(inverted, np.where(since_ms == NEVER, now_ms, since_ms), NEVER)
    suspect: Bools = inverted & (now_ms - since > rule.heartbeat_s * 1000.0)
    return suspect, since


def lonely_wet(
    rule: Neighbours, lower: Adjacency, wet: Bools, dry_since_ms: Times, healthy: Bools, now_ms: int
) -> Bools:
    """Sensors that are wet while lower ones nearby have been dry for a while.

    Parameters
    ----------
    lower : Adjacency
        Neighbours that lie lower, and so should be wet first.
    wet : bool[n]
    dry_since_ms : int64[n]
        Since when a sensor reports dry without a gap; NEVER where it does not.
    healthy : bool[n]
        Not silent, not failing: a silent sensor is no witness.
    now_ms : int

    Returns
    -------
    bool[n]
    """
    dry = healthy & ~wet & (dry_since_ms != NEVER)
    dry &= now_ms - dry_since_ms >= rule.for_s * 1000.0
    suspect: Bools = wet & (lower.count(dry[lower.other]) >= rule.dry_neighbours)
    return suspect


def stuck(rule: Stuck, near: Adjacency, flat: Bools, moved: Bools) -> Bools:
    """Sensors whose flat line is their own fault.

    Parameters
    ----------
    near : Adjacency
    flat : bool[n]
        The flat line test fails.
    moved : bool[n]
        The value changed by more than its noise over the same time.

    Returns
    -------
    bool[n]
        Never for a sensor without neighbours: alone, a calm night looks the same.
    """
    every = near.count(np.ones(len(near.owner), bool))
    needed = np.minimum(rule.moving_neighbours, every)
    verdict: Bools = flat & (every > 0) & (near.count(moved[near.other]) >= needed)
    return verdict
