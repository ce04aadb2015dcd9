"""Fixes of a plow that jump: what the speed between two of them says."""

import pytest

from detectors.flags import Test
from tests.gateway.conftest import NOW_MS

FLAGS = "select flag, evaluated from position order by phenomenon_time"
BOTH = Test.LOCATION | Test.SPEED


def fix(seconds, lat):
    return {"ts": NOW_MS + seconds * 1000, "fix": {"lat": lat, "lon": 140.0}}


# At 0.001 degrees, 111 m, in 5 s a plow drives 80 km/h; at 0.00125, 100 km/h.
DRIVE = [fix(0, 38.9), fix(5, 38.901), fix(10, 38.90225), fix(15, 39.0), fix(20, 38.903)]
SAID = [(1, Test.LOCATION), (1, BOTH), (3, BOTH), (4, BOTH), (4, BOTH)]


@pytest.mark.parametrize("cut", [1, 3])
def test_a_fix_that_no_plow_can_have_driven_to_fails_however_it_comes_in(town, cut):
    town.start()
    plow = town.device("plow-01")
    plow.publish(DRIVE[:cut])
    town.wait_for("select count(*) from position", cut)
    plow.publish(DRIVE[cut:])
    town.wait_for("select count(*) from position", 5)
    assert town.rows(FLAGS) == SAID
    assert town.value("select lat from latest_position") == 38.90225


def test_one_far_fix_costs_itself_and_the_next_and_no_more(town):
    town.start()
    plow = town.device("plow-01")
    plow.publish([*DRIVE, fix(25, 38.9031)])
    town.wait_for("select count(*) from position", 6)
    assert town.rows(FLAGS)[-1] == (1, BOTH)
    assert town.value("select lat from latest_position") == 38.9031


def test_what_comes_late_is_held_against_the_fix_before_it_in_time(town):
    town.start()
    plow = town.device("plow-01")
    plow.publish([fix(0, 38.9), fix(100, 38.91)])
    town.wait_for("select count(*) from position", 2)
    plow.publish(fix(50, 38.9001))
    town.wait_for("select count(*) from position", 3)
    assert town.rows(FLAGS) == [(1, Test.LOCATION), (1, BOTH), (1, BOTH)]


def test_a_place_off_the_earth_says_nothing_of_the_speed_to_the_next(town):
    town.start()
    plow = town.device("plow-01")
    plow.publish([fix(0, 95.0), fix(5, 38.9)])
    town.wait_for("select count(*) from position", 2)
    assert town.rows(FLAGS) == [(4, Test.LOCATION), (1, Test.LOCATION)]
