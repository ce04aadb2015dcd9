"""Checkpoints keep settlements short, and alerts right after old readings are deleted."""

import itertools
import random

import pytest

from detectors.rules import Level, Threshold
from jobs.settings import JobsSettings
from jobs.settlement import Settlement
from jobs.tasks import keep_up
from store import retention
from store.retention import Retention
from tests.jobs.door import START_MS, detector_state, ledger
from tests.jobs.rule_sets import RULES, rule_set

DAY_MS = 86_400_000
STEP_MS = 600_000
HIGH = rule_set(("depth", Threshold((Level(0.1, 0.05, delay_off_s=600.0),))))


def keep(days):
    settings = JobsSettings()
    return Retention(days, settings.keep_quarantine_days, 7, 30, 365)


def flood(day):
    """Under water for two hours of every third day, and over the end of day 9."""
    return 0.3 if day % 3 < 2 / 24 or 9.9 < day < 10.2 else 0.0


def days(stream, first, last):
    """Readings of every ten minutes."""
    return [
        (stream, START_MS + at, flood(at / DAY_MS))
        for at in range(0, round(last * DAY_MS), STEP_MS)
        if at >= round(first * DAY_MS)
    ]


def checkpoints(place, stream):
    return place.rows(
        "select (extract(epoch from through_time) * 1000)::bigint from detector_checkpoint"
        " where datastream_id = %s order by 1", stream,
    )  # fmt: skip


def live(place, stream, first, last):
    """Deliver days in order, with the nightly pass after each."""
    for day in range(first, last):
        for half in (0.0, 0.5):
            place.door.take(days(stream, day + half, day + half + 0.5))
        place.settlement.keep_up()
        place.settlement.drain()


@pytest.fixture
def old(place, monkeypatch):
    """A function that deletes readings before a day of the series: its clock is not ours."""

    def delete_before(day):
        with place.owner.transaction() as conn:
            conn.execute("update unsettled set marked_at = now()")
        cutoff = f"select to_timestamp({(START_MS + day * DAY_MS) / 1000}) -- %(days)s"
        statements = dict(retention._SQL)
        statements["oldest"] = cutoff.encode()
        statements["drop_readings"] = (
            b"with gone as (delete from observation where phenomenon_time < %(oldest)s"
            b" returning 1) select count(*) from gone"
        )
        monkeypatch.setattr(retention, "_SQL", statements)
        with place.owner.transaction() as conn:
            return retention.apply(conn, keep(1))

    return delete_before


def test_a_day_has_a_checkpoint_and_the_gateway_notices_nothing(place):
    _, stream = place.sensor(HIGH)
    place.door.load()
    live(place, stream, 0, 5)
    found = [at for (at,) in checkpoints(place, stream)]
    assert len(found) == 5
    assert all(b - a == DAY_MS for a, b in itertools.pairwise(found))
    assert place.door.moved == 0
    assert place.value("select count(*) from revision where reason = 'settled'") == 0
    assert place.settlement.keep_up() == 0, "a checkpoint of today is enough"


def test_a_settlement_reads_a_day_and_not_the_history(place):
    _, stream = place.sensor(HIGH)
    place.door.load()
    live(place, stream, 0, 5)
    with place.owner.transaction() as conn:  # were it read again, this would be an alert
        conn.execute("update observation set value = 0.3 where value = 0.0 and phenomenon_time <"
                     " to_timestamp(%s)", ((START_MS + 3.5 * DAY_MS) / 1000,))  # fmt: skip
    before = ledger(place.owner, stream)[0]
    place.door.take([(stream, START_MS + round(4.5 * DAY_MS) + 1000, 0.0)])
    assert place.settlement.drain() == 1
    assert ledger(place.owner, stream)[0] == before


def test_what_is_deleted_does_not_change_what_was_decided(place, old):
    _, stream = place.sensor(HIGH)
    _, twin = place.sensor(HIGH)
    place.door.load()
    live(place, stream, 0, 10)
    before = ledger(place.owner, stream)
    assert len(before[0]) == 5, "the last of them is under way"
    assert place.value("select clear_time from alert order by onset_time desc limit 1") is None
    assert old(9.5)["reading_partitions"] > 0
    assert place.value("select count(*) from observation") < 80
    # It goes on, with readings that come late: some before what is kept, some after.
    series = days(stream, 10, 14)
    late = series[200:260]
    place.door.take([row for row in series if row not in late])
    random.Random(4).shuffle(late)
    place.door.take(late)
    place.door.take([(stream, START_MS + 1 + 5 * DAY_MS, 0.3)])
    place.settlement.drain()
    place.door.restart()
    place.door.take(days(stream, 14, 16))
    assert place.value("select count(*) from unsettled") == 0
    place.door.take(days(twin, 0, 16))
    found, expected = ledger(place.owner, stream), ledger(place.owner, twin)
    # Apart from the reading that was too old to be decided on, and from its rules' names.
    assert [row[1:] for row in found[0]] == [row[1:] for row in expected[0]]
    assert [row[1:] for row in found[1]] == [row[1:] for row in expected[1]]
    assert detector_state(place.owner, stream) == detector_state(place.owner, twin)


def test_readings_are_not_deleted_while_a_settlement_needs_them(place, old):
    _, stream = place.sensor(HIGH)
    _, quiet = place.sensor(HIGH)
    place.door.load()
    place.door.take(days(quiet, 0, 1))
    place.door.take(days(stream, 0, 6))
    assert checkpoints(place, stream) == []
    assert old(4)["wait_for_settlement_of"] == 1
    assert place.value("select count(*) from observation") == 7 * 144
    place.settlement.drain()
    assert old(4)["reading_partitions"] == 5 * 144
    # Hours later something comes that belongs before it: it waits for that settlement too.
    place.door.take([(stream, START_MS + round(4.2 * DAY_MS) + 1000, 0.3)])
    assert old(5)["wait_for_settlement_of"] == 1
    place.settlement.drain()
    assert "wait_for_settlement_of" not in old(5)


def test_a_sensor_that_has_been_silent_goes_on_from_where_it_was(place, old):
    _, stream = place.sensor(HIGH)
    place.door.load()
    place.door.take(days(stream, 0, 3.05))
    before = ledger(place.owner, stream)
    assert [row[4] for row in before[0]] == [0, 1], "under water when it was heard last"
    assert old(8)["reading_partitions"] == len(days(stream, 0, 3.05))
    place.door.restart()
    # An old reading that somebody found, and then the water has gone.
    place.door.take([(stream, START_MS + round(1.5 * DAY_MS), 0.3)])
    place.settlement.drain()
    assert ledger(place.owner, stream)[:2] == before[:2]
    place.door.take([(stream, START_MS + 10 * DAY_MS + i * STEP_MS, 0.0) for i in range(4)])
    alerts, moves, _ = ledger(place.owner, stream)
    assert alerts[0] == before[0][0]
    assert alerts[1][2] == before[0][1][2], "the same onset"
    assert alerts[1][4] == 0, "ended by an observed fall"
    assert moves[:3] == before[1]


def test_a_state_that_cannot_be_read_is_made_anew_from_the_readings(place):
    _, stream = place.sensor(RULES)
    _, twin = place.sensor(RULES)
    place.door.load()
    place.door.take(days(stream, 0, 3.02))
    with place.owner.transaction() as conn:
        conn.execute("update detector_state set state = '\\x63' || state where datastream_id = %s",
                     (stream,))  # fmt: skip
    place.door.restart()
    assert place.rows("select datastream_id from unsettled") == [(stream,)]
    place.door.take(days(stream, 3.02, 3.06))  # on the way nobody waits
    place.settlement.drain()
    place.door.take(days(stream, 3.06, 3.2))
    assert place.door.moved == 1
    place.door.take(days(twin, 0, 3.2))
    found, expected = ledger(place.owner, stream), ledger(place.owner, twin)
    assert [row[1:] for row in found[0]] == [row[1:] for row in expected[0]]
    assert [row[1:] for row in found[1]] == [row[1:] for row in expected[1]]
    assert detector_state(place.owner, stream) == detector_state(place.owner, twin)


def test_a_checkpoint_that_cannot_be_read_is_passed_over(place, capsys):
    _, stream = place.sensor(HIGH)
    place.door.load()
    live(place, stream, 0, 3)
    kept = checkpoints(place, stream)
    with place.owner.transaction() as conn:
        conn.execute("update detector_checkpoint set state = 'no state' where through_time ="
                     " (select max(through_time) from detector_checkpoint)")  # fmt: skip
    place.door.take(days(stream, 3, 4))
    place.door.take([(stream, START_MS + round(3.5 * DAY_MS) + 1000, 0.3)])
    assert Settlement(place.jobs).drain() == 1
    assert "checkpoint unreadable" in capsys.readouterr().out
    assert kept[-1] not in checkpoints(place, stream)
    assert [row[4] for row in ledger(place.owner, stream)[0]] == [0, 0, 0]


def test_the_upkeep_deletes_as_the_role_of_the_jobs(place):
    _, stream = place.sensor(HIGH)
    place.door.load()
    place.door.take(days(stream, 0, 2))
    keep_up(place.jobs, keep(30))
    assert place.value("select count(*) from observation") == 0
    assert place.rows("select datastream_id from reading_horizon") == [(stream,)]
    assert len(ledger(place.owner, stream)[0]) == 1


def test_old_checkpoints_are_thinned(place):
    _, stream = place.sensor(HIGH)
    place.door.load()
    live(place, stream, 0, 12)
    with place.owner.transaction() as conn:
        gone = retention.apply(conn, keep(None))["checkpoints"]
    days_kept = [round((at - START_MS) / DAY_MS) for (at,) in checkpoints(place, stream)]
    # The series begins on 21 November at 21:20 UTC: all but the last eight of one month go.
    assert gone == 12 - len(days_kept)
    assert days_kept[-8:] == list(range(5, 13))
    assert len(days_kept) <= 9
