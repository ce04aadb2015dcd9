"""The ledger of alerts: transitions of a batch become episodes with evidence.

Episodes are a function of the standing transitions alone. An episode that overlaps an alert
keeps its id; of several alerts that turn out to be one episode the younger are merged into the
oldest; an alert that late readings took away is marked withdrawn. Nothing is deleted, and what
people were told is corrected by saying something more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from detectors.outcome import Outcome
from detectors.rules import RateOfRise, Threshold
from gateway import metrics
from gateway.evidence import Evidence
from gateway.registry import Registry, RuleVersion
from store import ledger as store
from store.database import Connection
from store.ledger import AlertRow, Episode, TransitionRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time_ms: int) -> datetime:
    """Return milliseconds since 1970 UTC as a time, exactly."""
    return _EPOCH + timedelta(milliseconds=time_ms)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level, stored or new (`transition_id` None)."""

    time: datetime
    from_level: int
    to_level: int
    value: float | None
    rule_version: int
    evidence: Any
    transition_id: int | None
    alert_id: int | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """An episode and the changes that make it up."""

    episode: Episode
    changes: tuple[Change, ...]


def stretches(changes: Sequence[Change]) -> list[Stretch]:
    """Cut changes of one rule at one datastream, in time order, into episodes above level 0."""
    found: list[Stretch] = []
    current: list[Change] = []
    for change in changes:
        current.append(change)
        if change.to_level == 0:
            found.append(_stretch(current))
            current = []
    if current:
        found.append(_stretch(current))
    return found


def _stretch(changes: Sequence[Change]) -> Stretch:
    last = changes[-1]
    episode = Episode(
        rule_version=last.rule_version,
        onset_time=changes[0].time,
        clear_time=last.time if last.to_level == 0 else None,
        level=last.to_level,
        peak_level=max(change.to_level for change in changes),
        peak_value=None,
    )
    return Stretch(episode, tuple(changes))


def assign(
    alerts: Sequence[AlertRow], episodes: Sequence[Episode]
) -> tuple[list[AlertRow | None], dict[int, int]]:
    """Decide which alert each episode is.

    Parameters
    ----------
    alerts, episodes
        Both by onset.

    Returns
    -------
    list of AlertRow or None
        Per episode the oldest alert that overlaps it and is no earlier episode's; None: a new one.
    dict
        Merged alerts: id, and the index of the episode they are part of.
    """
    chosen: list[AlertRow | None] = [None] * len(episodes)
    merged: dict[int, int] = {}
    for alert in alerts:
        for number, episode in enumerate(episodes):
            if not _overlap(alert, episode):
                continue
            if chosen[number] is None:
                chosen[number] = alert
                merged.pop(alert.alert_id, None)
                break
            merged.setdefault(alert.alert_id, number)
    return chosen, merged


def _overlap(alert: AlertRow, episode: Episode) -> bool:
    starts_before_end = episode.clear_time is None or alert.onset_time < episode.clear_time
    ends_after_start = alert.clear_time is None or episode.onset_time < alert.clear_time
    return starts_before_end and ends_after_start


class LedgerWriter:
    """Writes one batch's decisions inside its transaction.

    Parameters
    ----------
    conn
        The batch's transaction.
    registry, outcome
        What decided, and what it decided.
    evidence
        Called with a sensor, a rule and a time: what decided, as JSON.
    """

    def __init__(
        self, conn: Connection, registry: Registry, outcome: Outcome, evidence: Evidence
    ) -> None:
        self._conn = conn
        self._registry = registry
        self._outcome = outcome
        self._evidence = evidence
        self._revisions: dict[tuple[int, str], int] = {}
        self.changed: dict[int, set[int]] = {}

    def write(self) -> None:
        """Bring the ledger up to date; `changed` then holds the alert ids per town."""
        moves, windows = self._outcome.transitions, self._outcome.windows
        from_ms = {
            (int(s), int(r)): int(t)
            for s, r, t in zip(windows.sensor, windows.rule, windows.from_ms, strict=True)
        }
        places: dict[tuple[int, int], list[int]] = {key: [] for key in from_ms}
        for i in range(len(moves)):
            places.setdefault((int(moves.sensor[i]), int(moves.rule[i])), []).append(i)
        for (sensor, rule), rows in places.items():
            self._settle(sensor, rule, rows, from_ms.get((sensor, rule)))

    def _settle(self, sensor: int, rule: int, rows: list[int], window_ms: int | None) -> None:
        moves = self._outcome.transitions
        version = self._registry.rule_of(sensor, rule)
        datastream = int(self._registry.datastream_id[sensor])
        since = moment(int(moves.time_ms[rows[0]]) if window_ms is None else window_ms)
        alerts = store.alerts_from(self._conn, datastream, version.code, since)
        stored = store.transitions_of(self._conn, [alert.alert_id for alert in alerts])
        fresh = {
            (moment(int(moves.time_ms[i])), int(moves.from_level[i]), int(moves.to_level[i])): i
            for i in rows
        }
        standing, gone = [], []
        for row in stored:
            key = (row.phenomenon_time, row.from_level, row.to_level)
            if row.phenomenon_time < since or window_ms is None:
                standing.append(_change(row))
            elif key in fresh:
                del fresh[key]  # decided again, and the same
                standing.append(_change(row))
            else:
                gone.append(row)
        if not fresh and not gone:
            return
        added = [self._new_change(i, version, sensor) for i in fresh.values()]
        changes = sorted(standing + added, key=lambda change: change.time)
        late = window_ms is not None
        revision = self._revision(int(self._registry.tenant_id[sensor]), late=late)
        store.withdraw_transitions(self._conn, [row.transition_id for row in gone], revision)
        self._rewrite(sensor, version, alerts, stretches(changes), revision, late=late)

    def _rewrite(
        self,
        sensor: int,
        version: RuleVersion,
        alerts: Sequence[AlertRow],
        found: Sequence[Stretch],
        revision: int,
        *,
        late: bool,
    ) -> None:
        chosen, merged = assign(alerts, [stretch.episode for stretch in found])
        ids: list[int] = []
        for stretch, alert in zip(found, chosen, strict=True):
            ids.append(self._write_stretch(sensor, version, alert, stretch, revision, late=late))
        kept = {alert.alert_id for alert in chosen if alert is not None}
        tenant = int(self._registry.tenant_id[sensor])
        for alert in alerts:
            if alert.alert_id in kept:
                continue
            into = merged.get(alert.alert_id)
            if into is None:
                store.withdraw_alert(self._conn, alert.alert_id, revision)
                body: dict[str, Any] = {"withdrawn": True}
            else:
                store.merge_alert(self._conn, alert.alert_id, ids[into], revision)
                body = {"merged_into": ids[into]}
            store.say(self._conn, tenant, alert.alert_id, revision, "corrected", body)
            self._changed(tenant, alert.alert_id)
        self._publish(sensor, version, found, ids)

    def _write_stretch(
        self,
        sensor: int,
        version: RuleVersion,
        alert: AlertRow | None,
        stretch: Stretch,
        revision: int,
        *,
        late: bool,
    ) -> int:
        tenant = int(self._registry.tenant_id[sensor])
        datastream = int(self._registry.datastream_id[sensor])
        episode = stretch.episode
        peak = store.peak_within(
            self._conn,
            datastream,
            episode.onset_time,
            episode.clear_time,
            falling=is_falling(version),
        )
        episode = replace(episode, peak_value=peak)
        if alert is None:
            training = tenant in self._registry.training
            alert_id = store.add_alert(
                self._conn, tenant, datastream, version.code, episode,
                training=training, revision_id=revision,
            )  # fmt: skip
        elif _says(alert) == episode and all(
            change.alert_id == alert.alert_id for change in stretch.changes
        ):
            return alert.alert_id
        else:
            alert_id = alert.alert_id
            store.change_alert(self._conn, alert_id, episode, revision)
        foreign = [c for c in stretch.changes if c.alert_id not in (None, alert_id)]
        store.withdraw_transitions(
            self._conn, [c.transition_id for c in foreign if c.transition_id is not None], revision
        )
        for change in stretch.changes:
            if change.alert_id == alert_id:
                continue
            store.add_transition(
                self._conn, alert_id, change.time, (change.from_level, change.to_level),
                change.value, change.rule_version, change.evidence, revision,
            )  # fmt: skip
            if change.transition_id is None:
                metrics.TRANSITIONS.inc()
        self._say(tenant, alert_id, alert, stretch, revision, late=late)
        self._changed(tenant, alert_id)
        return alert_id

    def _say(
        self,
        tenant: int,
        alert_id: int,
        before: AlertRow | None,
        stretch: Stretch,
        revision: int,
        *,
        late: bool,
    ) -> None:
        fresh = [change for change in stretch.changes if change.transition_id is None]
        if late:
            body = {
                "level": stretch.episode.level,
                "onset": stretch.episode.onset_time.isoformat(),
                "clear": _iso(stretch.episode.clear_time),
            }
            # Late readings that bring a new alert still raise it: nobody was told anything yet.
            kind: store.Said = "corrected" if before is not None else "raised"
            store.say(self._conn, tenant, alert_id, revision, kind, body)
            return
        for change in fresh:
            step = {
                "from_level": change.from_level,
                "to_level": change.to_level,
                "time": change.time.isoformat(),
                "value": change.value,
            }
            store.say(self._conn, tenant, alert_id, revision, _kind(change), step)

    def _publish(
        self, sensor: int, version: RuleVersion, found: Sequence[Stretch], ids: Sequence[int]
    ) -> None:
        """Put the retained alert topic's new state into the outbox."""
        registry = self._registry
        tenant = int(registry.tenant_id[sensor])
        device = registry.device_codes[int(registry.device_id[sensor])]
        topic = f"mz/v1/{registry.town_codes[tenant]}/a/{device}/{version.code}"
        payload: dict[str, Any] = {
            "rule": version.code,
            "level": 0,
            "training": tenant in registry.training,
        }
        if found:
            episode = found[-1].episode
            payload |= {
                "alert": ids[-1],
                "level": episode.level,
                "peak_level": episode.peak_level,
                "onset": episode.onset_time.isoformat(),
                "clear": _iso(episode.clear_time),
                "value": found[-1].changes[-1].value,
            }
        store.send(self._conn, tenant, topic, payload)

    def _new_change(self, i: int, version: RuleVersion, sensor: int) -> Change:
        moves = self._outcome.transitions
        value = float(moves.value[i])
        time_ms = int(moves.time_ms[i])
        return Change(
            moment(time_ms),
            int(moves.from_level[i]),
            int(moves.to_level[i]),
            value if np.isfinite(value) else None,
            version.version,
            self._evidence.of(sensor, version, time_ms, unconfirmed=bool(moves.unconfirmed[i])),
            None,
            None,
        )

    def _revision(self, tenant: int, *, late: bool) -> int:
        reason = "late" if late else "live"
        key = (tenant, reason)
        if key not in self._revisions:
            self._revisions[key] = store.add_revision(
                self._conn, tenant, "late" if late else "live"
            )
        return self._revisions[key]

    def _changed(self, tenant: int, alert_id: int) -> None:
        self.changed.setdefault(tenant, set()).add(alert_id)


def is_falling(version: RuleVersion) -> bool:
    """Whether low values are what a rule is about."""
    rule = version.rule
    return isinstance(rule, Threshold | RateOfRise) and rule.direction == "falling"


def _change(row: TransitionRow) -> Change:
    return Change(
        row.phenomenon_time,
        row.from_level,
        row.to_level,
        row.value,
        row.rule_version,
        row.evidence,
        row.transition_id,
        row.alert_id,
    )


def _says(alert: AlertRow) -> Episode:
    return Episode(
        alert.rule_version,
        alert.onset_time,
        alert.clear_time,
        alert.level,
        alert.peak_level,
        alert.peak_value,
    )


def _kind(change: Change) -> store.Said:
    if change.to_level == 0:
        return "cleared"
    if change.from_level == 0:
        return "raised"
    return "escalated" if change.to_level > change.from_level else "lowered"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
