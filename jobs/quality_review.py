"""Quality tests that look back over hours: flags appended, never written over.

What a reading gets follows from the stored readings and the rules of its time alone, so a late
reading, which marks its hour, brings out what it would have been in order.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats, Index, Times
from detectors.drift import Drift
from detectors.flags import Flag
from detectors.hourly import HOURLY, Flags, hourly_flags, look_back_s, plateau_flags
from detectors.parameters import Parameters
from detectors.quality import FlatLine
from jobs.review import Review
from store import flag_revisions, reviews, rule_profile, unsettled
from store.database import Connection
from store.flag_revisions import Source, Verdicts
from store.reviews import Due, Work
from store.rule_profile import Held
from store.times import milliseconds, moment

# Datastreams of one transaction: the hours that it marks are locked for its last few milliseconds.
PIECE: Final = 20
# What is looked at again in the night, and where: the work, and the rules that ask for it.
NIGHT: Final[Mapping[Work, type[Parameters]]] = {"drift": Drift, "plateau": FlatLine}
Judge = Callable[[Iterable[Parameters], Times, Floats, Index], tuple[Flags, NDArray[np.int16]]]
# Rows of one series that may be judged: its times and values around them, and their places.
Rows = tuple[Times, Floats, Index]


@dataclass(frozen=True)
class Looking:
    """How a set of tests goes over a series.

    Attributes
    ----------
    kinds
        Of its rules.
    judge
        Rules, times, values and rows to flags and masks of what was evaluated.
    both_ways
        What a reading gets depends on what came as long after it as the tests look back.
    """

    kinds: tuple[type[Parameters], ...]
    judge: Judge
    both_ways: bool = False


class _SeriesReview(Review):
    """Goes over the series that are marked with one set of tests."""

    at_once = PIECE
    divisible = True
    looking: ClassVar[Looking]

    def look(self, conn: Connection, piece: Sequence[Due]) -> None:
        """Judge the series, one by one."""
        due = sorted(piece, key=lambda one: one.datastream_id)
        kinds = {kind.kind for kind in self.looking.kinds}
        held = rule_profile.held(conn, [one.datastream_id for one in due], kinds)
        found = [
            _look(conn, self.looking, self.work, one, held.get(one.datastream_id, []))
            for one in due
        ]
        for one in found:
            self.append(conn, one)


class QualityReview(_SeriesReview):
    """Runs the tests of the hour, and marks what those of the night concern."""

    work = "quality"
    looking = Looking(HOURLY, hourly_flags)

    def look(self, conn: Connection, piece: Sequence[Due]) -> None:
        """Judge the series, and leave those to the night that have rules for it."""
        super().look(conn, piece)
        kinds = {kind.kind for kind in NIGHT.values()}
        held = rule_profile.held(conn, [one.datastream_id for one in piece], kinds)
        for one, (work, kind) in itertools.product(piece, NIGHT.items()):
            rules = [rule for period in held.get(one.datastream_id, ())
                     for rule in period.rules.values()]  # fmt: skip
            if any(isinstance(rule, kind) for rule in rules):
                reviews.mark(conn, work, one.datastream_id, one.from_time)


class PlateauReview(_SeriesReview):
    """Flags plateaus from their beginnings."""

    work = "plateau"
    looking = Looking((FlatLine,), plateau_flags, both_ways=True)


def _look(
    conn: Connection, looking: Looking, source: Source, due: Due, periods: Sequence[Held]
) -> Verdicts:
    """What there is to say of a datastream: objections, and what became of former ones."""
    ruled = [
        [rule for rule in period.rules.values() if isinstance(rule, looking.kinds)]
        for period in periods
    ]
    look_s = max((look_back_s(rule) for rules in ruled for rule in rules), default=0.0)
    if look_s == 0.0:
        return Verdicts.none()
    ahead_s = look_s if looking.both_ways else 0.0
    from_ms = milliseconds(due.from_time) - round(ahead_s * 1000.0)
    said = flag_revisions.standing(conn, source, [due.datastream_id], moment(from_ms))
    since_ms = np.array([period.since_ms for period in periods], np.int64)
    parts = [Verdicts.none()]
    for time_ms, value, at in walk(
        conn, due.datastream_id, from_ms, back_s=look_s, ahead_s=ahead_s
    ):
        flag = np.full(len(at), Flag.NOT_EVALUATED, np.uint8)
        evaluated = np.zeros(len(at), np.int16)
        period_of = np.searchsorted(since_ms, time_ms[at], side="right") - 1
        for period in np.unique(period_of[period_of >= 0]).tolist():
            mine = period_of == period
            flag[mine], evaluated[mine] = looking.judge(ruled[period], time_ms, value, at[mine])
        worth = (flag == Flag.SUSPECT) | (flag == Flag.FAIL) | np.isin(time_ms[at], said.time_ms)
        parts.append(
            Verdicts.of(due.datastream_id, time_ms[at[worth]], flag[worth], evaluated[worth])
        )
    return Verdicts.join(parts)


def walk(
    conn: Connection, datastream_id: int, from_ms: int, *, back_s: float, ahead_s: float = 0.0
) -> Iterator[Rows]:
    """Go over a series in pieces of bounded memory, each row once, with what is around it.

    Parameters
    ----------
    from_ms
        First row to judge.
    back_s
        How far before a row, or before the one before it, what judges it looks. One reading at or
        before that is there as well.
    ahead_s
        How far after a row it looks.
    """
    back_ms, ahead_ms = round(back_s * 1000.0), round(ahead_s * 1000.0)
    edge_ms = last_through(conn, datastream_id, from_ms - 1, from_ms) - back_ms
    start_ms = last_through(conn, datastream_id, edge_ms, edge_ms)
    time_ms, value = np.zeros(0, np.int64), np.zeros(0)
    judged_ms = from_ms - 1
    pieces = unsettled.readings(conn, datastream_id, after_ms=start_ms - 1, through_ms=None)
    for piece in itertools.chain(pieces, [None]):
        through_ms = np.iinfo(np.int64).max
        if piece is not None:
            time_ms = np.concatenate([time_ms, piece.readings.time_ms])
            value = np.concatenate([value, piece.readings.value])
            through_ms = int(time_ms[-1]) - ahead_ms
        at = np.flatnonzero((time_ms > judged_ms) & (time_ms <= through_ms))
        if len(at):
            yield time_ms, value, at
            judged_ms = int(time_ms[at[-1]])
            keep = int(np.searchsorted(time_ms, judged_ms - back_ms, side="right")) - 1
            time_ms, value = time_ms[max(keep, 0) :], value[max(keep, 0) :]


def last_through(conn: Connection, datastream_id: int, through_ms: int, otherwise_ms: int) -> int:
    """Time of the last reading at or before a time."""
    last = unsettled.readings_before(conn, datastream_id, through_ms, 1).readings.time_ms
    return int(last[0]) if len(last) else otherwise_ms
