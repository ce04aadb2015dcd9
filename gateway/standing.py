"""What the gateway goes on from between two batches."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.fleet import CONTEXT_ROWS
from detectors.readings import Readings
from detectors.state import State
from gateway.registry import Registry
from store import fleet, ledger, unsettled
from store.database import Connection
from store.fleet import StoredState
from store.ledger import OpenAlert


@dataclass(frozen=True, eq=False)
class Standing:
    """Registry, detector state and the alerts under way.

    Attributes
    ----------
    revision : int64[S]
        The settlement that each sensor's state comes from; 0 before the first.
    """

    registry: Registry
    state: State
    revision: NDArray[np.int64]
    open_alerts: tuple[OpenAlert, ...]
    open_datastreams: NDArray[np.int32]

    @classmethod
    def load(cls, conn: Connection, registry: Registry) -> "Standing":
        """Read everything from the store.

        Where readings were decided on before their rules were known here, the datastream is
        marked: a job decides on them anew.
        """
        ruled = np.flatnonzero(registry.ruled)
        sensors, stored, context = _stored(conn, registry, ruled)
        state = registry.fleet.load_state(sensors, [s.state for s in stored], context)
        revision = np.zeros(len(registry.datastream_id), np.int64)
        revision[sensors] = [s.revision for s in stored]
        since = registry.decided_from_ms[sensors]
        through = np.array([s.through_ms for s in stored], np.int64)
        rules_since = np.array([s.rules_since_ms for s in stored], np.int64)
        late = (rules_since < since) & (through >= since)
        unsettled.mark(conn, registry.datastream_id[sensors[late]], since[late])
        return cls(registry, state, revision, (), np.zeros(0, np.int32)).having(
            ledger.open_alerts(conn)
        )

    def reload(self, conn: Connection, datastream_ids: Collection[int]) -> "Standing":
        """Take over what a settlement has written about some datastreams."""
        wanted = np.flatnonzero(np.isin(self.registry.datastream_id, list(datastream_ids)))
        sensors, stored, context = _stored(conn, self.registry, wanted)
        blobs = [s.state for s in stored]
        state = self.registry.fleet.reload(self.state, sensors, blobs, context)
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


def _stored(
    conn: Connection, registry: Registry, sensors: NDArray[np.intp]
) -> tuple[NDArray[np.intp], list[StoredState], Readings]:
    """Read what is stored of some sensors: those that have a state, the states, their readings."""
    found = fleet.states(conn, registry.datastream_id[sensors].tolist())
    sensors = sensors[[int(d) in found for d in registry.datastream_id[sensors]]]
    context = fleet.context(conn, registry.datastream_id[sensors], CONTEXT_ROWS)
    placed = Readings(sensors[context.sensor].astype(np.int32), context.time_ms, context.value)
    return sensors, [found[int(d)] for d in registry.datastream_id[sensors]], placed
