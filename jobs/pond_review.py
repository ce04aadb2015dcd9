"""What is derived from the probes of ponds, computed again where their readings changed.

The series that `detectors.derived` computes become readings of derived datastreams; the settlement
decides on them like on any other. See docs/adr/derived-datastreams.md.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from detectors.derived import LOOK_BACK_MS, REACHES_BACK_MS, SPANS, Series, applicable, derive
from detectors.pond import DAY_MS
from jobs import metrics
from jobs.review import Review
from store import config_channel, live, ponds, reviews
from store.database import Connection
from store.ponds import Probe
from store.reviews import Due
from store.times import milliseconds, moment

# Written in one transaction at most: TimescaleDB unpacks no more than 100,000 rows in one.
PIECE_MS: Final = 7 * DAY_MS


@dataclass(frozen=True)
class _Pond:
    """A pond with readings that have not been looked at."""

    probes: Sequence[Probe]
    due: Sequence[Due]

    @property
    def sources(self) -> list[Probe]:
        """What devices measure, and something is derived from."""
        return [one for one in self.probes if not one.derived and one.property in SPANS
                and one.newest is not None]  # fmt: skip

    @property
    def from_ms(self) -> int | None:
        """From when on readings changed; None: none that anything is derived from."""
        ours = {one.datastream_id for one in self.sources}
        times = [milliseconds(one.from_time) for one in self.due if one.datastream_id in ours]
        return min(times) - REACHES_BACK_MS if times else None

    @property
    def newest_ms(self) -> int:
        return max(milliseconds(one.newest) for one in self.sources if one.newest is not None)

    def by_device(self) -> dict[int, dict[str, Probe]]:
        """The sources by device and property."""
        found: dict[int, dict[str, Probe]] = defaultdict(dict)
        for one in self.sources:
            found[one.device_id][one.property] = one
        return dict(found)


class PondReview(Review):
    """Keeps the derived datastreams of all ponds up to date, a pond and a week at a time."""

    work = "pond"
    at_once = 200

    def drain(self) -> int:
        """Compute what waits, also where rules changed."""
        with self._database.transaction() as conn:
            if reviews.claim(conn, self.work):
                ponds.mark_changed_rules(conn)
        return super().drain()

    def piece(self, conn: Connection, due: Sequence[Due]) -> Sequence[Due]:
        """Choose those of the first one's pond."""
        first = due[0].datastream_id
        ours = {first, *(one.datastream_id for one in ponds.probes(conn, first))}
        return [one for one in due if one.datastream_id in ours]

    def look(self, conn: Connection, piece: Sequence[Due]) -> datetime | None:
        """Compute a week of a pond, and leave the rest marked."""
        pond = _Pond(ponds.probes(conn, piece[0].datastream_id), piece)
        from_ms = pond.from_ms
        if from_ms is None:
            return None
        derived, new = _datastreams(conn, pond)
        ids = [one.datastream_id for one in pond.sources]
        if new:
            # What is derived for the first time is derived from all that is stored.
            oldest = ponds.first_from(conn, ids, None)
            from_ms = from_ms if oldest is None else min(from_ms, oldest)
        until_ms = min(from_ms + PIECE_MS, pond.newest_ms + 1)
        if until_ms > from_ms and derived:
            _compute(conn, pond, derived, from_ms, until_ms)
        following = ponds.first_from(conn, ids, until_ms) if until_ms <= pond.newest_ms else None
        return None if following is None else moment(following)


def _datastreams(conn: Connection, pond: _Pond) -> tuple[dict[tuple[int, str], int], bool]:
    """Make the derived datastreams of a pond that are not there; tells whether there were any."""
    wanted = applicable(pond.by_device())
    have = {(p.device_id, p.property): p.datastream_id for p in pond.probes if p.derived}
    own = {(p.device_id, p.property) for p in pond.probes if not p.derived}
    new = False
    for device_id, one in wanted:
        key = device_id, one.name
        if key in have or key in own:  # what a device says itself is not overwritten
            continue
        made = ponds.add_derived(conn, device_id, one.name, one.unit)
        if made is not None:
            have[key], new = made, True
    if new:
        config_channel.notify(conn, "device")  # a gateway refuses them from now on
    return have, new


def _compute(
    conn: Connection,
    pond: _Pond,
    derived: Mapping[tuple[int, str], int],
    from_ms: int,
    until_ms: int,
) -> None:
    readings: dict[int, dict[str, Series]] = {
        device_id: {
            name: ponds.series(conn, one.datastream_id, from_ms - LOOK_BACK_MS, until_ms)
            for name, one in own.items()
        }
        for device_id, own in pond.by_device().items()
    }
    place = pond.probes[0]
    computed = derive(readings, place.lat, place.lon, from_ms)
    written, changed = 0, []
    for device_id, own in pond.by_device().items():
        ids = [one.datastream_id for one in own.values()]
        origins = ponds.origins(conn, ids, from_ms, until_ms)
        for (at, name), series in computed.items():
            datastream_id = derived.get((at, name))
            if at != device_id or datastream_id is None:
                continue
            values = ponds.put_derived(
                conn, place.tenant_id, datastream_id, series, origins, until_ms
            )
            written += values
            if values:
                changed.append(datastream_id)
    if changed:
        ponds.thin_checkpoints(conn, changed)
        live.notify(conn, place.tenant_id, datastreams=changed)
    metrics.derived_values.inc(written)
