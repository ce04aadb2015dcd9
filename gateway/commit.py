"""One batch, one transaction: what was accepted, what was decided, and all that follows."""

import base64
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detectors.flags import Flag
from detectors.fleet import CONTEXT_ROWS
from detectors.state import State
from gateway import metrics
from gateway.batch import Batch, Refused, Rows
from gateway.evidence import Evidence
from gateway.ledger import LedgerWriter, is_falling, moment
from gateway.links import Links
from gateway.positions import columns as position_columns
from gateway.recent import Recent
from gateway.registry import Registry
from gateway.sift import Sifted, sift
from store import fleet, ingest, ledger
from store.database import Connection, Database
from store.ingest import Observations, Positions, QuarantineRow
from store.intake_lease import Lease, fence
from store.ledger import OpenAlert
from store.marks import Mark

if TYPE_CHECKING:
    from detectors.outcome import Outcome

# An isolated message can be a whole buffer; what is kept of it in quarantine is its beginning.
QUARANTINE_BYTES = 16 * 1024


@dataclass(frozen=True, eq=False)
class Standing:
    """What the gateway goes on from: registry, detector state and the alerts under way."""

    registry: Registry
    state: State
    open_alerts: tuple[OpenAlert, ...]
    open_datastreams: NDArray[np.int32]

    @classmethod
    def load(cls, conn: Connection, registry: Registry) -> "Standing":
        """Read everything from the store."""
        ruled = np.flatnonzero(registry.ruled)
        stored = fleet.states(conn, registry.datastream_id[ruled].tolist())
        sensors = ruled[[int(d) in stored for d in registry.datastream_id[ruled]]]
        blobs = [stored[int(d)] for d in registry.datastream_id[sensors]]
        context = fleet.context(conn, registry.datastream_id[sensors], CONTEXT_ROWS)
        placed = type(context)(
            sensors[context.sensor].astype(np.int32), context.time_ms, context.value
        )
        state = registry.fleet.load_state(sensors, blobs, placed)
        return cls.of(registry, state, ledger.open_alerts(conn))

    @classmethod
    def of(cls, registry: Registry, state: State, alerts: Iterable[OpenAlert]) -> "Standing":
        """Join the parts."""
        known = tuple(alerts)
        return cls(registry, state, known, np.array([a.datastream_id for a in known], np.int32))


class Committer:
    """Commits batches.

    Parameters
    ----------
    database
        As the role `mizumori_gateway`.
    recent, recent_positions
        Remember what was committed.
    links
        Remembers which devices are written down as online.
    sequence_horizon_s
        See `store.ingest.claim_sequences`.
    """

    def __init__(self, database: Database, links: Links, sequence_horizon_s: float) -> None:
        self._database = database
        self._links = links
        self._sequence_horizon_s = sequence_horizon_s
        self._recent = Recent()
        self._recent_positions = Recent(1 << 16)

    def forget(self) -> None:
        """Forget what was stored: the database decides from now on."""
        self._recent.forget()
        self._recent_positions.forget()

    def commit(
        self, batch: Batch, standing: Standing, leases: Collection[Lease], *, copy: bool
    ) -> Standing:
        """Store a batch; return what to go on from.

        Parameters
        ----------
        copy
            True: assume that nothing of it is stored yet, the fast way. False: ask.

        Raises
        ------
        psycopg.errors.UniqueViolation
            With `copy`: something of it is stored already.
        AlreadyStoredError
            Without: somebody else stored something in between.
        LeaseLostError
            Another gateway has taken over.
        """
        with self._database.transaction() as conn:
            fence(conn, leases)
            sifted = sift(
                conn,
                standing.registry,
                batch.rows,
                self._recent,
                sequence_horizon_s=self._sequence_horizon_s,
                ask_store=not copy,
            )
            work = _Work(conn, batch, standing, leases, sifted)
            work.decide()
            positions = self._new_positions(conn, batch, ask_store=not copy)
            work.write(positions, copy=copy)
            heard = self._links.due(batch.heard)
            links = ingest.heard(conn, heard)
            write_refused(conn, batch.refused)
            if batch.probes:
                ingest.see_probes(conn, batch.probes)
            work.notify(positions, links)
            after = work.after()
        # From here on it is stored.
        self._links.committed(heard)
        rows = work.sifted.rows
        self._recent.remember(work.sifted.datastream_id, rows.time_ms, rows.value)
        self._recent_positions.remember(positions.device_id, positions.time_ms, positions.lat)
        _count(work, positions, batch)
        return after

    def _new_positions(self, conn: Connection, batch: Batch, *, ask_store: bool) -> Positions:
        positions = position_columns(batch.positions)
        if not len(positions.time_ms):
            return positions
        known = self._recent_positions.look(positions.device_id, positions.time_ms, positions.lat)
        seen = known.same | known.other
        if ask_store:
            seen[ingest.known_positions(conn, positions.device_id, positions.time_ms)] = True
        return positions.take(~seen)


class _Work:
    """One batch on its way through one transaction."""

    def __init__(
        self,
        conn: Connection,
        batch: Batch,
        standing: Standing,
        leases: Collection[Lease],
        sifted: Sifted,
    ) -> None:
        self.conn = conn
        self.batch = batch
        self.standing = standing
        self.registry = standing.registry
        self.sifted = sifted
        self.epochs: dict[int, int] = {}
        for lease in leases:
            self.epochs[lease.tenant_id] = max(self.epochs.get(lease.tenant_id, 0), lease.epoch)
        self.outcome: Outcome
        self.flag: NDArray[np.uint8]
        self.evaluated: NDArray[np.int16]
        self.rate: NDArray[np.float64]
        self.decided: NDArray[np.bool_]
        self.alerts: dict[int, set[int]] = {}

    def decide(self) -> None:
        """Step the detectors; drop what they know already."""
        rows = self.sifted.rows
        # Rules are applied by phenomenon time: what is older than they are is for the replay.
        decided = rows.time_ms >= self.registry.decided_from_ms[rows.sensor]
        some = rows if decided.all() else rows.take(decided)
        self.outcome = self.registry.fleet.step(self.standing.state, some.readings())
        outcome = self.outcome
        n = len(rows)
        self.flag = np.where(np.isnan(rows.value), Flag.MISSING, Flag.NOT_EVALUATED).astype(
            np.uint8
        )
        self.evaluated, self.rate = np.zeros(n, np.int16), np.full(n, np.nan)
        late, duplicate, conflict = np.zeros((3, n), np.bool_)
        self.flag[decided], self.evaluated[decided] = outcome.flag, outcome.evaluated
        self.rate[decided] = outcome.rate_per_h
        late[decided], duplicate[decided] = outcome.late, outcome.duplicate
        conflict[decided] = outcome.conflict
        late |= ~decided
        rows.marks[late] |= np.int16(Mark.LATE)
        keep = ~(duplicate | conflict)
        self.sifted.drop(duplicate, conflict)
        self.flag, self.evaluated = self.flag[keep], self.evaluated[keep]
        self.rate, self.decided = self.rate[keep], ~late[keep]

    def write(self, positions: Positions, *, copy: bool) -> None:
        """Write readings, ledger, detector state and what was set aside."""
        evidence = self._evidence()  # reads what was stored before this batch
        rows, conn = self.sifted.rows, self.conn
        observations = Observations(
            self.sifted.datastream_id,
            self.registry.tenant_id[rows.sensor],
            rows.time_ms,
            rows.received_ms,
            rows.value,
            rows.seq,
            self.flag,
            self.evaluated,
            rows.marks,
            self.rate,
        )
        ingest.write_observations(conn, observations, copy=copy)
        ingest.write_positions(conn, positions, copy=copy)
        verdicts = self.outcome.verdicts
        awaited = verdicts.awaited
        if awaited.any():
            ingest.write_verdicts(
                conn,
                self.registry.datastream_id[verdicts.sensor[awaited]],
                verdicts.time_ms[awaited],
                verdicts.flag[awaited],
                verdicts.evaluated[awaited],
            )
        if len(self.outcome.transitions) or len(self.outcome.windows):
            writer = LedgerWriter(conn, self.registry, self.outcome, evidence)
            writer.write()
            self.alerts = writer.changed
        self._raise_peaks()
        self._write_states()
        if self.sifted.conflicts:
            ingest.add_conflicts(conn, self.sifted.conflicts)

    def notify(self, positions: Positions, links: Collection[int]) -> None:
        """Tell the live feed, town by town, when this commits."""
        changed: dict[int, dict[str, set[int]]] = {}

        def add(kind: str, tenants: NDArray[np.int32], ids: NDArray[np.int32]) -> None:
            for tenant in np.unique(tenants).tolist():
                of_town = np.unique(ids[tenants == tenant]).tolist()
                changed.setdefault(tenant, {}).setdefault(kind, set()).update(of_town)

        rows = self.sifted.rows
        add("datastreams", self.registry.tenant_id[rows.sensor], self.sifted.datastream_id)
        add("devices", positions.tenant_id, positions.device_id)
        for tenant, alerts in self.alerts.items():
            changed.setdefault(tenant, {})["alerts"] = alerts
        for device in links:
            tenant = self.batch.heard[device][0]
            changed.setdefault(tenant, {}).setdefault("links", set()).add(device)
        for tenant, ids in changed.items():
            ingest.notify_live(self.conn, tenant, **ids)

    def after(self) -> Standing:
        """Return what to go on from once this is committed."""
        alerts: Iterable[OpenAlert] = self.standing.open_alerts
        if self.alerts:
            alerts = ledger.open_alerts(self.conn)
        elif not self._raised:
            return Standing(
                self.registry,
                self.outcome.state,
                self.standing.open_alerts,
                self.standing.open_datastreams,
            )
        else:
            alerts = [
                OpenAlert(a.alert_id, a.datastream_id, a.rule_code, self._raised[a.alert_id])
                if a.alert_id in self._raised
                else a
                for a in alerts
            ]
        return Standing.of(self.registry, self.outcome.state, alerts)

    def _evidence(self) -> Evidence:
        """Gather what decided, for the sensors that changed their level."""
        shared: dict[int, dict[str, Any]] = {}
        rows, registry = self.sifted.rows, self.registry
        for sensor in np.unique(self.outcome.transitions.sensor).tolist():
            own = np.flatnonzero((rows.sensor == sensor) & self.decided)
            own = own[np.argsort(rows.time_ms[own], kind="stable")]
            stored = ledger.context_before(
                self.conn, int(registry.datastream_id[sensor]), CONTEXT_ROWS
            )
            profile = registry.fleet.profiles[registry.fleet.sensor_profile[sensor]]
            shared[sensor] = {
                "readings": _pairs(rows.time_ms[own].tolist(), rows.value[own].tolist()),
                "context": _pairs(
                    [fleet.milliseconds(time) for time, _ in stored],
                    [value for _, value in stored],
                ),
                "state": base64.b64encode(self.standing.state.dump(sensor)).decode(),
                "profile": {
                    "max_gap_s": profile.max_gap_s,
                    "lateness_s": profile.lateness_s,
                    "quality": [{"kind": t.kind, "params": t.to_params()} for t in profile.quality],
                    "rules": [
                        {"code": r.key, "kind": r.rule.kind, "params": r.rule.to_params()}
                        for r in profile.rules
                    ],
                },
            }
        return Evidence(shared)

    def _raise_peaks(self) -> None:
        """Keep the worst value of alerts under way, as far as it was believed."""
        self._raised: dict[int, float] = {}
        if not len(self.standing.open_datastreams):
            return
        usable = self.decided & (self.flag != Flag.FAIL) & ~np.isnan(self.sifted.rows.value)
        usable &= np.isin(self.sifted.datastream_id, self.standing.open_datastreams)
        if not usable.any():
            return
        rows = self.sifted.rows
        touched = {alert for alerts in self.alerts.values() for alert in alerts}
        for alert in self.standing.open_alerts:
            own = usable & (self.sifted.datastream_id == alert.datastream_id)
            # Those whose ledger changed in this batch have their peak from all readings already.
            if alert.alert_id in touched or not own.any():
                continue
            sensor = int(rows.sensor[np.argmax(own)])
            versions = self.registry.rule_versions[self.registry.fleet.sensor_profile[sensor]]
            version = next((v for v in versions if v.code == alert.rule_code), None)
            falling = version is not None and is_falling(version)
            peak = float(rows.value[own].min() if falling else rows.value[own].max())
            known = alert.peak_value
            if known is None or (peak < known if falling else peak > known):
                ledger.raise_peak(self.conn, alert.alert_id, peak)
                self._raised[alert.alert_id] = peak

    def _write_states(self) -> None:
        touched = self.outcome.touched
        touched = touched[self.registry.ruled[touched]]
        if not len(touched):
            return
        rows = self.sifted.rows
        newest = np.full(len(touched), np.iinfo(np.int64).min)
        place = np.searchsorted(touched, rows.sensor).clip(max=len(touched) - 1)
        own = touched[place] == rows.sensor
        np.maximum.at(newest, place[own], rows.time_ms[own])
        ingest.write_states(
            self.conn,
            self.registry.datastream_id[touched],
            [self.epochs[t] for t in self.registry.tenant_id[touched].tolist()],
            newest,
            self.outcome.state.dumps(touched),
        )


def write_refused(conn: Connection, refused: Collection[Refused]) -> None:
    """Put messages into quarantine."""
    if refused:
        ingest.quarantine(
            conn,
            [
                QuarantineRow(
                    one.tenant_id,
                    moment(one.message.received_ms),
                    one.message.topic.decode(errors="replace"),
                    one.message.payload[:QUARANTINE_BYTES],
                    one.device_code,
                    str(one.reason),
                    one.detail,
                )
                for one in refused
            ],
        )


def _pairs(times: list[int], values: list[float]) -> list[list[float | None]]:
    """Return [[ms, value], …] as JSON can hold it: null is a missing value."""
    return [
        [time, value if math.isfinite(value) else None]
        for time, value in zip(times, values, strict=True)
    ]


def _count(work: _Work, positions: Positions, batch: Batch) -> None:
    rows: Rows = work.sifted.rows
    metrics.READINGS.inc(len(rows))
    metrics.POSITIONS.inc(len(positions.time_ms))
    metrics.DUPLICATES.inc(work.sifted.duplicates)
    metrics.CONFLICTS.inc(len(work.sifted.conflicts))
    metrics.LATE.inc(int(np.count_nonzero(~work.decided)))
    for one in batch.refused:
        metrics.QUARANTINED.labels(one.reason).inc()
