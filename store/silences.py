"""The silence rule of each device: how long it may say nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detectors.rules import ParameterError, Silence, rule_from_params
from detectors.silence import silent_after_s
from store.rule_profile import LeftOut
from store.rules_in_force import LinkRule


@dataclass(frozen=True)
class Silences:
    """The silence rules that hold at a moment.

    Attributes
    ----------
    of_device
        By the device's id; none where none is in force. Where it cannot be read, the default: a
        device that nobody watches would look alive for ever.
    refused
        The rules that cannot be read.
    """

    of_device: Mapping[int, Silence]
    refused: Sequence[LeftOut]


def silences(rules: Sequence[LinkRule]) -> Silences:
    """Read what `store.rules_in_force.of_links` found, each version once."""
    read: dict[int, Silence] = {}
    refused: list[LeftOut] = []
    found: dict[int, Silence] = {}
    for row in rules:
        if row.kind != Silence.kind:
            continue
        if row.rule_id not in read:
            read[row.rule_id] = Silence()
            try:
                rule = rule_from_params(row.kind, row.params)
            except ParameterError as error:
                refused.append(LeftOut(row.code, row.version, str(error)))
            else:
                assert isinstance(rule, Silence)
                read[row.rule_id] = rule
        found.setdefault(row.device_id, read[row.rule_id])
    return Silences(found, refused)


def interval_s(rule: Silence, expected_interval_s: float) -> float:
    """Return how often a device reports when nothing happens."""
    return max(expected_interval_s, rule.calm_interval_s or 0.0)


def bound_s(rule: Silence, expected_interval_s: float) -> float:
    """Return after how many seconds without a report a device counts as silent.

    Examples
    --------
    >>> bound_s(Silence(), 60.0) / 60.0  # 6 missed reports at one minute
    6.5
    """
    return silent_after_s(rule.loss_rate, interval_s(rule, expected_interval_s))
