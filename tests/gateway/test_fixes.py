"""Fixes of a plow that jump: what the speed between two of them says."""

import pytest

from detectors.flags import Test
from jobs.tasks import settle_position_conflicts
from store.database import Database
from store.marks import Mark
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


@pytest.mark.parametrize("cut", [1, 2])
def test_a_place_off_the_earth_says_nothing_of_the_speed_to_the_next(town, cut):
    town.start()
    plow = town.device("plow-01")
    sent = [fix(0, 95.0), fix(5, 38.9)]
    plow.publish(sent[:cut])
    town.wait_for("select count(*) from position", cut)
    plow.publish(sent)
    town.wait_for("select count(*) from position", 2)
    assert town.rows(FLAGS) == [(4, Test.LOCATION), (1, Test.LOCATION)]


@pytest.mark.parametrize("order", [[7, 9], [9, 7]])
def test_another_fix_for_the_same_time_is_kept_beside_and_the_winner_put_in_its_place(town, order):
    town.start()
    plow = town.device("plow-01")
    rivals = {seq: {**fix(0, 38.9 + seq / 1e4), "seq": seq} for seq in order}
    plow.publish(rivals[order[0]])
    town.wait_for("select count(*) from position", 1)
    plow.publish([rivals[order[0]], rivals[order[1]], fix(5, 38.9)])
    town.wait_for("select count(*) from position_conflict", 1)
    town.wait_for("select count(*) from position", 2)
    assert town.value("select seq from position order by phenomenon_time limit 1") == order[0]
    with Database(town.dsn.jobs, name="jobs", answer_within_s=60) as jobs:
        assert settle_position_conflicts(jobs) == 1
    first, second = town.rows("select lat, seq, flag, marks from position order by phenomenon_time")
    assert first == (38.9009, 9, 3, Mark.CONFLICT)
    assert second[2:] == (1, 0)
