"""What decided a transition, kept so that anybody may decide again."""

from collections.abc import Mapping
from typing import Any

from gateway.registry import RuleVersion


class Evidence:
    """What decided a transition: the rules, the state before the batch, and the readings.

    Loading `state` with `context` and stepping `readings` through `profile` gives the transition
    again. Must be made before the batch is written: `context` is what was stored until then.
    """

    # A backlog of thousands of rows is in the database; the evidence then says where.
    INLINE_ROWS = 240

    def __init__(self, per_sensor: Mapping[int, Mapping[str, Any]]) -> None:
        self._per_sensor = per_sensor

    def of(
        self, sensor: int, version: RuleVersion, time_ms: int, *, unconfirmed: bool
    ) -> dict[str, Any]:
        """Return the evidence of one transition as JSON."""
        shared = self._per_sensor[sensor]
        readings = [row for row in shared["readings"] if row[0] <= time_ms]
        evidence: dict[str, Any] = {
            "rule": {
                "code": version.code,
                "version": version.version,
                "kind": version.rule.kind,
                "params": version.rule.to_params(),
            },
            "unconfirmed": unconfirmed,
            "profile": shared["profile"],
            "state": shared["state"],
            "context": shared["context"],
        }
        if len(readings) > self.INLINE_ROWS:
            evidence["stored_readings"] = {"from_ms": readings[0][0], "to_ms": readings[-1][0]}
            readings = readings[-self.INLINE_ROWS :]
        return evidence | {"readings": readings}
