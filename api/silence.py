"""How old a reading may be before it says nothing about the present."""

import math
from collections.abc import Sequence

from detectors.rules import Silence, rule_from_params
from store.rules import LinkRule

MONTH_S = 30 * 86400.0
FALSE_ALARMS_PER_MONTH = 0.01  # spec: once in a hundred months


def bound_s(rule: Silence, expected_interval_s: float) -> float:
    """Return after how many seconds without a report a device counts as silent.

    Notes
    -----
    Missed reports k = ceil(ln(0.01 / slots per month) / ln(loss rate)), so that ordinary radio
    loss raises a false alarm once in a hundred months; the report after the last one missed
    still has its own interval.

    Examples
    --------
    >>> bound_s(Silence(), 60.0) / 60.0  # 6 missed reports at one minute
    7.0
    """
    interval_s = max(expected_interval_s, rule.calm_interval_s or 0.0)
    slots = max(1.0, MONTH_S / interval_s)
    missed = max(1, math.ceil(math.log(FALSE_ALARMS_PER_MONTH / slots) / math.log(rule.loss_rate)))
    return (missed + 1) * interval_s


def bounds(rules: Sequence[LinkRule]) -> dict[int, Silence]:
    """Read the silence rule of each device, by its id."""
    found: dict[int, Silence] = {}
    for rule in rules:
        if rule.kind == Silence.kind:
            silence = rule_from_params(rule.kind, rule.params)
            assert isinstance(silence, Silence)
            found.setdefault(rule.device_id, silence)
    return found
