"""One batch, one transaction: what was accepted, what was decided, and all that follows."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.arrays import NEVER
from detectors.flags import Flag
from detectors.fleet import CONTEXT_ROWS
from detectors.readings import Readings
from gateway import clocks, metrics
from gateway import ledger as decisions
from gateway.batch import Batch, Rows
from gateway.leads import LeadWatch
from gateway.links import Links
from gateway.positions import Fixes
from gateway.positions import sift as sift_fixes
from gateway.quarantine import Quarantine
from gateway.recent import Recent
from gateway.routers import Routers
from gateway.sift import Sifted, sift
from gateway.standing import Standing
from store import broker_accounts, conflicts, ledger, routers, unsettled
from store import clocks as clock_rows
from store.batch_writer import BatchWriter
from store.database import Database
from store.detector_states import States
from store.evidence import Before, before_each
from store.flag_revisions import Verdicts
from store.intake_lease import Lease
from store.ledger import OpenAlert
from store.ledger_writer import is_falling
from store.marks import Mark
from store.observations import Observations
from store.positions import NO_POSITIONS, Positions
from store.times import milliseconds

if TYPE_CHECKING:
    from detectors.outcome import Outcome

# How long after a rule's change readings that have to be sorted in are left to a job as well.
RULE_CHANGE_MS: Final = 86_400_000
_LATE: Final = np.int16(Mark.LATE)


class Committer:
    """Commits batches.

    Parameters
    ----------
    database
        As the role `mizumori_gateway`.
    links
        Remembers which devices are written down as online.
    quarantine
        Keeps what is refused.
    sequence_horizon_s
        See `store.sequences.claim`.
    """

    def __init__(
        self,
        database: Database,
        links: Links,
        quarantine: Quarantine,
        sequence_horizon_s: float,
    ) -> None:
        self._database = database
        self._links = links
        self._quarantine = quarantine
        self._sequence_horizon_s = sequence_horizon_s
        self._recent = Recent()
        self._recent_positions = Recent(1 << 16)
        self._leads = LeadWatch()
        self._routers = Routers()

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
        psycopg.errors.UniqueViolation, AlreadyStoredError
            Something of it is stored already; without `copy`: somebody else did so in between.
        StateMovedError
            A settlement has replaced detector states that `standing` holds.
        LeaseLostError
            Another gateway has taken over.
        """
        with self._database.transaction() as conn:
            writer = BatchWriter(conn, leases)
            sifted = sift(
                writer,
                standing.registry,
                batch.rows,
                Positions.of(batch.positions) if batch.positions else NO_POSITIONS,
                self._recent,
                sequence_horizon_s=self._sequence_horizon_s,
                ask_store=not copy,
            )
            work = _Work(writer, batch, standing, sifted)
            work.decide(ask_store=copy)  # else all that is stored was dropped
            fixes = sift_fixes(writer, sifted.fixes, self._recent_positions, ask_store=not copy)
            positions = fixes.new
            work.write(fixes, copy=copy)
            heard = self._links.due(batch.heard)
            writer.heard(heard)
            if batch.refused:
                self._quarantine.write(writer.conn, batch.refused)
            if faults := clocks.faults(batch, work.sifted.rows, positions, standing.registry):
                clock_rows.count(writer.conn, faults)
            leads = self._leads.due(batch, work.sifted.rows, positions, standing.registry)
            if len(leads):
                clock_rows.write_leads(writer.conn, leads)
            if heard_by := self._routers.due(batch):
                routers.heard(writer.conn, heard_by)
            if batch.probes:
                broker_accounts.see_probes(writer.conn, batch.probes)
            work.notify(positions)
            after = work.after()
            writer.finish()
        # From here on it is stored.
        self._links.committed(heard)
        if len(leads):
            self._leads.committed(leads)
        self._routers.committed(heard_by)
        work.sifted.remember(self._recent)
        if len(positions):
            self._recent_positions.remember(
                positions.device_id, positions.time_ms, positions.lat, positions.seq
            )
        _count(work, fixes, batch)
        return after


class _Work:
    """One batch on its way through one transaction."""

    def __init__(
        self,
        writer: BatchWriter,
        batch: Batch,
        standing: Standing,
        sifted: Sifted,
    ) -> None:
        self.writer = writer
        self.batch = batch
        self.standing = standing
        self.registry = standing.registry
        self.sifted = sifted
        self.outcome: Outcome
        self.flag: NDArray[np.uint8]
        self.evaluated: NDArray[np.int16]
        self.rate: NDArray[np.float64]
        self.decided: NDArray[np.bool_]
        self.alerts: dict[int, set[int]] = {}
        self.added = 0

    def decide(self, *, ask_store: bool) -> None:
        """Step the detectors; drop what they know already."""
        rows = self.sifted.rows
        # Rules are applied by phenomenon time: what is older than they are is for the replay.
        decided = rows.time_ms >= self.registry.decided_from_ms[rows.sensor]
        if decided.all():
            outcome = self.registry.fleet.step(self.standing.state, rows.readings())
        else:
            some = rows.take(decided).readings()
            outcome = self.registry.fleet.step(self.standing.state, some)
            outcome = _with_others(outcome, decided, rows)
        self.outcome, self.decided = outcome, ~outcome.late
        self.flag, self.evaluated = outcome.flag, outcome.evaluated
        self.rate = outcome.rate_per_h
        rows.marks[outcome.late] |= _LATE
        gone = outcome.duplicate | outcome.conflict
        if gone.any():
            self.sifted.drop_repeated(
                self.writer, outcome.duplicate, outcome.conflict, ask_store=ask_store
            )
            self.flag, self.evaluated = self.flag[~gone], self.evaluated[~gone]
            self.rate, self.decided = self.rate[~gone], self.decided[~gone]

    def write(self, fixes: Fixes, *, copy: bool) -> None:
        """Write readings, ledger, detector state and what was set aside."""
        self._write_states()  # first: whoever has these rows has the datastreams' alerts
        before = self._before()  # reads what was stored before this batch
        rows, writer = self.sifted.rows, self.writer
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
        writer.observations(observations, copy=copy)
        fixes.write(writer, copy=copy)
        verdicts = self.outcome.verdicts
        if len(verdicts):
            of = self.registry.datastream_id[verdicts.sensor]
            revised = Verdicts(of, verdicts.time_ms, verdicts.flag, verdicts.evaluated)
            writer.verdicts(revised, verdicts.awaited)
        if len(self.outcome.transitions) or len(self.outcome.windows):
            decided = decisions.write(writer.conn, self.registry, self.outcome, before)
            self.alerts = decided.changed
            self.added = decided.added
        self._raise_peaks()
        self._mark_unsettled()
        if aside := self.sifted.conflicts + self.sifted.renumbered:
            conflicts.add(writer.conn, aside)

    def notify(self, positions: Positions) -> None:
        """Tell the live feed when all this commits."""
        changed: dict[int, dict[str, set[int]]] = defaultdict(dict)
        of_rows = self.registry.tenant_id[self.sifted.rows.sensor]
        for kind, towns, ids in (
            ("datastreams", of_rows, self.sifted.datastream_id),
            ("devices", positions.tenant_id, positions.device_id),
        ):
            for town in set(towns.tolist()):
                changed[town][kind] = set(ids[towns == town].tolist())
        for town, alerts in self.alerts.items():
            changed[town]["alerts"] = alerts
        self.writer.notify(changed)

    def after(self) -> Standing:
        """Return what to go on from once this is committed."""
        after = replace(self.standing, state=self.outcome.state)
        alerts: Iterable[OpenAlert] = self.standing.open_alerts
        if self.alerts:
            alerts = ledger.open_alerts(self.writer.conn)
        elif not self._raised:
            return after
        else:
            alerts = [
                OpenAlert(a.alert_id, a.datastream_id, a.rule_code, self._raised[a.alert_id])
                if a.alert_id in self._raised
                else a
                for a in alerts
            ]
        return after.having(alerts)

    def _before(self) -> dict[int, list[Before]]:
        """Gather what decides, for the sensors that change their level."""
        found: dict[int, list[Before]] = {}
        rows, registry = self.sifted.rows, self.registry
        for sensor in sorted(set(self.outcome.transitions.sensor.tolist())):
            own = np.flatnonzero((rows.sensor == sensor) & self.decided)
            own = own[np.argsort(rows.time_ms[own], kind="stable")]
            stored = ledger.context_before(
                self.writer.conn, int(registry.datastream_id[sensor]), CONTEXT_ROWS
            )
            context = Readings.of(
                sensor, [milliseconds(time) for time, _ in stored], [v for _, v in stored]
            )
            found[sensor] = before_each(
                registry.fleet, self.standing.state, sensor, context, rows.take(own).readings()
            )
        return found

    def _raise_peaks(self) -> None:
        """Keep the worst value of alerts under way that the instrument can have measured."""
        self._raised: dict[int, float] = {}
        if not len(self.standing.open_datastreams):
            return
        usable = self.decided & np.isfinite(self.sifted.rows.value)
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
            compiled = self.registry.compiled_of(int(rows.sensor[np.argmax(own)]))
            low, high = compiled.span
            own &= (rows.value >= low) & (rows.value <= high)
            if not own.any():
                continue
            version = next((v for v in compiled.versions if v.code == alert.rule_code), None)
            falling = version is not None and is_falling(version)
            peak = float(rows.value[own].min() if falling else rows.value[own].max())
            known = alert.peak_value
            if known is None or (peak < known if falling else peak > known):
                ledger.raise_peak(self.writer.conn, alert.alert_id, peak)
                self._raised[alert.alert_id] = peak

    def _write_states(self) -> None:
        touched = self.outcome.touched
        touched = touched[self.registry.ruled[touched]]
        if not len(touched):
            return
        rows = self.sifted.rows
        newest = np.full(len(touched), NEVER)
        place = touched.searchsorted(rows.sensor)
        own = touched.take(place, mode="clip") == rows.sensor
        np.maximum.at(newest, place[own], rows.time_ms[own])
        states = States(
            self.registry.datastream_id[touched],
            self.standing.epoch[touched],
            self.standing.revision[touched],
            newest,
            self.registry.decided_from_ms[touched],
            self.outcome.state.dumps(touched),
        )
        self.writer.states(states)

    def _mark_unsettled(self) -> None:
        """Mark what a job has to decide anew: late readings, and older ones near a rule's change.

        The state before the ring is of the rules that held then: readings that are sorted in
        soon after a change would be compared with what the new rules make of it.
        """
        registry, rows, windows = self.registry, self.sifted.rows, self.outcome.windows
        late = ~self.decided
        if not (len(windows) or late.any()):
            return
        since = registry.decided_from_ms[windows.sensor]
        near = (since > 0) & (windows.from_ms < since + RULE_CHANGE_MS)
        if not (near.any() or late.any()):
            return
        unsettled.mark(
            self.writer.conn,
            np.concatenate(
                [self.sifted.datastream_id[late], registry.datastream_id[windows.sensor[near]]]
            ),
            np.concatenate([rows.time_ms[late], np.minimum(since, windows.from_ms)[near]]),
        )


def _with_others(outcome: "Outcome", decided: NDArray[np.bool_], rows: Rows) -> "Outcome":
    """Return what is to be said of all rows, given the outcome of those that are `decided` on."""

    def among(said: NDArray[Any], of_others: ArrayLike) -> NDArray[Any]:
        whole: NDArray[Any] = np.full(len(rows), of_others, said.dtype)
        whole[decided] = said
        return whole

    return replace(
        outcome,
        flag=among(outcome.flag, np.where(np.isnan(rows.value), Flag.MISSING, Flag.NOT_EVALUATED)),
        evaluated=among(outcome.evaluated, 0),
        rate_per_h=among(outcome.rate_per_h, np.nan),
        late=among(outcome.late, True),
        duplicate=among(outcome.duplicate, False),
        conflict=among(outcome.conflict, False),
    )


def _count(work: _Work, fixes: Fixes, batch: Batch) -> None:
    rows: Rows = work.sifted.rows
    for counter, more in (
        (metrics.READINGS, len(rows)),
        (metrics.POSITIONS, len(fixes.new)),
        (metrics.DUPLICATES, work.sifted.duplicates + fixes.duplicates),
        (metrics.CONFLICTS, len(work.sifted.conflicts) + fixes.conflicts),
        (metrics.TRANSITIONS, work.added),
        (metrics.LATE, len(rows) - int(np.count_nonzero(work.decided))),
    ):
        if more:
            counter.inc(more)
    for one in batch.refused:
        metrics.QUARANTINED.labels(one.reason).inc()
