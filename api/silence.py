"""How old a reading may be before it says nothing about the present."""

from collections.abc import Sequence

from detectors.rules import Silence, rule_from_params
from detectors.silence import silent_after_s
from store.rules import LinkRule


def bound_s(rule: Silence, expected_interval_s: float) -> float:
    """Return after how many seconds without a report a device counts as silent.

    As the job that tells silence judges it; see `detectors.silence`.

    Examples
    --------
    >>> bound_s(Silence(), 60.0) / 60.0  # 6 missed reports at one minute
    6.5
    """
    interval_s = max(expected_interval_s, rule.calm_interval_s or 0.0)
    return silent_after_s(rule.loss_rate, interval_s)


def bounds(rules: Sequence[LinkRule]) -> dict[int, Silence]:
    """Read the silence rule of each device, by its id."""
    found: dict[int, Silence] = {}
    for rule in rules:
        if rule.kind == Silence.kind:
            silence = rule_from_params(rule.kind, rule.params)
            assert isinstance(silence, Silence)
            found.setdefault(rule.device_id, silence)
    return found
