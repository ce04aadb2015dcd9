"""The flood sensors of a place held against each other, wherever readings changed.

A contact that is wet above a dry one, a sensor that is wet above dry neighbours, one that stands
still while its neighbours move: their readings get flag 3 as a revision of the source 'flood', and
with that the alerts of that time a doubt. Alerts themselves are left alone.

What a reading is said to be follows from what is stored, the rules that held at its time, and
where sensors stand today; so it comes out the same whatever came when.
"""

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from detectors.consistency import LONGEST_FLAT_S, STIR_M, VICINITY_M
from detectors.flags import Flag
from detectors.nearness import near_pairs
from jobs.place import KINDS, Place, Witness, holds_ms, lies_lower, look_back_s
from jobs.review import Review
from store import flag_revisions, live, streets
from store.database import Connection
from store.flag_revisions import Verdicts
from store.reviews import Due
from store.rule_profile import Held, held
from store.times import milliseconds, moment

# Datastreams taken at once: every sensor of a large town.
TAKEN: Final = 5000
# Time gone over at once; what lies behind it comes in the next turn.
SPAN: Final = timedelta(days=7)
# Readings read at once, about 200 bytes each on the way.
READINGS: Final = 300_000
# Whatever the rules say, nobody looks farther back for who moved or was wet: a day and an hour.
BACK: Final = timedelta(seconds=LONGEST_FLAT_S + 3600.0)


class FloodReview(Review):
    """Judges every place that what is due may concern, a week at once."""

    work = "flood"
    at_once = TAKEN
    divisible = True

    def piece(self, conn: Connection, due: Sequence[Due]) -> Sequence[Due]:
        """Choose those that are due in one week, the earliest."""
        del conn
        stop = min(one.from_time for one in due) + SPAN
        return [one for one in due if one.from_time < stop]

    def look(self, conn: Connection, piece: Sequence[Due]) -> datetime | None:
        """Judge a week of the places."""
        start = min(one.from_time for one in piece)
        stop = start + SPAN
        quarter = Quarter(conn, piece, start, stop)
        verdicts = Verdicts.join(
            [Verdicts.none(), *(_told(conn, some) for some in quarter.places())]
        )
        if self.append(conn, verdicts):
            times = [moment(at) for at in verdicts.time_ms.tolist()]
            alerts = streets.alerts_at(conn, verdicts.datastream_id.tolist(), times)
            for tenant_id, alert_ids in alerts.items():
                live.notify(conn, tenant_id, alerts=alert_ids)
        # What came may have been followed by weeks of more, and speaks for a while after its end.
        newest = streets.newest(conn, [one.datastream_id for one in piece])
        return stop if newest is not None and newest + BACK >= stop else None


def _told(conn: Connection, places: Sequence[tuple[Place, datetime]]) -> Verdicts:
    """Judge some sensors; what is good of readings that nobody ever doubted is left out."""
    ids = [place.own.sensor.datastream_id for place, _ in places]
    standing = flag_revisions.standing(conn, "flood", ids, min(begin for _, begin in places))
    found = []
    for one, (place, begin) in zip(ids, places, strict=True):
        time_ms, flag, evaluated = place.judge(milliseconds(begin))
        doubted = standing.time_ms[standing.datastream_id == one]
        told = (flag == Flag.SUSPECT) | np.isin(time_ms, doubted)
        found.append(Verdicts.of(one, time_ms[told], flag[told], evaluated[told]))
    return Verdicts.join(found)


class Quarter:
    """The sensors around those that are due, and which of them are worth a look.

    Most of the time nothing is: the hours' rollups say that the streets are dry, and then no
    reading is read.
    """

    def __init__(
        self, conn: Connection, taken: Sequence[Due], start: datetime, stop: datetime
    ) -> None:
        self._conn, self._start, self._stop = conn, start, stop
        ids = [one.datastream_id for one in taken]
        self._sensors = {one.datastream_id: one for one in streets.sensors_beside(conn, ids)}
        self._due = {
            one.datastream_id: one.from_time for one in taken if one.datastream_id in self._sensors
        }
        self._tenants = sorted({self._sensors[one].tenant_id for one in self._due})
        self._ladders: dict[int, list[int]] = defaultdict(list)
        for one in self._sensors.values():
            if one.site_id is not None and one.kind == "flood_contact":
                self._ladders[one.site_id].append(one.datastream_id)
        self._activity = (
            streets.activity(conn, self._tenants, start, stop, back=BACK, stir_m=STIR_M)
            if self._due
            else {}
        )

    @functools.cached_property
    def concerned(self) -> dict[int, datetime]:
        """Sensors that are worth a look, and from when on.

        Those that what is due may concern: it is they themselves, or they stand near it.
        """
        found = {}
        for one in sorted(self._worth()):
            around = [one, *self._ladder(one), *(other for other, _ in self._near[one])]
            since = [self._due[other] for other in around if other in self._due]
            if since:
                found[one] = min(since)
        return found

    def places(self) -> Iterator[list[tuple[Place, datetime]]]:
        """Go through those sensors with whom they are held against, some at a time."""
        telling = {other for one in self.concerned for other in self._telling(one)}
        timelines = held(self._conn, sorted(telling | self.concerned.keys()), KINDS)
        batch: list[int] = []
        since: dict[int, datetime] = {}
        readings = 0.0
        for one in self.concerned:
            wanted = self._wanted(one, timelines)
            if batch and readings + self._count(wanted) > READINGS:
                yield self._read(batch, since, timelines)
                batch, since, readings = [], {}, 0.0
            readings += self._count({o: at for o, at in wanted.items() if o not in since})
            batch.append(one)
            for other, at in wanted.items():
                since[other] = min(at, since.get(other, at))
        if batch:
            yield self._read(batch, since, timelines)

    def _worth(self) -> set[int]:
        """Sensors that can be doubted at all, and those that have been."""
        if not self._due:
            return set()
        worth = streets.objected(self._conn, self._tenants, self._start, self._stop)
        worth.update(one for one, did in self._activity.items() if did.stirred_since)
        for ladder in self._ladders.values():
            if len(ladder) > 1 and any(self._may_be_wet(one) for one in ladder):
                worth.update(ladder)
        if any(did.moved for did in self._activity.values()):
            worth.update(one for one in self._sensors if self._may_be_stuck(one))
        return worth & self._sensors.keys()

    def _may_be_wet(self, one: int) -> bool:
        """Whether it was wet lately, or reports so rarely that it may have been before."""
        did = self._activity.get(one)
        rare = holds_ms(self._sensors[one]) >= BACK.total_seconds() * 1000.0
        return rare or (did is not None and did.stirred)

    def _may_be_stuck(self, one: int) -> bool:
        """Whether it stood still for an hour where that means something."""
        did = self._activity.get(one)
        if did is None or not did.still:
            return False
        return did.stirred or self._sensors[one].ground_m is not None

    @functools.cached_property
    def _near(self) -> dict[int, list[tuple[int, float]]]:
        """Neighbours of one town that may be witnesses, with their distances."""
        ids = list(self._sensors)
        places = [(one.lat, one.lon) for one in self._sensors.values()]
        lat, lon = np.array(places, np.float64).reshape(-1, 2).T
        found: dict[int, list[tuple[int, float]]] = defaultdict(list)
        pairs = (column.tolist() for column in near_pairs(lat, lon, VICINITY_M))
        for owner, other, distance in zip(*pairs, strict=True):
            own, neighbour = self._sensors[ids[owner]], self._sensors[ids[other]]
            if neighbour.active and own.tenant_id == neighbour.tenant_id:
                found[own.datastream_id].append((neighbour.datastream_id, distance))
        return found

    def _ladder(self, one: int) -> list[int]:
        """Other contact devices of its site."""
        own = self._sensors[one]
        if own.site_id is None or own.kind != "flood_contact":
            return []
        return [o for o in self._ladders[own.site_id] if o != one and self._sensors[o].active]

    def _telling(self, one: int) -> list[int]:
        """Those whose readings matter for it: of one that moves only neighbours below it."""
        own, still = self._sensors[one], self._may_be_stuck(one)
        below = [
            other
            for other, _ in self._near[one]
            if still or lies_lower(self._sensors[other], own, 0.0)
        ]
        return [*self._ladder(one), *below]

    def _wanted(self, one: int, timelines: dict[int, list[Held]]) -> dict[int, datetime]:
        """From when on it and those that it is held against have to be read."""
        others = self._telling(one)
        back_s = look_back_s(
            timelines.get(one, []),
            self._sensors[one],
            [self._sensors[other] for other in others],
            still=self._may_be_stuck(one),
        )
        return dict.fromkeys([one, *others], self.concerned[one] - timedelta(seconds=back_s))

    def _count(self, since: dict[int, datetime]) -> float:
        """Estimate how many readings that is, from the hours' counts."""
        whole = (self._stop - self._start + BACK).total_seconds()
        return sum(
            self._activity[one].readings * min(1.0, (self._stop - at).total_seconds() / whole)
            for one, at in since.items()
            if one in self._activity
        )

    def _read(
        self, batch: Sequence[int], since: dict[int, datetime], timelines: dict[int, list[Held]]
    ) -> list[tuple[Place, datetime]]:
        series = streets.readings(self._conn, since, self._stop)
        nothing = np.zeros(0, np.int64), np.zeros(0)

        @functools.cache
        def witness(one: int) -> Witness:
            readings = series.get(one, nothing)
            return Witness(self._sensors[one], timelines.get(one, []), *readings)

        return [
            (
                Place(
                    witness(one),
                    [witness(other) for other in self._ladder(one)],
                    [(witness(other), distance) for other, distance in self._near[one]],
                ),
                self.concerned[one],
            )
            for one in batch
        ]
