"""The ledger of alerts as a gateway keeps it, with its journal and outbox rows."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from store import queries
from store.database import Connection
from store.marks import Mark

_SQL = queries.load("ledger")

Said = Literal["raised", "escalated", "lowered", "cleared", "corrected", "note"]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An episode as it stands."""

    alert_id: int
    rule_code: str
    rule_version: int
    onset_time: datetime
    clear_time: datetime | None
    level: int
    peak_level: int
    peak_value: float | None


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """A standing change of level."""

    transition_id: int
    alert_id: int
    phenomenon_time: datetime
    from_level: int
    to_level: int
    value: float | None
    rule_version: int
    evidence: Any


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that is under way."""

    alert_id: int
    datastream_id: int
    rule_code: str
    peak_value: float | None


@dataclass(frozen=True, slots=True)
class Episode:
    """What an alert's row shall say."""

    rule_version: int
    onset_time: datetime
    clear_time: datetime | None
    level: int
    peak_level: int
    peak_value: float | None


def alerts_from(
    conn: Connection, datastream_id: int, rule_code: str, from_time: datetime
) -> list[AlertRow]:
    """Read and lock what stands at or after a time, by onset."""
    parameters = {
        "datastream_id": datastream_id,
        "rule_code": rule_code,
        "from_time": from_time,
    }
    with conn.cursor(row_factory=class_row(AlertRow)) as cursor:
        return cursor.execute(_SQL["alerts_from"], parameters).fetchall()


def transitions_of(conn: Connection, alert_ids: Collection[int]) -> list[TransitionRow]:
    """Read the standing transitions of alerts, by phenomenon time."""
    with conn.cursor(row_factory=class_row(TransitionRow)) as cursor:
        return cursor.execute(_SQL["transitions_of"], {"alert_ids": list(alert_ids)}).fetchall()


def open_alerts(conn: Connection) -> list[OpenAlert]:
    """Read every alert that is under way."""
    with conn.cursor(row_factory=class_row(OpenAlert)) as cursor:
        return cursor.execute(_SQL["open_alerts"]).fetchall()


def add_revision(
    conn: Connection, tenant_id: int, reason: Literal["live", "late", "settled"]
) -> int:
    """Begin a revision of a town's ledger."""
    return _one(conn, "add_revision", {"tenant_id": tenant_id, "reason": reason})


def add_alert(
    conn: Connection,
    tenant_id: int,
    datastream_id: int,
    rule_code: str,
    episode: Episode,
    *,
    training: bool,
    revision_id: int,
) -> int:
    """Add an alert; return its id."""
    parameters = {
        "tenant_id": tenant_id,
        "datastream_id": datastream_id,
        "rule_code": rule_code,
        "training": training,
        "revision_id": revision_id,
        **_fields(episode),
    }
    return _one(conn, "add_alert", parameters)


def change_alert(conn: Connection, alert_id: int, episode: Episode, revision_id: int) -> None:
    """Let an alert's row say something else."""
    conn.execute(
        _SQL["change_alert"],
        {"alert_id": alert_id, "revision_id": revision_id, **_fields(episode)},
    )


def withdraw_alert(conn: Connection, alert_id: int, revision_id: int) -> None:
    """Mark an alert that late readings showed never to have been."""
    conn.execute(_SQL["withdraw_alert"], {"alert_id": alert_id, "revision_id": revision_id})


def merge_alert(conn: Connection, alert_id: int, merged_into: int, revision_id: int) -> None:
    """Close an alert that late readings showed to be part of an older one."""
    parameters = {"alert_id": alert_id, "merged_into": merged_into, "revision_id": revision_id}
    conn.execute(_SQL["merge_alert"], parameters)


def add_transition(
    conn: Connection,
    alert_id: int,
    phenomenon_time: datetime,
    levels: tuple[int, int],
    value: float | None,
    rule_version: int,
    evidence: Any,
    revision_id: int,
) -> None:
    """Append a change of level with what decided it."""
    parameters = {
        "alert_id": alert_id,
        "phenomenon_time": phenomenon_time,
        "from_level": levels[0],
        "to_level": levels[1],
        "value": value,
        "rule_version": rule_version,
        "evidence": Jsonb(evidence),
        "revision_id": revision_id,
    }
    conn.execute(_SQL["add_transition"], parameters)


def withdraw_transitions(
    conn: Connection, transition_ids: Collection[int], revision_id: int
) -> None:
    """Mark transitions that no longer stand."""
    if transition_ids:
        parameters = {"transition_ids": list(transition_ids), "revision_id": revision_id}
        conn.execute(_SQL["withdraw_transitions"], parameters)


def peak_within(
    conn: Connection,
    datastream_id: int,
    from_time: datetime,
    to_time: datetime | None,
    *,
    low: float,
    high: float,
    falling: bool,
    known: float | None = None,
) -> float | None:
    """Return the worst value from `low` to `high` between two times; `falling`: the lowest.

    `known` is what it was before: it counts where readings of that time were deleted since.
    """
    parameters = {
        "datastream_id": datastream_id,
        "from_time": from_time,
        "to_time": to_time,
        "low": low,
        "high": high,
        "falling": falling,
        "known": known,
    }
    row = conn.execute(_SQL["peak_within"], parameters).fetchone()
    return row[0] if row else None


def raise_peak(conn: Connection, alert_id: int, value: float) -> None:
    """Set the worst value of an alert under way."""
    conn.execute(_SQL["raise_peak"], {"alert_id": alert_id, "value": value})


def context_before(conn: Connection, datastream_id: int, rows: int) -> list[tuple[datetime, float]]:
    """Read the newest readings that were decided on, oldest first."""
    parameters = {
        "datastream_id": datastream_id,
        "rows": rows,
        "undecided": int(Mark.LATE),
        "decision": int(Mark.LATE | Mark.SETTLED),
    }
    found = conn.execute(_SQL["context_before"], parameters, binary=True).fetchall()
    return [(row[0], row[1]) for row in reversed(found)]


def say(
    conn: Connection, tenant_id: int, alert_id: int, revision_id: int, kind: Said, body: Any
) -> None:
    """Append to the journal."""
    parameters = {
        "tenant_id": tenant_id,
        "alert_id": alert_id,
        "revision_id": revision_id,
        "kind": kind,
        "body": Jsonb(body),
    }
    conn.execute(_SQL["say"], parameters)


def send(
    conn: Connection,
    tenant_id: int,
    topic: str,
    payload: Any,
    *,
    not_before: datetime | None = None,
) -> None:
    """Put a retained message into the outbox and wake the job that sends it (at `not_before`)."""
    parameters = {
        "tenant_id": tenant_id,
        "topic": topic,
        "payload": Jsonb(payload),
        "not_before": not_before,
    }
    conn.execute(_SQL["send"], parameters)
    conn.execute(_SQL["wake_outbox"])


def _fields(episode: Episode) -> dict[str, Any]:
    return {name: getattr(episode, name) for name in Episode.__slots__}


def _one(conn: Connection, name: str, parameters: dict[str, Any]) -> int:
    row = conn.execute(_SQL[name], parameters).fetchone()
    assert row is not None
    return int(row[0])
