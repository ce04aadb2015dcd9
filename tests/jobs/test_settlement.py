"""The ledger does not depend on the order in which readings arrive."""

import itertools
import os
import random
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from detectors.dump import unpack
from detectors.errors import DetectorError
from detectors.quality import GrossRange, Spike
from detectors.rules import Level, RateOfRise, Threshold
from firmware_sim.recording import read_recording
from jobs import settlement
from jobs.settlement import Settlement
from store import conflicts, rules
from store.evidence import readings_of
from tests.jobs.door import START_MS, Place, add_rule, at, detector_state, iso, ledger

HOUR_MS = 3_600_000
FLOODS = Path(__file__).parents[1] / "data" / "nyc_street_floods_2023-09-29.csv.gz"
MINUTE_MS = 60_000

DEPTH = Threshold(
    (Level(0.1, 0.05, delay_off_s=300.0), Level(0.2, 0.15, delay_off_s=300.0)), ceiling_per_h=20.0
)
LOW = Threshold((Level(0.05, 0.02, delay_on_s=120.0),))
RISE = RateOfRise(limits_per_h=(0.6, 3.0), noise=0.005)


def rule_set(*rules, since_ms=0):
    return [(code, rule.kind, rule.to_params(), since_ms) for code, rule in rules]


RULES = rule_set(
    ("depth", DEPTH), ("rise", RISE), ("range", GrossRange((-0.5, 5.0))), ("spike", Spike(0.1, 0.5))
)


@pytest.fixture(scope="module")
def module_database(postgres, database_template):
    """One database for all generated cases: each brings its own devices."""
    from tests.fixtures.database import DatabaseDsn, _create, _drop, _numbers

    name = f"mizumori_settlement_{next(_numbers)}"
    template = database_template.owner
    _create(postgres.dsn, name, dict(p.split("=", 1) for p in template.split())["dbname"])
    yield DatabaseDsn.of(postgres.dsn, name, database_template.engine)
    _drop(postgres.dsn, name)


@pytest.fixture(scope="module")
def shared(module_database):
    place = Place(module_database)
    yield place
    place.close()


@st.composite
def water(draw):
    """Six hours or so of rising and falling water with steps, gaps and missing values."""
    n = draw(st.integers(4, 110))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = rng.choice([MINUTE_MS, MINUTE_MS, 5 * MINUTE_MS, 61_250, 40 * MINUTE_MS], n,
                       p=[0.5, 0.2, 0.18, 0.1, 0.02])  # fmt: skip
    slope = np.repeat(rng.choice([-0.04, -0.01, 0.0, 0.0, 0.01, 0.03], n // 8 + 1), 8)[:n]
    depth = np.clip(np.cumsum(slope) + 0.06, 0.0, 0.4) + rng.choice([0.0, 0.002, 0.3], n,
                                                                   p=[0.6, 0.36, 0.04])  # fmt: skip
    depth[rng.random(n) < 0.03] = np.nan
    depth[rng.random(n) < 0.02] = 7.5
    times = START_MS + np.cumsum(steps)
    return list(zip(times.tolist(), depth.tolist(), strict=True))


@st.composite
def arrivals(draw, series):
    """Positions of the series as they arrive: delayed by up to 6 h, some of them twice."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = len(series)
    share = draw(st.sampled_from((0.05, 0.3, 1.0)))
    most_ms = draw(st.sampled_from((10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS)))
    twice = np.flatnonzero(rng.random(n) < 0.1)
    position = np.concatenate([np.arange(n), twice])
    delay = rng.uniform(0, most_ms, len(position)) * (rng.random(len(position)) < share)
    arrival = np.array([series[i][0] for i in position]) + delay
    return position[np.argsort(arrival, kind="stable")].tolist()


def deliver(place, device, stream, readings, changes, data, *, settle):
    """Deliver in batches; restarts, settlements and rules that are saved fall in between."""
    pending = list(changes)
    batches = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=6), label="batches")
    at, newest = 0, 0
    place.door.load()
    for size in itertools.cycle(batches):
        if at >= len(readings):
            break
        batch = readings[at : at + size]
        at += size
        # A rule is saved when its time has come, and heard of with some delay.
        newest = max(newest, *(t for t, _ in batch))
        while pending and pending[0][-1] <= newest:
            add_rule(place.owner, place.tenant_id, device, *pending.pop(0))
            if data.draw(st.booleans(), label="heard at once"):
                place.door.load()
        place.door.take([(stream, t, v) for t, v in batch])
        event = data.draw(st.sampled_from(("", "", "", "load", "restart", "settle")), label="then")
        if event == "load":
            place.door.load()
        elif event == "restart":
            place.door.restart()
        elif event == "settle" and settle:
            place.settlement.drain()
    for change in pending:
        add_rule(place.owner, place.tenant_id, device, *change)
    place.door.load()


CASES = settings(
    max_examples=int(os.environ.get("SETTLEMENT_CASES", "20")),
    deadline=None,
    # A case takes a second or two of a real database: making a failing one smaller takes too long.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def known(place, stream):
    """The detector state apart from the names of the lanes, which come from the rules' codes."""
    state = unpack(bytes(detector_state(place.owner, stream)[0]))
    return replace(state, lanes={}), sorted(state.lanes.values())


def compare(place, data, series, changes=(), rules=RULES):
    ordered_device, ordered = place.sensor(rules)
    mixed_device, mixed = place.sensor(rules)
    deliver(place, ordered_device, ordered, series, changes, data, settle=False)
    place.settlement.drain()
    order = data.draw(arrivals(series), label="arrivals")
    deliver(place, mixed_device, mixed, [series[i] for i in order], changes, data, settle=True)
    place.settlement.drain()
    expected, found = ledger(place.owner, ordered), ledger(place.owner, mixed)
    assert found[2] == expected[2] == 0

    def plain(rows):
        return [(row[0].rsplit("-", 1)[0], *row[1:]) for row in rows]

    assert plain(found[1]) == plain(expected[1])
    assert plain(found[0]) == plain(expected[0])
    assert detector_state(place.owner, mixed)[1] == detector_state(place.owner, ordered)[1]
    # What comes now is decided on alike, without another settlement.
    end = max(t for t, _ in series)
    for step, depth in enumerate((0.07, 0.07, 0.12, 0.03, 0.21, 0.21, 0.07, 0.0, 0.0), 1):
        place.door.take([(s, end + step * MINUTE_MS, depth) for s in (ordered, mixed)])
    expected, found = ledger(place.owner, ordered), ledger(place.owner, mixed)
    assert plain(found[1]) == plain(expected[1])
    assert plain(found[0]) == plain(expected[0])
    if not changes:
        assert known(place, mixed) == known(place, ordered)


@CASES
@given(st.data())
def test_the_ledger_is_that_of_a_sorted_delivery(shared, data):
    compare(shared, data, data.draw(water(), label="series"))


@CASES
@given(st.data())
def test_rules_hold_by_phenomenon_time_whatever_arrives_when(shared, data):
    series = data.draw(water(), label="series")
    moments = sorted(data.draw(st.lists(st.sampled_from([t for t, _ in series]), min_size=1,
                                        max_size=2, unique=True)))  # fmt: skip
    changes = [("depth", LOW.kind, rule.to_params(), at)
               for at, rule in zip(moments, (LOW, DEPTH), strict=False)]  # fmt: skip
    compare(shared, data, series, changes)


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


def test_a_real_flood_ends_in_the_ledger_of_its_sorted_delivery(place):
    """The streets of New York on 2023-09-29, each reading up to six hours late, some twice."""
    recording = read_recording(FLOODS)
    with place.owner.transaction() as conn:
        rules.add_defaults(conn, place.tenant_id)
    names = [f"{copy}-{name}" for copy in ("sorted", "mixed") for name in recording.devices]
    streams = {name: place.sensor((), code=name)[1] for name in names}
    series = [(row.device, row.sample.time_ms, row.sample.values["depth_m"])
              for row in recording.rows]  # fmt: skip
    assert len(series) == 8181

    def readings(copy, rows):
        return [(streams[f"{copy}-{name}"], t, v) for name, t, v in rows]

    place.door.load()
    in_order = readings("sorted", sorted(series, key=lambda row: row[1]))
    for low in range(0, len(in_order), 700):
        place.door.take(in_order[low : low + 700])
    assert place.value("select count(*) from unsettled") == 0
    rng = np.random.default_rng(29)
    rows = [*series, *(series[i] for i in rng.integers(0, len(series), 800))]
    arrival = np.array([t for _, t, _ in rows]) + rng.uniform(0, 6 * HOUR_MS, len(rows))
    settled = 0
    mixed = readings("mixed", [rows[i] for i in np.argsort(arrival)])
    for low in range(0, len(mixed), 450):
        place.door.take(mixed[low : low + 450])
        if low % 1800 == 0:
            settled += place.settlement.drain()
    settled += place.settlement.drain()
    assert settled > 20
    transitions = 0
    for name in recording.devices:
        found = ledger(place.owner, streams[f"mixed-{name}"])
        assert found == ledger(place.owner, streams[f"sorted-{name}"])
        transitions += len(found[1])
    assert transitions > 100, "the storm was a big one"
    assert place.value("select count(*) from observation") == 2 * len(series)
    assert place.value("select count(*) from journal where kind = 'corrected'") > 10


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

    jobs = [threading.Thread(target=settle) for _ in range(2)]
    for job in jobs:
        job.start()
    for i in range(0, len(live), 4):
        place.door.take([(stream, at(m), depth[m]) for m in live[i : i + 4]])
        old = [m for m in late if m < live[i] - 60][:2]
        late = [m for m in late if m not in old]
        if old:
            place.door.take([(stream, at(m), depth[m]) for m in old])
    if late:
        place.door.take([(stream, at(m), depth[m]) for m in late])
    ended.set()
    for job in jobs:
        job.join(30)
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
