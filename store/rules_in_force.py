"""Which version of a rule applies where, at a time.

The version with the most specific scope that covers a datastream applies there (device, then site,
then the town), the newest of that scope.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import set_json_loads

from store import queries
from store.database import Connection

_SQL = queries.load("rules_in_force")


@dataclass(frozen=True)
class ScopedRule:
    """The version of a rule that applies in one scope; parts that are None are not restricted."""

    code: str
    version: int
    kind: str
    property: str
    device_kind: str | None
    site_kinds: list[str] | None
    site: str | None
    device: str | None
    params: dict[str, Any]
    label_scheme: str
    enabled: bool
    valid_from: datetime


@dataclass(frozen=True)
class RuleInForce:
    """The version of a rule that applies to one datastream at a time."""

    datastream_id: int
    device_id: int
    rule_id: int
    code: str
    version: int
    kind: str
    property: str
    params: dict[str, Any]
    label_scheme: str
    valid_from: datetime


@dataclass(frozen=True)
class LinkRule:
    """The version of a rule that applies to the link of one device at a time."""

    device_id: int
    rule_id: int
    code: str
    version: int
    kind: str
    property: str
    params: dict[str, Any]
    label_scheme: str


def in_scopes(conn: Connection, tenant_id: int, at: datetime) -> list[ScopedRule]:
    """List a town's rules that apply at a time, by code and scope, the widest scope first."""
    with conn.cursor(row_factory=class_row(ScopedRule)) as cursor:
        return cursor.execute(_SQL["in_scopes"], {"tenant_id": tenant_id, "at": at}).fetchall()


def of_datastreams(
    conn: Connection, at: datetime, tenant_id: int | None = None
) -> list[RuleInForce]:
    """List what applies to readings with phenomenon time `at`, by datastream and code."""
    with conn.cursor(row_factory=class_row(RuleInForce)) as cursor:
        # A few rules stand at thousands of datastreams: to parse each once is half the time.
        set_json_loads(functools.cache(json.loads), cursor)
        return cursor.execute(_SQL["of_datastreams"], {"at": at, "tenant_id": tenant_id}).fetchall()


def of_links(conn: Connection, at: datetime) -> list[LinkRule]:
    """List what applies to the devices' links at a time, by device and code."""
    with conn.cursor(row_factory=class_row(LinkRule)) as cursor:
        return cursor.execute(_SQL["of_links"], {"at": at}).fetchall()


def next_change(conn: Connection, after: datetime) -> datetime | None:
    """Tell when the next version comes into force, None if none is waiting."""
    row = conn.execute(_SQL["next_change"], {"at": after}).fetchone()
    return row[0] if row else None


def unchanged_since(conn: Connection, at: datetime) -> dict[int, datetime]:
    """Tell since when the rules of each datastream that has any are those in force at a time."""
    return dict(conn.execute(_SQL["unchanged_since"], {"at": at}).fetchall())


def undecided_changes(
    conn: Connection,
    datastream_ids: Sequence[int],
    rules_since: Sequence[datetime],
    known_since: Sequence[datetime],
    ruled: Sequence[bool],
) -> dict[int, datetime]:
    """Tell where readings were not decided on by the rules of their time, and since which change.

    Parameters
    ----------
    rules_since
        Since when the rules of each datastream hold that do.
    known_since
        Since when those held that were known until now; 1970 where nobody knows.
    ruled
        Whether it has any now.
    """
    parameters = {
        "datastream_ids": list(datastream_ids),
        "rules_since": list(rules_since),
        "known_since": list(known_since),
        "ruled": list(ruled),
    }
    return dict(conn.execute(_SQL["undecided_changes"], parameters).fetchall())
