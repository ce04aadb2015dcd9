"""What is settled: late readings, conflicts and changed rules, case by case."""

import random
import threading

from detectors.dump import unpack
from detectors.errors import DetectorError
from detectors.rules import Level, Threshold
from jobs import settlement
from jobs.settlement import Settlement
from store import conflicts
from store.evidence import readings_of
from tests.fixtures.broker import wait_until
from tests.jobs.door import add_rule, at, detector_state, iso, ledger
from tests.jobs.rule_sets import RULES, rule_set


def test_a_flood_that_a_logger_kept_is_told_and_the_record_corrected(place):
    """Hours later the readings of a flood come that nobody knew of."""
    _, stream = place.sensor(RULES)
    place.door.load()
    place.door.take([(stream, at(m), 0.0) for m in (0, 1, 2, 300, 301, 302)])
    flood = [(stream, at(m), 0.25 if 20 <= m < 40 else 0.0) for m in range(3, 120)]
    place.door.take(flood)
    assert place.value("select count(*) from alert") == 0
    assert place.value("select from_time from unsettled where datastream_id = %s", stream) == (
        iso(3)
    )
    assert place.settlement.drain() == 1
    [(onset, clear, level, peak, reason)] = place.rows(
        "select onset_time, clear_time, level, peak_value, reason from alert"
        " join revision using (revision_id) where rule_code like 'depth-%%'"
    )
    assert (onset, clear, level, peak, reason) == (iso(20), iso(45), 0, 0.25, "settled")
    assert place.rows("select kind from journal join alert using (alert_id)"
                      " where rule_code like 'depth-%%'") == [("corrected",)]  # fmt: skip
    assert place.value("select count(*) from unsettled") == 0
    assert place.value("select count(*) from observation where marks & 80 = 80") == 117
    assert place.settlement.drain() == 0


def test_what_was_said_stays_and_the_younger_of_two_alerts_is_merged(place):
    _, stream = place.sensor(rule_set(("depth", Threshold((Level(0.1, 0.05),)))))
    place.door.load()
    seen = [(m, 0.2 if m in (10, 11, 200, 201) else 0.0) for m in (0, 10, 11, 30, 200, 201, 230)]
    place.door.take([(stream, at(m), v) for m, v in seen])
    first, second = place.rows("select alert_id from alert order by onset_time")
    said = place.rows("select * from journal order by journal_id")
    # In truth the water stood all the time, and at the minute 30 too: the first value was wrong.
    place.door.take([(stream, at(m), 0.2) for m in range(31, 200)])
    place.settlement.drain()
    assert place.rows("select * from journal order by journal_id")[: len(said)] == said
    standing = place.rows(
        "select alert_id, onset_time, clear_time from alert"
        " where not withdrawn and merged_into is null order by onset_time"
    )
    assert standing == [(first[0], iso(10), iso(30)), (second[0], iso(31), iso(230))]
    with place.owner.transaction() as conn:
        conn.execute("update observation set value = 0.2 where phenomenon_time = %s", (iso(30),))
        conn.execute("insert into unsettled (datastream_id, from_time) values (%s, %s)",
                     (stream, iso(30)))  # fmt: skip
    place.settlement.drain()
    assert place.rows("select alert_id, merged_into from alert order by alert_id") == [
        (first[0], None), (second[0], first[0])]  # fmt: skip
    assert place.value("select count(*) from alert_transition where withdrawn_revision is null"
                       " and alert_id = %s", first[0]) == 2  # fmt: skip
    assert place.rows("select kind, body ->> 'merged_into' from journal where alert_id = %s"
                      " order by journal_id desc limit 1", second[0]) == [
        ("corrected", str(first[0]))]  # fmt: skip


def test_a_gateway_goes_on_from_what_was_settled(place):
    """The level that late readings raised is still there when the next reading comes."""
    _, stream = place.sensor(rule_set(("depth", Threshold((Level(0.1, 0.05),)))))
    place.door.load()
    # In the dead band since the beginning: dry, for all one knows.
    place.door.take([(stream, at(m), 0.07) for m in range(60, 90)])
    assert place.value("select count(*) from alert") == 0
    place.door.take([(stream, at(m), 0.3) for m in range(50)])
    place.settlement.drain()
    assert place.rows("select level, clear_time from alert") == [(1, None)]
    place.door.take([(stream, at(90), 0.07)])
    assert place.door.moved == 1
    place.door.take([(stream, at(91), 0.0)])
    assert place.rows("select level, clear_time from alert") == [(0, iso(91))]
    assert place.door.moved == 1


def test_late_readings_that_change_nothing_now_do_not_disturb_the_gateway(place):
    _, stream = place.sensor(RULES)
    place.door.load()
    place.door.take([(stream, at(m), 0.0) for m in range(300, 400)])
    place.door.take([(stream, at(m), 0.0) for m in range(100)])
    place.settlement.drain()
    place.door.take([(stream, at(400), 0.0)])
    assert place.door.moved == 0


def test_what_was_settled_is_context_for_what_comes_next(place):
    """A gateway that starts anew looks back on settled readings as on any other."""
    _, stream = place.sensor(RULES)
    _, twin = place.sensor(RULES)
    place.door.load()
    # The water rises by 45 cm an hour, but what a logger kept comes late.
    rising = {m: max(0.0, 0.0055 * (m - 100)) for m in range(60, 140)}
    kept = [m for m in rising if 104 <= m < 115]
    place.door.take([(stream, at(m), rising[m]) for m in rising if m < 131 and m not in kept])
    place.door.take([(stream, at(m), rising[m]) for m in kept])
    assert place.settlement.drain() == 1
    assert place.value("select count(*) from observation where marks & 80 = 80") == len(kept)
    place.door.restart()
    for m in range(131, 140):
        place.door.take([(stream, at(m), rising[m])])
    [(evidence,)] = place.rows(
        "select evidence from alert_transition join alert using (alert_id) where datastream_id = %s"
        " and phenomenon_time > %s and rule_code like 'depth-%%'", stream, iso(131),
    )  # fmt: skip
    assert readings_of(evidence).keys() >= {at(m) for m in kept}
    place.door.take([(twin, at(m), rising[m]) for m in rising])
    found, expected = ledger(place.owner, stream), ledger(place.owner, twin)
    assert [row[1:] for row in found[1]] == [row[1:] for row in expected[1]]
    held = [unpack(bytes(detector_state(place.owner, s)[0])) for s in (stream, twin)]
    assert held[0].count == held[1].count
    assert held[0].oldest_ms == held[1].oldest_ms
    assert held[0].tail_ms == held[1].tail_ms


def test_a_settlement_begins_at_the_last_checkpoint(place):
    _, stream = place.sensor(RULES)
    place.door.load()
    place.door.take([(stream, at(m), 0.0) for m in range(0, 600, 2)])
    place.door.take([(stream, at(501), 0.3)])
    place.settlement.drain()
    known = place.value("select max(through_time) from detector_checkpoint")
    assert iso(501) < known < iso(600)
    place.door.take([(stream, at(m), 0.0) for m in range(600, 700)])
    with place.owner.transaction() as conn:  # were it read again, this would be an alert
        conn.execute("update observation set value = 0.3 where phenomenon_time < %s", (iso(400),))
    place.door.take([(stream, at(651) + 1, 0.3)])
    place.settlement.drain()
    assert place.value("select min(onset_time) from alert where not withdrawn") == iso(501)
    place.door.take([(stream, at(1), 0.3)])  # older than any checkpoint
    place.settlement.drain()
    assert place.value("select min(onset_time) from alert where not withdrawn") == iso(0)


def test_settling_beside_a_gateway_that_goes_on_loses_and_doubles_nothing(place):
    """Two threads at one datastream: the gateway takes readings in while the job settles."""
    _, stream = place.sensor(RULES)
    _, calm = place.sensor(RULES)
    depth = {m: 0.25 if m % 90 in range(20, 40) else 0.12 if m % 50 == 7 else 0.0
             for m in range(900)}  # fmt: skip
    live = [m for m in depth if m % 3 or m > 850]
    late = [m for m in depth if m not in set(live)]
    random.Random(5).shuffle(late)
    place.door.load()
    place.door.take([(calm, at(m), depth[m]) for m in depth])
    ended, errors, settled = threading.Event(), [], []

    def settle():
        other = Settlement(place.jobs)
        try:
            while not ended.is_set():
                settled.append(other.drain())
        except Exception as error:  # noqa: BLE001 - the test asks for it
            errors.append(error)

    jobs = [threading.Thread(target=settle, daemon=True) for _ in range(2)]
    for job in jobs:
        job.start()
    for i in range(0, len(live), 4):
        place.door.take([(stream, at(m), depth[m]) for m in live[i : i + 4]])
        old = [m for m in late if m < live[i] - 60][:2]
        late = [m for m in late if m not in old]
        if old:
            place.door.take([(stream, at(m), depth[m]) for m in old])
        if i % 40 == 0:  # the others have their turn, whoever the machine prefers
            wait_until(lambda: errors or not place.value("select count(*) from unsettled"))
    if late:
        place.door.take([(stream, at(m), depth[m]) for m in late])
    ended.set()
    for job in jobs:
        job.join(120)
    assert not errors
    assert sum(settled) > 10
    assert place.door.moved > 0
    place.settlement.drain()
    found, expected = ledger(place.owner, stream), ledger(place.owner, calm)
    assert [row[1:] for row in found[1]] == [row[1:] for row in expected[1]]
    assert [row[1:] for row in found[0]] == [row[1:] for row in expected[0]]
    assert place.value("select count(*) from observation") == 2 * len(depth)
    assert detector_state(place.owner, stream)[1] == detector_state(place.owner, calm)[1]


def test_the_winner_of_a_conflict_decides(place):
    _, stream = place.sensor(rule_set(("depth", Threshold((Level(0.1, 0.05),)))))
    place.door.load()
    place.door.take([(stream, at(m), 0.0) for m in range(10)])
    digest = min((conflicts.payload_hash(v, None), v) for v in (0.3, 0.31, 0.32, 0.33, 0.34))
    assert digest[0] < conflicts.payload_hash(0.0, None)
    place.door.take([(stream, at(5), digest[1])])
    assert place.value("select count(*) from conflict where settled_at is null") == 1
    with place.jobs.transaction() as conn:
        assert conflicts.settle(conn)
    place.settlement.drain()
    assert place.rows("select onset_time, clear_time, peak_value from alert") == [
        (iso(5), iso(6), digest[1])]  # fmt: skip
    place.door.take([(stream, at(10), 0.0)])
    assert place.door.moved == 1


def test_one_that_cannot_be_settled_does_not_keep_the_others(place, monkeypatch):
    _, broken = place.sensor(RULES)
    _, sound = place.sensor(RULES)
    place.door.load()
    for stream in (broken, sound):
        place.door.take([(stream, at(m), 0.0) for m in (0, 200, 300)])
    ahead = settlement._ahead

    def fails(conn, found):
        if found.stream.datastream_id == broken:
            raise DetectorError("a rule that nobody can read")
        return ahead(conn, found)

    monkeypatch.setattr(settlement, "_ahead", fails)
    for stream in (broken, sound):
        place.door.take([(stream, at(m), 0.3) for m in range(50, 60)])
    assert place.settlement.drain() == 1
    assert place.rows("select datastream_id from unsettled") == [(broken,)]
    assert place.value("select count(*) from alert where datastream_id = %s", sound) > 0


def test_late_readings_of_a_datastream_without_rules_are_settled_too(place):
    _, stream = place.sensor(())
    place.door.load()
    place.door.take([(stream, at(m), 0.0) for m in (0, 200)])
    place.door.take([(stream, at(5), 0.3)])
    place.settlement.drain()
    assert place.value("select count(*) from unsettled") == 0
    assert place.value("select count(*) from alert") == 0


def test_a_rule_that_was_switched_off_still_decides_on_what_was_before(place):
    device, stream = place.sensor(rule_set(("depth", Threshold((Level(0.1, 0.05),)))))
    place.door.load()
    place.door.take([(stream, at(m), 0.0) for m in range(10)])
    add_rule(place.owner, place.tenant_id, device, "depth", "threshold",
             Threshold((Level(0.1, 0.05),)).to_params(), at(60), enabled=False)  # fmt: skip
    place.door.load()
    place.door.take([(stream, at(m), 0.3) for m in (70, 71)])
    assert place.value("select count(*) from alert") == 0
    place.door.take([(stream, at(m), 0.3 if m < 25 else 0.0) for m in range(20, 30)])
    place.settlement.drain()
    assert place.rows("select onset_time, clear_time from alert") == [(iso(20), iso(25))]


def test_readings_sorted_in_soon_after_a_rule_changed_are_settled(place):
    """What the new rule would have said of the readings before it must not come to count."""
    high, low = Threshold((Level(0.2, 0.15),)), Threshold((Level(0.05, 0.02),))
    device, stream = place.sensor(rule_set(("depth", high)))
    place.door.load()
    place.door.take([(stream, at(m), 0.1) for m in range(20)])
    add_rule(place.owner, place.tenant_id, device, "depth", low.kind, low.to_params(), at(20))
    place.door.load()
    place.door.take([(stream, at(m), 0.03) for m in (20, 21, 22, 24)])
    place.door.take([(stream, at(23), 0.03)])
    place.settlement.drain()
    place.door.take([(stream, at(25), 0.0)])
    assert place.rows("select from_level, to_level from alert_transition") == []
    place.door.take([(stream, at(26), 0.06)])
    assert place.rows("select onset_time, rule_version from alert") == [(iso(26), 2)]
