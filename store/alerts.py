"""The ledger of alerts, as a reader sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from store import queries
from store.database import Connection


@dataclass(frozen=True)
class Alert:
    """One episode above level 0 of one rule at one datastream.

    The label is that of ``level`` while the alert is open, of ``peak_level`` when it has ended.
    """

    alert_id: int
    device: str
    datastream_id: int
    property: str
    unit: str
    rule: str
    rule_version: int
    rule_kind: str | None
    scheme: str | None
    level: int
    label_ja: str | None
    label_en: str | None
    colour: str | None
    symbol: str | None
    onset: datetime
    clear: datetime | None
    peak_level: int
    peak_value: float | None
    training: bool
    withdrawn: bool
    merged_into: int | None
    site: str | None


@dataclass(frozen=True)
class Transition:
    """One change of level, with what decided it; the label is that of ``to_level``."""

    time: datetime
    from_level: int
    to_level: int
    value: float | None
    rule_version: int
    evidence: Any
    label_ja: str | None
    label_en: str | None
    colour: str | None
    symbol: str | None


@dataclass(frozen=True)
class Place:
    """Where a page ends in the order of the list."""

    onset: datetime
    alert_id: int


def alerts(
    conn: Connection,
    *,
    is_open: bool | None = None,
    before: Place | None = None,
    limit: int | None = None,
) -> list[Alert]:
    """List alerts, newest onset first, without what was withdrawn or merged into another.

    Parameters
    ----------
    conn
        Connection of the town.
    is_open
        True for those under way, False for those that ended, None for both.
    before
        Where the page before this one ended.
    limit
        Most alerts; None for all.
    """
    return _select(conn, ids=None, is_open=is_open, before=before, limit=limit)


def alerts_by_id(conn: Connection, ids: Sequence[int]) -> list[Alert]:
    """Read these alerts, also withdrawn and merged ones; those of other towns are absent."""
    return _select(conn, ids=list(ids), is_open=None, before=None, limit=None)


def _select(
    conn: Connection,
    *,
    ids: list[int] | None,
    is_open: bool | None,
    before: Place | None,
    limit: int | None,
) -> list[Alert]:
    parameters = {
        "ids": ids,
        "open": is_open,
        "before_onset": before and before.onset,
        "before_id": before and before.alert_id,
        "limit": limit,
    }
    with conn.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(queries.load("alerts")["alerts"], parameters).fetchall()


def transitions(conn: Connection, alert_id: int) -> list[Transition]:
    """List the standing transitions of one alert, in phenomenon time."""
    with conn.cursor(row_factory=class_row(Transition)) as cursor:
        return cursor.execute(
            queries.load("alerts")["transitions"], {"alert_id": alert_id}
        ).fetchall()
