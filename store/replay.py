"""An alert's transitions decided again from the evidence that each of them keeps."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from detectors.errors import DetectorError
from store import evidence, queries
from store.database import Connection
from store.errors import RefusedError
from store.marks import Mark
from store.times import milliseconds, moment

_SQL = queries.load("replay")


@dataclass(frozen=True)
class Replayed:
    """One transition decided again.

    Attributes
    ----------
    time, from_level, to_level, value
        As the ledger has it.
    reason
        Of its revision: "live", "late" or "settled".
    withdrawn
        Whether later readings have shown that it never was.
    differences
        What does not agree, in sentences; empty: all is equal.
    remarks
        What is no difference but good to know.
    """

    time: datetime
    from_level: int
    to_level: int
    value: float | None
    reason: str
    withdrawn: bool
    differences: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    transition_id: int
    phenomenon_time: datetime
    from_level: int
    to_level: int
    value: float | None
    rule_version: int
    evidence: dict[str, Any]
    withdrawn: bool
    reason: str
    rule_code: str
    datastream_id: int
    tenant_id: int
    kind: str | None
    params: dict[str, Any] | None


def replay(conn: Connection, alert_id: int) -> list[Replayed]:
    """Decide every transition of an alert again, withdrawn ones too, by time.

    Each is decided with the detectors from its evidence alone; besides, the rule in the evidence
    is compared with the rule's version as it was saved, and the readings with those stored.

    Raises
    ------
    RefusedError
        If there is no such alert.
    """
    with conn.cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(_SQL["transitions"], {"alert_id": alert_id}).fetchall()
    if not rows:
        [[exists]] = conn.execute(_SQL["alert_exists"], {"alert_id": alert_id}).fetchall()
        if not exists:
            raise RefusedError(f"There is no alert {alert_id}.")
    return [_again(conn, row) for row in rows]


def _again(conn: Connection, row: _Row) -> Replayed:
    differences: list[str] = []
    remarks: list[str] = []
    try:
        differences += _compare_rule(row)
        differences += _compare_decision(row)
        _compare_readings(conn, row, differences, remarks)
    except (DetectorError, KeyError, TypeError, ValueError, AttributeError) as error:
        differences.append(f"the evidence cannot be read: {type(error).__name__}: {error}")
    return Replayed(
        row.phenomenon_time,
        row.from_level,
        row.to_level,
        row.value,
        row.reason,
        row.withdrawn,
        tuple(differences),
        tuple(remarks),
    )


def _compare_rule(row: _Row) -> list[str]:
    rule = row.evidence["rule"]
    differences = []
    if (rule["code"], rule["version"]) != (row.rule_code, row.rule_version):
        differences.append(
            f"the evidence is of version {rule['version']} of {rule['code']}, the ledger names "
            f"version {row.rule_version} of {row.rule_code}"
        )
    own = {"code": rule["code"], "kind": rule["kind"], "params": rule["params"]}
    if own not in row.evidence["profile"]["rules"]:
        differences.append("the rule is not the one that the evidence was decided with")
    if row.kind is None:
        differences.append(f"there is no version {row.rule_version} of the rule {row.rule_code}")
    elif (row.kind, row.params) != (rule["kind"], rule["params"]):
        differences.append(
            f"version {row.rule_version} of the rule {row.rule_code} as it was saved has other "
            "parameters than the one in the evidence"
        )
    return differences


def _compare_decision(row: _Row) -> list[str]:
    time_ms = milliseconds(row.phenomenon_time)
    there = [
        move
        for move in evidence.decide_again(row.evidence)
        if (move.rule_code, move.time_ms) == (row.rule_code, time_ms)
    ]
    if not there:
        return ["from this evidence the level does not change at that time"]
    move = there[0]
    differences = []
    if (move.from_level, move.to_level) != (row.from_level, row.to_level):
        differences.append(
            f"from this evidence the level changes from {move.from_level} to {move.to_level}"
        )
    if (move.value if math.isfinite(move.value) else None) != row.value:
        differences.append(f"from this evidence the value that decided is {move.value!r}")
    if move.unconfirmed != row.evidence["unconfirmed"]:
        said = "not confirmed" if move.unconfirmed else "confirmed"
        differences.append(f"from this evidence the level was {said} by a second reading")
    return differences


def _compare_readings(
    conn: Connection, row: _Row, differences: list[str], remarks: list[str]
) -> None:
    kept = evidence.readings_of(row.evidence)
    parameters = {
        "datastream_id": row.datastream_id,
        "times": [moment(time_ms) for time_ms in kept],
    }
    found = conn.execute(_SQL["readings"], parameters, binary=True).fetchall()
    stored = {time_ms: (value, marks) for time_ms, value, marks in found}
    changed = 0
    for time_ms, (value, marks) in sorted(stored.items()):
        if value == kept[time_ms] or (math.isnan(value) and math.isnan(kept[time_ms])):
            continue
        if marks & Mark.CONFLICT:
            changed += 1
            continue
        differences.append(
            f"the reading of {moment(time_ms).isoformat()} is {kept[time_ms]!r} in the evidence "
            f"and {value!r} in storage"
        )
    if changed:
        remarks.append(f"{changed} of the readings had another value until a conflict was settled")
    if len(stored) < len(kept):
        remarks.append(
            f"{len(kept) - len(stored)} of the {len(kept)} readings are not stored any more"
        )
