"""After how long without a report a device counts as silent."""

import math
from typing import Final

from detectors.rules import Silence

MONTH_S: Final = 30 * 86400.0
FALSE_ALARMS_PER_MONTH: Final = 0.01  # once in a hundred months


def missed_reports(rule: Silence, expected_interval_s: float) -> int:
    """Count the reports that must be missed in a row before it is more than ordinary loss.

    Parameters
    ----------
    rule : Silence
    expected_interval_s : float
        Seconds between reports.

    Returns
    -------
    int
        At least 1.

    Notes
    -----
    k = ceil(ln(0.01 / slots per month) / ln(loss rate)): ordinary radio loss then raises a false
    alarm once in a hundred months.

    Examples
    --------
    >>> [missed_reports(Silence(), s) for s in (60.0, 600.0, 3600.0, 86400.0)]
    [6, 5, 4, 3]
    """
    slots = max(1.0, MONTH_S / _interval_s(rule, expected_interval_s))
    return max(1, math.ceil(math.log(FALSE_ALARMS_PER_MONTH / slots) / math.log(rule.loss_rate)))


def silent_after_s(rule: Silence, expected_interval_s: float) -> float:
    """Return after how many seconds without a report a device counts as silent.

    The report after the last one missed still has its own interval.

    Examples
    --------
    >>> silent_after_s(Silence(), 60.0) / 60.0
    7.0
    """
    missed = missed_reports(rule, expected_interval_s)
    return (missed + 1) * _interval_s(rule, expected_interval_s)


def _interval_s(rule: Silence, expected_interval_s: float) -> float:
    return max(expected_interval_s, rule.calm_interval_s or 0.0)
