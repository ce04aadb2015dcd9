"""Devices that say nothing: when silence means something, and whose silence it is.

All of this looks at received times and belongs to the link record, never to the ledger: what a
device would have said is unknown, and unknown is neither wet nor dry.
"""

import math
from enum import IntEnum
from typing import Final

import numpy as np

from detectors.arrays import Bools, Floats, Index, Times
from detectors.errors import ParameterError
from detectors.parameters import check_number
from detectors.sentence import Sentence

_MONTH_S: Final = 30 * 86_400.0
# One false silence in a hundred device-months is allowed.
_FALSE_PER_MONTH: Final = 0.01


def missed_reports(loss_rate: float, interval_s: float) -> int:
    """How many reports in a row must be missed before a device counts as silent.

    Parameters
    ----------
    loss_rate : float
        Share of reports lost on an ordinary day, above 0 and below 1.
    interval_s : float
        Expected time between reports.

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        A rate or an interval that no device has.

    Notes
    -----
    k = ceil(ln(0.01 / slots per month) / ln(loss rate)): k losses in a row happen by chance at
    most once in a hundred months. At least one.

    Examples
    --------
    >>> [missed_reports(0.05, s) for s in (60, 600, 3600, 86400)]
    [6, 5, 4, 3]
    """
    rate = check_number("loss_rate", loss_rate, above=0.0)
    if rate >= 1.0:
        raise ParameterError("loss_rate", Sentence("must be below 1, got {value:g}", value=rate))
    slots = _MONTH_S / check_number("interval_s", interval_s, above=0.0)
    return max(1, math.ceil(math.log(_FALSE_PER_MONTH / max(slots, 1.0)) / math.log(rate)))


def silent_after_s(loss_rate: float, interval_s: float) -> float:
    """Time without a report after which a device counts as silent, in seconds.

    Notes
    -----
    The k-th missed report is due k intervals after the last one; half an interval is left to
    jitter.
    """
    return (missed_reports(loss_rate, interval_s) + 0.5) * interval_s


class BeaconState(IntEnum):
    """What the silence of a radio beacon that drowns when it is under water says."""

    HEARD = 0
    WET = 1
    UNKNOWN = 2


def beacon_states(
    router: Index, last_heard_ms: Times, period_s: Floats, now_ms: int, silent: Bools
) -> Index:
    """Tell drowned beacons from a router that hears nothing.

    Parameters
    ----------
    router : int64[n]
        Which router each beacon is heard by.
    last_heard_ms : int64[n]
    period_s : float64[n]
        Time between two beacons of a device.
    now_ms : int
    silent : bool[n]
        Beacons that have been silent for too long.

    Returns
    -------
    int64[n]
        `BeaconState`: silence means wet only where another beacon was heard on the same router
        within two of its periods. Otherwise it is unknown, which is never drawn as dry.
    """
    fresh = ~silent & (now_ms - last_heard_ms <= 2000.0 * period_s)
    heard = np.zeros(int(router.max(initial=-1)) + 1, bool)
    heard[router[fresh]] = True
    state = np.full(len(router), BeaconState.HEARD, np.int64)
    state[silent] = np.where(heard[router[silent]], BeaconState.WET, BeaconState.UNKNOWN)
    return state


class RouterState(IntEnum):
    """What the silence of the devices behind a router says of it."""

    HEARD = 0
    WAITING = 1
    OUT = 2


def router_outages(
    router: Index, last_heard_ms: Times, interval_s: Floats, patience_s: Floats, now_ms: int
) -> Index:
    """Routers (network gateways) that are out: told once, not once per device.

    Parameters
    ----------
    router : int64[n]
        The only router by which each device is heard; -1: none or several. Without devices that
        were silent before for reasons of their own.
    last_heard_ms : int64[n]
    interval_s : float64[n]
        Expected time between two reports.
    patience_s : float64[n]
        Time without a report after which each counts as silent.
    now_ms : int

    Returns
    -------
    int64[r]
        `RouterState`. OUT: all its devices, two at least, are silent, and they fell silent
        together. WAITING: so it may become; its devices are not to be told of one by one yet.

    Notes
    -----
    Together: there is a moment up to which each device was heard, and which lies within two
    intervals of the last report of each silent one (a report may have been lost just before). A
    device that was heard after that moment says that the router is not out. Where devices with
    longer intervals are not due for long, two silent ones are enough once the first of them has
    been so for two of its intervals.
    """
    state = np.full(int(router.max(initial=-1)) + 1, RouterState.HEARD, np.int64)
    silent = now_ms - last_heard_ms > 1000.0 * patience_s
    for r in np.unique(router[silent & (router >= 0)]):
        of = router == r
        told = of & silent
        together_ms = last_heard_ms[of].max()
        if (
            np.count_nonzero(of) < 2
            or together_ms > (last_heard_ms[told] + 2000.0 * interval_s[told]).min()
        ):
            continue
        overdue_s = (now_ms - last_heard_ms[told]) / 1000.0 - patience_s[told]
        waited = bool((overdue_s >= 2.0 * interval_s[told]).any())
        if silent[of].all() or (waited and np.count_nonzero(told) >= 2):
            state[r] = RouterState.OUT
        elif not waited:
            state[r] = RouterState.WAITING
    return state
