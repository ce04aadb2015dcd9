"""What devices' clocks do wrong is counted, device by device, and the API shows it."""

import time

from tests.gateway.conftest import NOW_MS

CLOCK = (
    "select too_early, in_future, suspect, last_ahead_s from device_clock join device using "
    "(device_id) where code = %s"
)


def test_times_from_1970_the_future_and_a_clock_that_steps_back_are_counted_once(town):
    town.start()
    wrong, right = town.device(), town.device("pond-01")
    now = time.time_ns() // 1_000_000
    right.publish({"ts": NOW_MS, "seq": 1, "m": {"ph": 7.0}})
    wrong.publish({"ts": 1000, "m": {"depth_m": 0.1}})
    wrong.publish({"ts": now + 3_600_000, "m": {"depth_m": 0.1}})
    wrong.publish({"ts": now + 3_700_000, "m": {"depth_m": 0.1}})
    town.wait_for("select count(*) from quarantine", 3)
    assert town.rows(CLOCK, "flood-01") == [(1, 2, 0, None)]
    ahead = {"ts": now + 300_000, "seq": 5, "m": {"depth_m": 0.1}}
    back = {"ts": now - 60_000, "seq": 6, "m": {"depth_m": 0.2}}
    for payload in (ahead, ahead, back):
        wrong.publish(payload)
    town.wait_for("select count(*) from observation", 3)
    right.publish({"ts": NOW_MS + 1, "seq": 2, "m": {"ph": 7.0}})
    town.wait_for("select count(*) from observation", 4)
    [(early, future, suspect, last_ahead_s)] = town.rows(CLOCK, "flood-01")
    assert (early, future, suspect) == (1, 2, 2)
    assert -120 < last_ahead_s < -50
    assert town.rows(CLOCK, "pond-01") == []
