"""Silence: of a device, of a beacon under water, of a router and all that it carries."""

import math

import numpy as np
import pytest

from detectors.errors import ParameterError
from detectors.silence import (
    BeaconState,
    RouterState,
    beacon_states,
    missed_reports,
    router_outages,
    silent_after_s,
)


def test_missed_reports_follow_loss_and_interval():
    assert [missed_reports(0.05, s) for s in (60, 600, 3600, 86400)] == [6, 5, 4, 3]
    assert missed_reports(1e-9, 86400.0) == 1
    assert silent_after_s(0.05, 600.0) == 3300.0
    for rate in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ParameterError, match="loss_rate"):
            missed_reports(rate, 60.0)
    with pytest.raises(ParameterError, match="interval_s"):
        missed_reports(0.05, 0.0)


def test_a_silent_beacon_is_wet_only_if_its_router_hears_another():
    states = beacon_states(
        router=np.array([0, 0, 1, 1]),
        last_heard_ms=np.array([0, 1_000_000, 0, 0]),
        period_s=np.full(4, 60.0),
        now_ms=1_060_000,
        silent=np.array([True, False, True, True]),
    )
    assert states.tolist() == [BeaconState.WET, BeaconState.HEARD, *[BeaconState.UNKNOWN] * 2]


MINUTE = 60_000


@pytest.mark.parametrize(
    ("last_heard", "interval", "now", "state"),
    [
        # Both past their patience of 6.5 minutes, heard last within two intervals.
        ([0, 1], [1, 1], 8, RouterState.OUT),
        ([0, 2], [1, 1], 9, RouterState.OUT),
        ([0, 3], [1, 1], 10, RouterState.HEARD),  # one after the other: each its own
        ([0, 1], [1, 1], 7, RouterState.WAITING),  # the second may be heard yet
        ([0, 7], [1, 1], 7, RouterState.HEARD),  # it was
        ([0], [1], 20, RouterState.HEARD),  # one alone is a device
        # An hourly one is not due: two are enough, after two intervals more.
        ([0, 1, -30], [1, 1, 60], 8, RouterState.WAITING),
        ([0, 1, -30], [1, 1, 60], 9, RouterState.OUT),
        ([0, -30], [1, 60], 8, RouterState.WAITING),
        ([0, -30], [1, 60], 9, RouterState.HEARD),
    ],
)
def test_one_outage_of_a_router_and_not_one_of_each_device(last_heard, interval, now, state):
    interval_s = 60.0 * np.array(interval)
    found = router_outages(
        router=np.array([1] * len(last_heard) + [-1, 0, 0]),
        last_heard_ms=MINUTE * np.array([*last_heard, -100, now, now]),
        interval_s=np.append(interval_s, [60.0, 60.0, 60.0]),
        patience_s=np.append(6.5 * interval_s, [390.0, 390.0, 390.0]),
        now_ms=MINUTE * now,
    )
    assert found.tolist() == [RouterState.HEARD, state]


def test_no_router_no_outage():
    nothing = np.zeros(0)
    found = router_outages(nothing.astype(int), nothing.astype(int), nothing, nothing, 0)
    assert found.tolist() == []
