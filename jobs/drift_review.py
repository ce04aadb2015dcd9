"""Drift of probes, looked for at night: a town's probes of one property are compared by days.

A day is judged when it is over: when the datastream has a reading after it. A late reading changes
its own day, the days that are compared with it, and the neighbours' days: so all of them are gone
over from that day on.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from detectors.arrays import Floats, Times
from detectors.drift import DAY_MS, Drift, daily_medians, drifted_days, flags_of_days
from detectors.flags import Flag, Test, aggregate
from detectors.hourly import Flags
from detectors.readings import Readings
from jobs.quality_review import last_through
from jobs.review import Review
from store import flag_revisions, reviews, rule_profile, unsettled
from store.database import Connection
from store.flag_revisions import Verdicts
from store.reviews import Due
from store.rule_profile import Held
from store.times import milliseconds, moment

# A town has some thousand datastreams with probes; what is beyond waits for the next look.
_AT_ONCE: Final = 100_000


class DriftReview(Review):
    """Goes over the datastreams that are marked, by groups that are compared with each other."""

    work = "drift"
    at_once = _AT_ONCE

    def piece(self, conn: Connection, due: Sequence[Due]) -> Sequence[Due]:
        """Choose those of the first one's group."""
        group = set(_alike(conn, due[0]))
        return [one for one in due if one.datastream_id in group]

    def look(self, conn: Connection, piece: Sequence[Due]) -> None:
        """Judge the days of a whole group."""
        for found in _look(conn, _alike(conn, piece[0]), piece):
            self.append(conn, found)


def _alike(conn: Connection, one: Due) -> list[int]:
    """List a datastream with those that it is compared with."""
    return reviews.alike(conn, one.datastream_id) or [one.datastream_id]


def _look(conn: Connection, group: Sequence[int], marked: Sequence[Due]) -> list[Verdicts]:
    held = rule_profile.held(conn, group, {Drift.kind})
    rules = {
        datastream_id: [
            rule for period in periods for rule in period.rules.values() if isinstance(rule, Drift)
        ]
        for datastream_id, periods in held.items()
    }
    # One on which drift is not looked for is not compared with either.
    group = [datastream_id for datastream_id in group if rules.get(datastream_id)]
    if not group:
        return []
    # The day before a pause is over only when something comes after it.
    from_ms = [milliseconds(one.from_time) for one in marked]
    judged_day = min(
        last_through(conn, one.datastream_id, start_ms - 1, start_ms) // DAY_MS
        for one, start_ms in zip(marked, from_ms, strict=True)
    )
    first_day = judged_day - int(max(rule.days for of_one in rules.values() for rule in of_one))
    medians = _medians(conn, group, first_day)
    found = []
    for i, datastream_id in enumerate(group):
        others = np.delete(medians, i, axis=0)
        flags = _days(held[datastream_id], medians[i], others, first_day)[judged_day - first_day :]
        found.append(_verdicts(conn, datastream_id, flags, judged_day))
    return found


def _medians(conn: Connection, group: Sequence[int], first_day: int) -> Floats:
    """Daily medians of each datastream; one after the other, so that one is in memory."""
    rows = []
    for datastream_id in group:
        time_ms, value = _readings(conn, datastream_id, first_day)
        days = 0 if not len(time_ms) else int(time_ms[-1]) // DAY_MS - first_day + 1
        rows.append(daily_medians(time_ms, value, first_day, days))
    medians = np.full((len(rows), max(map(len, rows))), np.nan)
    for row, days_of in zip(medians, rows, strict=True):
        row[: len(days_of)] = days_of
    return medians


def _days(periods: Sequence[Held], own: Floats, others: Floats, first_day: int) -> Flags:
    """Flag each day by the rules that held when it began."""
    flag = np.full(len(own), Flag.NOT_EVALUATED, np.uint8)
    since_ms = np.array([period.since_ms for period in periods], np.int64)
    starts_ms = (first_day + np.arange(len(own))) * DAY_MS
    period_of = np.searchsorted(since_ms, starts_ms, side="right") - 1
    for period in np.unique(period_of[period_of >= 0]).tolist():
        mine = period_of == period
        for rule in periods[period].rules.values():
            if isinstance(rule, Drift):
                flag[mine] = aggregate(flag[mine], drifted_days(rule, own, others)[mine])
    return flag


def _verdicts(conn: Connection, datastream_id: int, day_flag: Flags, judged_day: int) -> Verdicts:
    """Give the readings of drifted days, and those that stand objected to, their days' flags."""
    start = moment(judged_day * DAY_MS)
    said = flag_revisions.standing(conn, "drift", [datastream_id], start)
    if not len(said) and not (day_flag == Flag.SUSPECT).any():
        return Verdicts.none()
    time_ms, value = _readings(conn, datastream_id, judged_day)
    flag = flags_of_days(day_flag, judged_day, time_ms, value)
    worth = (flag == Flag.SUSPECT) | np.isin(time_ms, said.time_ms)
    flag = flag[worth]
    evaluated = np.where((flag == Flag.GOOD) | (flag == Flag.SUSPECT), Test.DRIFT, 0)
    return Verdicts.of(datastream_id, time_ms[worth], flag, evaluated.astype(np.int16))


def _readings(conn: Connection, datastream_id: int, first_day: int) -> tuple[Times, Floats]:
    after_ms = first_day * DAY_MS - 1
    pieces = unsettled.readings(conn, datastream_id, after_ms=after_ms, through_ms=None)
    parts = [Readings.none(), *(piece.readings for piece in pieces)]
    return np.concatenate([p.time_ms for p in parts]), np.concatenate([p.value for p in parts])
