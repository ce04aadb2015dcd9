"""Rules in versions: saved one after the other, none changed.

A rule is named by its code; its versions may differ in scope. Which of them applies where is told
by `store.rules_in_force`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from detectors.level_labels import LEVEL_LABELS
from detectors.profiles import DEFAULT_RULES
from detectors.rules import SEVERAL, ParameterError, rule_from_params
from store import level_labels, queries
from store.config_channel import notify
from store.database import Connection
from store.errors import RefusedError

_SQL = queries.load("rules")


@dataclass(frozen=True)
class RuleVersion:
    """One version of a rule, as it was saved."""

    rule_id: int
    tenant_id: int
    code: str
    version: int
    kind: str
    property: str
    device_kind: str | None
    site_kinds: list[str] | None
    site_id: int | None
    device_id: int | None
    params: dict[str, Any]
    label_scheme: str
    enabled: bool
    inherits: bool
    valid_from: datetime


def save(
    conn: Connection,
    tenant_id: int,
    code: str,
    *,
    kind: str,
    observed_property: str,
    params: Mapping[str, Any],
    device_kind: str | None = None,
    site_kinds: Sequence[str] | None = None,
    site_id: int | None = None,
    device_id: int | None = None,
    label_scheme: str = "street",
    enabled: bool = True,
    inherits: bool = False,
    valid_from: datetime | None = None,
    from_the_beginning: bool = False,
) -> RuleVersion:
    """Save a new version of a rule.

    Parameters
    ----------
    kind, params
        As `detectors.rules.rule_from_params` takes them.
    observed_property
        The datastreams it applies to; "link" for rules about the device itself.
    device_kind, site_kinds, site_id, device_id
        The scope; None does not restrict it.
    inherits
        From then on what the wider scope says counts at this site or device again.
    valid_from
        From which phenomenon time on. Never before now: an earlier time becomes now, so that
        what was decided stays decided.
    from_the_beginning
        Valid for recordings of the past too; only where nothing was decided yet.

    Raises
    ------
    RefusedError
        If the parameters are refused (levels that do not nest, …), the scope is not there, or
        `from_the_beginning` is asked for where readings exist: in words.
    """
    try:
        rule = rule_from_params(kind, params)
    except ParameterError as error:
        raise RefusedError(f"The rule {code!r} is refused: {error}") from error
    scope = {
        "tenant_id": tenant_id,
        "code": code,
        "property": observed_property,
        "device_kind": device_kind,
        "site_id": site_id,
        "device_id": device_id,
    }
    lock(conn, tenant_id, code)
    if from_the_beginning:
        [[has_readings]] = conn.execute(_SQL["scope_has_readings"], scope).fetchall()
        if has_readings:
            raise RefusedError(
                f"The rule {code!r} cannot apply to the past: readings of {observed_property} "
                "were decided on without it. It can apply from now on."
            )
    row = {
        **scope,
        "kind": kind,
        "params": Jsonb(rule.to_params()),
        "site_kinds": list(site_kinds) if site_kinds else None,
        "label_scheme": label_scheme,
        "enabled": enabled,
        "inherits": inherits,
        "valid_from": valid_from,
        "from_the_beginning": from_the_beginning,
    }
    try:
        with conn.transaction(), conn.cursor(row_factory=class_row(RuleVersion)) as cursor:
            [saved] = cursor.execute(_SQL["save"], row).fetchall()
    except psycopg.errors.ForeignKeyViolation as error:
        raise RefusedError(
            f"The rule {code!r} is for a site or device that is not there."
        ) from error
    except psycopg.errors.CheckViolation as error:
        reason = {
            "rule_code_check": "a code is lower-case letters, digits and '-'",
            "rule_inherits": "it is the whole town's, and there is nothing wider",
        }.get(error.diag.constraint_name or "", "it applies to a site or to a device, not to both")
        raise RefusedError(f"The rule {code!r} is refused: {reason}.") from error
    notify(conn, "rule")
    return saved


def lock(conn: Connection, tenant_id: int, code: str) -> None:
    """Keep others from saving this rule until the transaction ends."""
    conn.execute(_SQL["lock_code"], {"tenant_id": tenant_id, "code": code})


def add_defaults(conn: Connection, tenant_id: int) -> list[RuleVersion]:
    """Give a new town the default rules of `detectors.profiles`; those it has are left alone.

    Where no reading of their property exists yet they apply from the beginning of time, so that
    recordings of the past can be replayed; otherwise from now on. Where a rule of the town's own
    does what a default would do, and only one of the kind counts, the default is switched off.
    """
    present = {rule.code for rule in versions(conn, tenant_id)}
    new = [default for default in DEFAULT_RULES if default.code not in present]
    town = {"tenant_id": tenant_id}
    with conn.cursor(row_factory=class_row(RuleVersion)) as cursor:
        cursor.executemany(_SQL["lock_code"], [{**town, "code": default.code} for default in new])
        decided = {tuple(row) for row in conn.execute(_SQL["scopes_with_readings"], town)}
        rows = [
            {
                **town,
                "code": default.code,
                "kind": default.kind,
                "property": default.observed_property,
                "device_kind": default.device_kind,
                "site_kinds": list(default.site_kinds) or None,
                "site_id": None,
                "device_id": None,
                "params": Jsonb(default.params),
                "label_scheme": default.label_scheme,
                "enabled": True,
                "inherits": False,
                "valid_from": None,
                "from_the_beginning": (default.observed_property, default.device_kind)
                not in decided,
            }
            for default in new
        ]
        cursor.executemany(_SQL["save"], rows, returning=True)
        saved = [version for result in cursor.results() for version in result]
    notify(conn, "rule")
    level_labels.add(conn, LEVEL_LABELS)
    at = now(conn)
    # A new town has no rule of its own that could be a rival.
    return [
        _switched_off(conn, version) if present and rival(conn, version, at) else version
        for version in saved
    ]


def _switched_off(conn: Connection, version: RuleVersion) -> RuleVersion:
    return save(
        conn,
        version.tenant_id,
        version.code,
        kind=version.kind,
        observed_property=version.property,
        params=version.params,
        device_kind=version.device_kind,
        site_kinds=version.site_kinds,
        label_scheme=version.label_scheme,
        enabled=False,
    )


def versions(conn: Connection, tenant_id: int, code: str | None = None) -> list[RuleVersion]:
    """List every version of a town's rules, or of one of them, oldest first."""
    with conn.cursor(row_factory=class_row(RuleVersion)) as cursor:
        return cursor.execute(_SQL["versions"], {"tenant_id": tenant_id, "code": code}).fetchall()


def now(conn: Connection) -> datetime:
    """Tell the time by the clock that versions begin by."""
    [[at]] = conn.execute(_SQL["now"]).fetchall()
    assert isinstance(at, datetime)
    return at


def rival(conn: Connection, saved: RuleVersion, at: datetime) -> tuple[str, str] | None:
    """Find another rule of a kind of which one counts, that holds at a time where this one does.

    Returns
    -------
    (str, str) or None
        Code of the other, and of a device where both hold.
    """
    if any(kind.kind == saved.kind for kind in SEVERAL):
        return None
    parameters = {
        "tenant_id": saved.tenant_id,
        "property": saved.property,
        "code": saved.code,
        "kind": saved.kind,
        "at": at,
    }
    row = conn.execute(_SQL["rivals"], parameters).fetchone()
    return None if row is None else (row[0], row[1])
