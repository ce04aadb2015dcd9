"""What the gateway goes on from between two batches."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import structlog
from numpy.typing import NDArray

from detectors.arrays import NEVER
from detectors.dump import nothing_since, unpack
from detectors.errors import StateError
from detectors.fleet import CONTEXT_ROWS
from detectors.readings import Readings
from detectors.state import State
from gateway import metrics
from gateway.registry import Registry
from store import fleet, ledger, rules_in_force, unsettled
from store.database import Connection
from store.fleet import StoredState
from store.ledger import OpenAlert
from store.times import milliseconds, moment

log = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False)
class Standing:
    """Registry, detector state and the alerts under way.

    Attributes
    ----------
    epoch : int64[S]
        Under which each sensor's state was read and is written; 0: another gateway has it.
    revision : int64[S]
        The settlement that each sensor's state comes from; 0 before the first.
    """

    registry: Registry
    epoch: NDArray[np.int64]
    state: State
    revision: NDArray[np.int64]
    open_alerts: tuple[OpenAlert, ...]
    open_datastreams: NDArray[np.int32]

    @classmethod
    def load(
        cls,
        conn: Connection,
        registry: Registry,
        epoch: NDArray[np.int64],
        former: "Standing | None" = None,
    ) -> "Standing":
        """Read from the store what is ours; take over from `former` what is known already.

        Where readings were decided on before their rules were known here, the datastream is
        marked: a job decides on them anew.

        Parameters
        ----------
        epoch : int64[S]
            Of the lease of each sensor's partition; 0: not ours.
        former
            What was gone on from until now, if nothing about its last commit is in doubt. What is
            held under the same lease since, with the same rules, need not be read again.
        """
        held = np.flatnonzero(epoch > 0)
        ours = held[registry.ruled[held]]
        state = registry.fleet.empty_state()
        revision = np.zeros(len(registry.datastream_id), np.int64)
        if former is not None:
            known, there = _known(registry, epoch, ours, former)
            state, carried = registry.fleet.carry_over(state, known, former.state, there)
            known, there = known[carried], there[carried]
            revision[known] = former.revision[there]
            ours = np.setdiff1d(ours, known, assume_unique=True)
            held = np.setdiff1d(held, known, assume_unique=True)
        sensors, stored, context = _stored(conn, registry, ours)
        blobs = [s.state for s in stored]
        readable = _readable(conn, registry, sensors, stored)
        state = registry.fleet.reload(
            state, sensors[readable], list(compress(blobs, readable)), context
        )
        state = _begin(conn, registry, state, ours)
        revision[sensors] = [s.revision for s in stored]
        _mark_decided_too_soon(conn, registry, held, former)
        return cls(registry, epoch, state, revision, (), np.zeros(0, np.int32)).having(
            ledger.open_alerts(conn)
        )

    def reload(self, conn: Connection, datastream_ids: Collection[int]) -> "Standing":
        """Take over what a settlement has written about some datastreams."""
        wanted = np.flatnonzero(np.isin(self.registry.datastream_id, list(datastream_ids)))
        sensors, stored, context = _stored(conn, self.registry, wanted)
        blobs = [s.state for s in stored]
        readable = _readable(conn, self.registry, sensors, stored)
        state = self.registry.fleet.reload(
            self.state, sensors[readable], list(compress(blobs, readable)), context
        )
        revision = self.revision.copy()
        revision[sensors] = [s.revision for s in stored]
        moved = replace(self, state=state, revision=revision)
        return moved.having(ledger.open_alerts(conn))

    def having(self, alerts: Iterable[OpenAlert]) -> "Standing":
        """Return the same with other alerts under way."""
        known = tuple(alerts)
        return replace(
            self,
            open_alerts=known,
            open_datastreams=np.array([a.datastream_id for a in known], np.int32),
        )


def _mark_decided_too_soon(
    conn: Connection, registry: Registry, sensors: NDArray[np.intp], former: Standing | None
) -> None:
    """Mark datastreams of which readings came before a change of their rules was known here.

    That is of readings at or after it: decided on by the rules of before, or on none at all. Of
    several changes the first counts: each had its time.
    """
    changed = sensors[registry.decided_from_ms[sensors] > 0]
    ids = registry.datastream_id[changed]
    since_ms = registry.decided_from_ms[changed]
    known_ms = np.zeros(len(ids), np.int64)
    if former is not None:
        same, there = np.intersect1d(ids, former.registry.datastream_id, return_indices=True)[1:]
        # What another gateway, or this one before it began, knew of the others is not known.
        ours = former.epoch[there] > 0
        known_ms[same[ours]] = former.registry.decided_from_ms[there[ours]]
    since = rules_in_force.undecided_changes(
        conn,
        ids.tolist(),
        [moment(ms) for ms in since_ms.tolist()],
        [moment(ms) for ms in known_ms.tolist()],
        registry.ruled[changed].tolist(),
    )
    from_ms = [milliseconds(begins) for begins in since.values()]
    unsettled.mark(conn, np.array(list(since), np.int32), np.array(from_ms, np.int64))


def _stored(
    conn: Connection, registry: Registry, sensors: NDArray[np.intp]
) -> tuple[NDArray[np.intp], list[StoredState], Readings]:
    """Read what is stored of some sensors: those that have a state, the states, their readings."""
    found = fleet.states(conn, registry.datastream_id[sensors].tolist())
    sensors = sensors[[int(d) in found for d in registry.datastream_id[sensors]]]
    context = fleet.context(conn, registry.datastream_id[sensors], CONTEXT_ROWS)
    placed = Readings(sensors[context.sensor].astype(np.int32), context.time_ms, context.value)
    return sensors, [found[int(d)] for d in registry.datastream_id[sensors]], placed


def _begin(conn: Connection, registry: Registry, state: State, sensors: NDArray[np.intp]) -> State:
    """Have sensors of which nothing is known begin after what is stored of them.

    Their state was lost, or their rules are their first. What is stored already they never saw:
    a reading from among it is for a settlement, and what decides is told apart from it.
    """
    anew = sensors[state.table().newest_ms(sensors) == NEVER]
    stored = fleet.newest_stored(conn, registry.datastream_id[anew].tolist())
    begun = {s: stored[d] for s in anew.tolist() if (d := int(registry.datastream_id[s])) in stored}
    blobs = [nothing_since(ms) for ms in begun.values()]
    return registry.fleet.reload(state, list(begun), blobs, Readings.none())


def _known(
    registry: Registry, epoch: NDArray[np.int64], ours: NDArray[np.intp], former: Standing
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find those of `ours` whose state `former` knows: their sensors here and there."""
    before = former.registry
    if not len(before.datastream_id):
        return ours[:0], ours[:0]
    there = np.searchsorted(before.datastream_id, registry.datastream_id[ours])
    there = there.clip(max=len(before.datastream_id) - 1)
    same = before.datastream_id[there] == registry.datastream_id[ours]
    same &= former.epoch[there] == epoch[ours]
    same &= before.ruled[there]
    same &= before.decided_from_ms[there] == registry.decided_from_ms[ours]
    ours, there = ours[same], there[same]
    pairs = np.stack([registry.fleet.sensor_profile[ours], before.fleet.sensor_profile[there]])
    kinds, kind = np.unique(pairs, axis=1, return_inverse=True)
    equal = [
        registry.fleet.profiles[new] == before.fleet.profiles[old]
        for new, old in zip(*kinds.tolist(), strict=True)
    ]
    unchanged = np.array(equal, np.bool_)[kind.reshape(-1)]
    return ours[unchanged], there[unchanged]


def _readable(
    conn: Connection,
    registry: Registry,
    sensors: NDArray[np.intp],
    stored: Sequence[StoredState],
) -> NDArray[np.bool_]:
    """Tell which dumps can be read.

    Sensors of the others start from nothing, and are marked: a job makes their state anew from the
    readings, and their alerts what they would have been.
    """
    readable = np.ones(len(stored), np.bool_)
    for i, one in enumerate(stored):
        try:
            unpack(one.state)
        except StateError as error:
            readable[i] = False
            metrics.STATES_UNREADABLE.inc()
            device = int(registry.device_id[sensors[i]])
            log.error(
                "state_unreadable",
                device=registry.device_codes[device],
                datastream=int(registry.datastream_id[sensors[i]]),
                error=str(error),
                hint="Its state is made anew from the stored readings within a minute. Until then "
                "its rules start from nothing, as for a new device.",
            )
    lost = ~readable
    through_ms = np.array([one.through_ms for one in stored], np.int64)
    unsettled.mark(conn, registry.datastream_id[sensors][lost], through_ms[lost])
    return readable
