"""The ledger of alerts brought up to date with what was decided, live or anew.

Nothing is deleted: what no longer stands is marked with the revision that took it away, and what
people were told is corrected by saying something more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from detectors.rules import RateOfRise, Threshold
from store import ledger, ponds
from store.database import Connection
from store.episodes import Change, Stretch, assign, stretches
from store.ledger import AlertRow, Episode
from store.rule_profile import AlertRule

Reason = Literal["live", "late", "settled"]


@dataclass(frozen=True, slots=True)
class Stream:
    """The datastream whose alerts are written.

    `span` is what its instrument can measure; `training`: its town is in an exercise.
    """

    datastream_id: int
    tenant_id: int
    town_code: str
    device_code: str
    training: bool
    span: tuple[float, float]


class LedgerWriter:
    """Writes decisions inside a transaction that holds the datastreams' detector state.

    Attributes
    ----------
    changed
        Ids of the alerts that were written, by town.
    added
        Transitions that were decided for the first time.
    """

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._revisions: dict[tuple[int, Reason], int] = {}
        self.changed: dict[int, set[int]] = {}
        self.added = 0

    def write(
        self,
        stream: Stream,
        version: AlertRule,
        decided: Sequence[Change],
        *,
        reason: Reason,
        since: datetime,
    ) -> None:
        """Bring the alerts of one rule at one datastream up to date.

        Parameters
        ----------
        version
            The rule as it stands at the end.
        decided
            In order of time.
        reason
            "live": these come after all that is stored. Otherwise they are all there are at or
            after `since`, and stored ones from then on that are not among them are withdrawn.
        since
            Live: the time of the first.
        """
        conn = self.conn
        alerts = ledger.alerts_from(conn, stream.datastream_id, version.code, since)
        stored = ledger.transitions_of(conn, [alert.alert_id for alert in alerts])
        fresh = {change.says: change for change in decided}
        standing, gone = [], []
        for row in stored:
            change = Change.of(row)
            if reason == "live" or row.phenomenon_time < since:
                standing.append(change)
            elif fresh.pop(change.says, None) is not None:
                standing.append(change)  # decided again, and the same
            else:
                gone.append(row.transition_id)
        if not (alerts or fresh):
            return
        changes = sorted([*standing, *fresh.values()], key=lambda change: change.time)
        _Rewrite(self, stream, version, alerts, stretches(changes), gone, reason).run()

    def revision(self, tenant_id: int, reason: Reason) -> int:
        """Return the revision that this transaction is for a town, begun at its first use."""
        key = (tenant_id, reason)
        if key not in self._revisions:
            self._revisions[key] = ledger.add_revision(self.conn, tenant_id, reason)
        return self._revisions[key]


class _Rewrite:
    """The alerts of one rule at one datastream, written anew where they say something else."""

    def __init__(
        self,
        writer: LedgerWriter,
        stream: Stream,
        version: AlertRule,
        alerts: Sequence[AlertRow],
        found: Sequence[Stretch],
        gone: Sequence[int],
        reason: Reason,
    ) -> None:
        self.writer, self.stream, self.version = writer, stream, version
        self.alerts, self.found, self.gone, self.reason = alerts, found, gone, reason
        self.conn = writer.conn
        self.touched = False

    @property
    def revision(self) -> int:
        self.touched = True
        return self.writer.revision(self.stream.tenant_id, self.reason)

    def run(self) -> None:
        if self.gone:
            ledger.withdraw_transitions(self.conn, self.gone, self.revision)
        chosen, merged = assign(self.alerts, [stretch.episode for stretch in self.found])
        ids = [
            self._write(alert, stretch) for stretch, alert in zip(self.found, chosen, strict=True)
        ]
        kept = {alert.alert_id for alert in chosen if alert is not None}
        for alert in self.alerts:
            if alert.alert_id in kept:
                continue
            into = merged.get(alert.alert_id)
            if into is None:
                ledger.withdraw_alert(self.conn, alert.alert_id, self.revision)
                body: dict[str, Any] = {"withdrawn": True}
            else:
                ledger.merge_alert(self.conn, alert.alert_id, ids[into], self.revision)
                body = {"merged_into": ids[into]}
            self._say(alert.alert_id, "corrected", body)
        if self.touched:
            self._publish(ids)

    def _write(self, alert: AlertRow | None, stretch: Stretch) -> int:
        stream = self.stream
        known = None if alert is None else alert.peak_value
        episode = replace(stretch.episode, peak_value=self._peak(stretch.episode, known))
        if alert is None:
            alert_id = ledger.add_alert(
                self.conn, stream.tenant_id, stream.datastream_id, self.version.code, episode,
                training=self._in_training(stretch), revision_id=self.revision,
            )  # fmt: skip
        elif _says(alert) == episode and all(
            change.alert_id == alert.alert_id for change in stretch.changes
        ):
            return alert.alert_id
        else:
            alert_id = alert.alert_id
            ledger.change_alert(self.conn, alert_id, episode, self.revision)
        foreign = [c for c in stretch.changes if c.alert_id not in (None, alert_id)]
        ledger.withdraw_transitions(
            self.conn,
            [c.transition_id for c in foreign if c.transition_id is not None],
            self.revision,
        )
        for change in stretch.changes:
            if change.alert_id == alert_id:
                continue
            ledger.add_transition(
                self.conn, alert_id, change.time, (change.from_level, change.to_level),
                change.value, change.rule_version, change.evidence, self.revision,
            )  # fmt: skip
            self.writer.added += change.transition_id is None
        self._tell(alert_id, alert, stretch)
        return alert_id

    def _in_training(self, stretch: Stretch) -> bool:
        first = stretch.changes[0]
        return first.training if first.transition_id is None else self.stream.training

    def _peak(self, episode: Episode, known: float | None) -> float | None:
        low, high = self.stream.span
        return ledger.peak_within(
            self.conn,
            self.stream.datastream_id,
            episode.onset_time,
            episode.clear_time,
            low=low,
            high=high,
            falling=is_falling(self.version),
            known=known,
        )

    def _tell(self, alert_id: int, before: AlertRow | None, stretch: Stretch) -> None:
        episode = stretch.episode
        if self.reason == "live":
            for change in stretch.changes:
                if change.transition_id is None:
                    step = {
                        "from_level": change.from_level,
                        "to_level": change.to_level,
                        "time": change.time.isoformat(),
                        "value": change.value,
                    }
                    self._say(alert_id, _kind(change), step)
            return
        body = {
            "level": episode.level,
            "onset": episode.onset_time.isoformat(),
            "clear": _iso(episode.clear_time),
        }
        # Nobody was told anything yet of an alert that late readings bring: it is raised like any
        # other, unless it was over long ago, which only corrects the record.
        raises = before is None and (self.reason == "late" or episode.level > 0)
        self._say(alert_id, "raised" if raises else "corrected", body)

    def _say(self, alert_id: int, kind: ledger.Said, body: dict[str, Any]) -> None:
        tenant_id = self.stream.tenant_id
        ledger.say(self.conn, tenant_id, alert_id, self.revision, kind, body)
        self.writer.changed.setdefault(tenant_id, set()).add(alert_id)

    def _publish(self, ids: Sequence[int]) -> None:
        """Put the retained alert topic's new state into the outbox."""
        stream, code = self.stream, self.version.code
        topic = f"mz/v1/{stream.town_code}/a/{stream.device_code}/{code}"
        payload: dict[str, Any] = {"rule": code, "level": 0, "training": stream.training}
        if self.found:
            episode = self.found[-1].episode
            payload |= {
                "alert": ids[-1],
                "level": episode.level,
                "peak_level": episode.peak_level,
                "onset": episode.onset_time.isoformat(),
                "clear": _iso(episode.clear_time),
                "value": self.found[-1].changes[-1].value,
            }
        quiet_until = ponds.quiet_until(self.conn, stream.datastream_id)
        if quiet_until is not None and ids:
            body = {"event": "held_back", "because": "lifted_out", "until": _iso(quiet_until)}
            self._say(ids[-1], "note", body)
        ledger.send(self.conn, stream.tenant_id, topic, payload, not_before=quiet_until)


def is_falling(version: AlertRule) -> bool:
    """Whether low values are what a rule is about."""
    rule = version.rule
    return isinstance(rule, Threshold | RateOfRise) and rule.direction == "falling"


def told(value: float) -> float | None:
    """Return a value as the ledger writes it: one that is no number is null."""
    return value if math.isfinite(value) else None


def _says(alert: AlertRow) -> Episode:
    return Episode(
        alert.rule_version,
        alert.onset_time,
        alert.clear_time,
        alert.level,
        alert.peak_level,
        alert.peak_value,
    )


def _kind(change: Change) -> ledger.Said:
    if change.to_level == 0:
        return "cleared"
    if change.from_level == 0:
        return "raised"
    return "escalated" if change.to_level > change.from_level else "lowered"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
