"""What decided a transition, kept so that anybody may decide again.

Loading `state` with `context` and stepping `readings` through `profile` gives the transition
again. Values that JSON cannot hold are written as null (missing), "inf" and "-inf".
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from detectors.fleet import CONTEXT_ROWS, Fleet
from detectors.profile import Profile
from detectors.readings import Readings
from detectors.rules import rule_from_params
from detectors.state import State
from store.rule_profile import AlertRule

# Readings that the evidence of one transition holds at most, beside its context: four hours of
# minutes. More are decided on in steps of so many, each with the state before it.
STEP: Final = 240


@dataclass(frozen=True, eq=False)
class Before:
    """What was known before some readings were decided on, and the readings.

    `context` and `readings` are of one sensor, in order of time.
    """

    state: bytes
    context: Readings
    readings: Readings


@dataclass(frozen=True, slots=True)
class Decided:
    """A transition as the core decided it."""

    rule_code: str
    time_ms: int
    from_level: int
    to_level: int
    value: float
    unconfirmed: bool


def before_each(
    fleet: Fleet, state: State, sensor: int, context: Readings, readings: Readings
) -> list[Before]:
    """Cut the readings of one sensor, in order of time, into steps with the state before each.

    Parameters
    ----------
    state
        Before the first reading; keeps its meaning.
    context
        The sensor's newest readings before `readings`, `CONTEXT_ROWS` or all there are.
    """
    steps = []
    for low in range(0, len(readings), STEP):
        some = readings.take(np.arange(low, min(low + STEP, len(readings))))
        steps.append(Before(state.dump(sensor), context, some))
        if low + STEP < len(readings):
            state = fleet.step(state, some).state
            context = _newest(context, some)
    return steps


def of_transition(
    steps: Sequence[Before],
    profile: Profile,
    version: AlertRule,
    time_ms: int,
    *,
    unconfirmed: bool,
) -> dict[str, Any]:
    """Return the evidence of one transition as JSON."""
    step = next((s for s in steps if s.readings.time_ms[-1] >= time_ms), steps[-1])
    return {
        "rule": {
            "code": version.code,
            "version": version.version,
            "kind": version.rule.kind,
            "params": version.rule.to_params(),
        },
        "unconfirmed": unconfirmed,
        "profile": {
            "max_gap_s": profile.max_gap_s,
            "lateness_s": profile.lateness_s,
            "quality": [{"kind": t.kind, "params": t.to_params()} for t in profile.quality],
            "rules": [
                {"code": r.key, "kind": r.rule.kind, "params": r.rule.to_params()}
                for r in profile.rules
            ],
        },
        "state": base64.b64encode(step.state).decode(),
        "context": _pairs(step.context),
        "readings": _pairs(step.readings.take(step.readings.time_ms <= time_ms)),
    }


def decide_again(evidence: dict[str, Any]) -> list[Decided]:
    """Decide from the evidence alone.

    Raises
    ------
    DetectorError, KeyError, TypeError, ValueError
        If the evidence is damaged.
    """
    profile = evidence["profile"]
    pairs = [(r["code"], rule_from_params(r["kind"], r["params"])) for r in profile["rules"]]
    pairs += [
        (f"quality {i}", rule_from_params(t["kind"], t["params"]))
        for i, t in enumerate(profile["quality"])
    ]
    compiled = Profile.of(pairs, profile["max_gap_s"], profile["lateness_s"])
    fleet = Fleet.compile([compiled], [0])
    blob = base64.b64decode(evidence["state"], validate=True)
    state = fleet.load_state([0], [blob], _readings(evidence["context"]))
    moves = fleet.step(state, _readings(evidence["readings"])).transitions
    return [
        Decided(
            compiled.rules[int(moves.rule[i])].key,
            int(moves.time_ms[i]),
            int(moves.from_level[i]),
            int(moves.to_level[i]),
            float(moves.value[i]),
            bool(moves.unconfirmed[i]),
        )
        for i in range(len(moves))
    ]


def readings_of(evidence: dict[str, Any]) -> dict[int, float]:
    """Return every reading that the evidence rests on, by its time in milliseconds."""
    found: dict[int, float] = {}
    for part in ("context", "readings"):
        one = _readings(evidence[part])
        found |= dict(zip(one.time_ms.tolist(), one.value.tolist(), strict=True))
    return found


def _newest(context: Readings, readings: Readings) -> Readings:
    both = Readings(
        np.concatenate([context.sensor, readings.sensor]),
        np.concatenate([context.time_ms, readings.time_ms]),
        np.concatenate([context.value, readings.value]),
    )
    order = np.argsort(both.time_ms, kind="stable")[-CONTEXT_ROWS:]
    return both.take(order)


def _pairs(readings: Readings) -> list[list[Any]]:
    return [
        [time, value if math.isfinite(value) else None if math.isnan(value) else str(value)]
        for time, value in zip(readings.time_ms.tolist(), readings.value.tolist(), strict=True)
    ]


def _readings(pairs: Sequence[Sequence[Any]]) -> Readings:
    values = [math.nan if value is None else float(value) for _, value in pairs]
    return Readings.of(0, [int(time) for time, _ in pairs], values)
