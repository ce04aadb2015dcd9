"""What is derived from the probes of a pond, and its alerts, case by case."""

import time

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from detectors.derived import DERIVED
from gateway.registry import load
from jobs.pond_review import PondReview
from jobs.tasks import roll_up
from store import backtest, outbox, ponds, rules
from store.backtest_readings import Source
from store.marks import Mark
from store.replay import replay
from tests.jobs.door import START_MS, iso, ledger
from tests.jobs.ponds import MINUTES_PER_DAY, add_pond, day, derived, readings, review, stream_of


@pytest.fixture
def pond_place(place):
    with place.owner.transaction() as conn:
        rules.add_defaults(conn, place.tenant_id)
    return place


def test_a_cold_shock_beyond_the_usual_day_is_an_alert_like_any_other(pond_place):
    place = pond_place
    streams = add_pond(place, "pond")
    minutes = np.arange(0, 5 * MINUTES_PER_DAY, 10)
    values = day(minutes)
    values["water_temp_c"][minutes >= 4.5 * MINUTES_PER_DAY] -= 8.0
    place.door.load()
    place.door.take(readings(streams, minutes, values))
    review(place)
    hour = stream_of(place, streams, "temp_change_1h_c")
    alerts, moves, _ = ledger(place.owner, hour)
    [(rule, version, onset, clear, level, peak_level, peak, _)] = alerts
    assert (rule, version, level, peak_level) == ("pond-temp-change-1h", 1, 0, 3)
    start = 4.5 * MINUTES_PER_DAY
    # The second reading confirms the first.
    assert onset == iso(start + 10)
    assert iso(start + 60) < clear <= iso(start + 90)
    assert 7.0 < peak < 9.0
    assert [(move[2], move[3]) for move in moves] == [(0, 3), (3, 0)]
    day_long = stream_of(place, streams, "temp_change_24h_c")
    assert [alert[5] for alert in ledger(place.owner, day_long)[0]] == [2]
    # Anybody may decide them again from the evidence.
    ids = [row[0] for row in place.rows("select alert_id from alert order by 1")]
    with place.owner.transaction() as conn:
        steps = [step for alert_id in ids for step in replay(conn, alert_id)]
    assert len(steps) == 3  # the daily change is still on
    assert [step.differences for step in steps] == [()] * len(steps)
    # And try another limit on what is stored.
    request = backtest.Request("pond-temp-change-1h", {"levels": [{"on": 9.5, "off": 9.0}]})
    tried = backtest.run(place.owner.transaction, place.tenant_id, request, Source.TABLE)
    assert not tried.raised
    assert [gone.onset for gone in tried.gone] == [onset]


def test_ordinary_days_raise_nothing(pond_place):
    place = pond_place
    streams = add_pond(place, "calm")
    minutes = np.arange(0, 4 * MINUTES_PER_DAY, 10)
    place.door.load()
    place.door.take(readings(streams, minutes, day(minutes)))
    review(place)
    found = derived(place, streams)
    assert set(found) == {one.name for one in DERIVED} - {"nh3_n_mg_l"}
    assert {len(series) for series in found.values()} == {len(minutes)}
    assert place.value("select count(*) from alert") == 0
    assert place.value("select count(*) from review_due where work = 'pond'") == 0
    newest = place.rows(
        "select l.phenomenon_time, l.value = o.value from latest l join datastream ds"
        " using (datastream_id) join observation o using (datastream_id, phenomenon_time)"
        " where ds.derived"
    )
    assert set(newest) == {(iso(int(minutes[-1])), True)}


def test_a_lift_out_is_logged_and_holds_back_what_the_air_would_tell(pond_place):
    place = pond_place
    streams = add_pond(place, "lifted")
    place.door.load()
    # The newest reading is of just now: what is held back is held back by the clock.
    first = int(time.time() / 60 - START_MS / 60_000) - 119
    minutes = first + np.arange(120)
    values = {name: np.full(120, value) for name, value in
              (("water_temp_c", 22.0), ("ph", 7.5), ("dissolved_oxygen_mg_l", 6.0))}  # fmt: skip
    out = np.arange(120) >= 105
    values["water_temp_c"][out], values["ph"][out] = 36.0, 9.7
    values["dissolved_oxygen_mg_l"][out] = 9.0
    for part in (slice(0, 108), slice(108, 120)):
        some = {name: own[part] for name, own in values.items()}
        place.door.take(readings(streams, minutes[part], some))
        review(place)
    lifted = stream_of(place, streams, "lifted_out_min")
    [(rule, _, onset, clear, level, *_)] = ledger(place.owner, lifted)[0]
    assert (rule, onset, clear, level) == ("pond-lifted-out", iso(first + 106), None, 1)
    # The gateway has decided, and the ledger says so; but it is not sent on.
    told = place.rows("select rule_code, alert_id from alert where rule_code <> 'pond-lifted-out'")
    assert {code for code, _ in told} == {"pond-temp-high", "pond-ph-high"}
    waiting = place.rows("select payload ->> 'rule', not_before from outbox")
    held = {code for code, until in waiting if until is not None}
    assert held == {"pond-temp-high", "pond-ph-high"}
    until = place.value("select max(not_before) from outbox")
    assert iso(first + 135) <= until <= iso(first + 141)
    notes = place.rows("select alert_id, body ->> 'because' from journal where kind = 'note'")
    assert set(notes) == {(alert_id, "lifted_out") for _, alert_id in told}
    with place.jobs.transaction() as conn:
        sent = [one.payload["rule"] for one in outbox.unsent(conn, place.tenant_id)]
        assert set(sent) == {"pond-lifted-out"}
        # A message that comes later must not overtake the one of its topic that waits.
        [topic] = {row[0] for row in conn.execute("select topic from outbox where payload ->> "
                                                  "'rule' = 'pond-temp-high'")}  # fmt: skip
        outbox.add(conn, place.tenant_id, topic, {"rule": "later"})
        assert "later" not in [m.payload["rule"] for m in outbox.unsent(conn, place.tenant_id)]
        conn.execute("update outbox set not_before = now() - interval '1 s'"
                     " where not_before is not null")  # fmt: skip
        assert outbox.unsent(conn, place.tenant_id)[-1].payload == {"rule": "later"}
    found = derived(place, streams)
    assert all(value is None for _, value in found["temp_change_1h_c"][106:])
    assert found["temp_change_1h_c"][105][1] == 0.0


def test_a_change_of_a_rule_is_decided_from_its_time_on(pond_place):
    place = pond_place
    streams = add_pond(place, "ruled")
    minutes = np.arange(0, 2 * MINUTES_PER_DAY, 30)
    values = day(minutes)
    values["ph"] = 7.6 + 0.6 * np.sin(minutes / MINUTES_PER_DAY * 2 * np.pi)
    place.door.load()
    place.door.take(readings(streams, minutes, values))
    review(place)
    swing = stream_of(place, streams, "ph_swing_24h")
    [(code, version, onset, *_)] = ledger(place.owner, swing)[0]
    assert (code, version) == ("pond-ph-swing", 1)
    # A rule that a person saved a moment ago, and that held before the newest reading.
    with place.owner.transaction() as conn:
        conn.execute(
            "insert into rule (tenant_id, code, version, kind, property, device_kind, params,"
            " valid_from) select tenant_id, code, 2, kind, property, device_kind, %s, %s from rule"
            " where code = 'pond-ph-swing'",
            (Jsonb({"levels": [{"on": 3.0, "off": 2.0}]}), iso(2000)),
        )
    review(place)
    moves = ledger(place.owner, swing)[1]
    assert [(move[1], move[3], move[5]) for move in moves] == [(onset, 1, 1), (iso(2010), 0, 2)]
    assert place.value("select count(*) from unsettled") == 0
    PondReview(place.jobs).drain()
    assert place.value("select count(*) from unsettled") == 0


def test_a_years_recording_is_computed_a_week_at_a_time_and_goes_on_after_a_fault(
    pond_place, monkeypatch
):
    place = pond_place
    streams = add_pond(place, "old", ("water_temp_c",))
    minutes = np.concatenate(
        [np.arange(0, 9 * MINUTES_PER_DAY, 60), np.arange(200, 210) * MINUTES_PER_DAY]
    )
    place.door.load()
    place.door.take(readings(streams, minutes, {"water_temp_c": np.full(len(minutes), 20.0)}))
    roll_up(place.jobs)
    pieces = []

    def put(*arguments):
        if len(pieces) == 2:
            raise psycopg.DataError("spoilt")
        pieces.append(len(arguments[3].time_ms))
        return put_derived(*arguments)

    put_derived = ponds.put_derived
    with monkeypatch.context() as broken:
        broken.setattr(ponds, "put_derived", put)
        PondReview(place.jobs).drain()
    assert pieces == [7 * 24, 7 * 24]
    assert place.value("select count(*) from review_due where work = 'pond'") == 1
    PondReview(place.jobs).drain()
    assert place.value("select count(*) from review_due where work = 'pond'") == 0
    found = derived(place, streams)
    assert set(found) == {"temp_change_1h_c", "temp_change_24h_c"}
    assert {len(own) for own in found.values()} == {len(minutes)}


def test_what_a_device_sends_itself_is_not_overwritten(pond_place):
    place = pond_place
    streams = add_pond(place, "own", ("water_temp_c", "temp_change_1h_c"))
    place.door.load()
    minutes = np.arange(0, 300, 10)
    values = {"water_temp_c": np.full(30, 20.0), "temp_change_1h_c": np.full(30, 9.9)}
    place.door.take(readings(streams, minutes, values))
    review(place)
    assert set(derived(place, streams)) == {"temp_change_24h_c"}
    own = streams["temp_change_1h_c"]
    assert place.value("select count(distinct value) from observation where datastream_id = %s",
                       own) == 1  # fmt: skip


def test_a_gateway_knows_what_is_not_a_devices_to_send(pond_place):
    place = pond_place
    streams = add_pond(place, "sly")
    place.door.load()
    minutes = np.arange(0, 60, 10)
    place.door.take(readings(streams, minutes, day(minutes)))
    review(place)
    with place.gateway.transaction() as conn:
        registry = load(conn)
    derived_ids = {
        row[0] for row in place.rows("select datastream_id from datastream where derived")
    }
    assert derived_ids
    assert not derived_ids & set(registry.datastream_id.tolist())
    assert registry.devices[place.tenant_id, "sly"].derived == set(derived(place, streams))


def test_exercises_show_in_what_is_derived_and_checkpoints_do_not_pile_up(pond_place):
    place = pond_place
    streams = add_pond(place, "drill", ("water_temp_c",))
    place.door.load()
    for hour in range(30):
        minutes = hour * 60 + np.arange(0, 60, 10)
        values = {"water_temp_c": 20.0 + 5.0 * (minutes > 1500)}
        place.door.take(
            readings(streams, minutes, values), marks=int(Mark.TRAINING) if hour == 25 else 0
        )
        review(place)
        review(place)
    marked = place.rows(
        "select distinct date_part('hour', age(phenomenon_time, %s)) + 24 * date_part('day',"
        " age(phenomenon_time, %s)) from observation join datastream ds using (datastream_id)"
        " where ds.derived and marks & 4 = 4", iso(0), iso(0),
    )  # fmt: skip
    assert marked == [(25.0,)]
    hour = stream_of(place, streams, "temp_change_1h_c")
    [alert] = ledger(place.owner, hour)[0]
    assert alert[-1] is True
    checkpoints = place.value(
        "select count(*) from detector_checkpoint where datastream_id = %s", hour
    )
    assert 20 <= checkpoints <= 28
