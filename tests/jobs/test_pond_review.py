"""Derived values and their alerts do not depend on the order in which readings arrive."""

import math
import os
import time

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from detectors.derived import DERIVED
from gateway.registry import load
from jobs.pond_review import PondReview
from jobs.tasks import roll_up
from store import backtest, outbox, ponds, rules
from store.backtest_readings import Source
from store.marks import Mark
from store.replay import replay
from tests.fixtures.database import DatabaseDsn, _create, _drop, _numbers
from tests.jobs.door import START_MS, Place, at, detector_state, iso, ledger

MINUTES_PER_DAY = 1440


def add_pond(place, code, properties=("water_temp_c", "ph", "dissolved_oxygen_mg_l"), site=None):
    """Add a pond with a probe; returns the datastreams by property."""
    with place.owner.transaction() as conn:
        return _add_pond(conn, place.tenant_id, code, properties, site or f"site-{code}")


def _add_pond(conn, tenant_id, code, properties, site):
    conn.execute(
        "insert into site (tenant_id, code, kind, name_ja, name_en, lat, lon)"
        " values (%s, %s, 'pond', '', '', 37.4, 140.4) on conflict do nothing",
        (tenant_id, site),
    )
    [[device]] = conn.execute(
        "insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s, site_id)"
        " values (%s, %s, 'pond_probe', '', '', 600, (select site_id from site"
        " where tenant_id = %s and code = %s)) returning device_id",
        (tenant_id, code, tenant_id, site),
    ).fetchall()
    made = {}
    for name in properties:
        [[made[name]]] = conn.execute(
            "insert into datastream (tenant_id, device_id, property, unit) values (%s, %s, %s, '')"
            " returning datastream_id",
            (tenant_id, device, name),
        ).fetchall()
    return made


def review(place):
    """Run the jobs as they follow each other."""
    roll_up(place.jobs)
    PondReview(place.jobs).drain()
    place.settlement.drain()


def derived(place, streams):
    """Read all derived series of a pond: {property: [(time, value)]}."""
    found = place.rows(
        "select ds.property, o.phenomenon_time, o.value from datastream ds"
        " join observation o using (datastream_id) where ds.derived and ds.device_id ="
        " (select device_id from datastream where datastream_id = %s)"
        " order by ds.property, o.phenomenon_time",
        next(iter(streams.values())),
    )
    series = {}
    for name, moment, value in found:
        series.setdefault(name, []).append((moment, None if math.isnan(value) else value))
    return series


def stream_of(place, streams, name):
    return place.value(
        "select datastream_id from datastream where property = %s and device_id ="
        " (select device_id from datastream where datastream_id = %s)",
        name,
        next(iter(streams.values())),
    )


def day(minutes, temp=22.0, swing=2.0):
    """Values of a calm pond at some minutes."""
    phase = np.asarray(minutes) / MINUTES_PER_DAY * 2 * np.pi
    return {
        "water_temp_c": np.round(temp + swing * np.sin(phase), 2),
        "ph": np.round(7.6 + 0.3 * np.sin(phase), 2),
        "dissolved_oxygen_mg_l": np.round(7.5 + 1.0 * np.sin(phase), 2),
    }


def readings(streams, minutes, values):
    return [
        (streams[name], at(int(minute)), float(value))
        for name in values
        for minute, value in zip(minutes, values[name], strict=True)
    ]


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


@pytest.fixture(scope="module")
def shared(postgres, database_template):
    """One town for all generated cases: each brings its own pond."""
    name = f"mizumori_pond_{next(_numbers)}"
    template = dict(p.split("=", 1) for p in database_template.owner.split())["dbname"]
    _create(postgres.dsn, name, template)
    made = Place(DatabaseDsn.of(postgres.dsn, name, database_template.engine))
    with made.owner.transaction() as conn:
        rules.add_defaults(conn, made.tenant_id)
    yield made
    made.close()
    _drop(postgres.dsn, name)


CASES = settings(
    max_examples=int(os.environ.get("POND_CASES", "6")),
    deadline=None,
    # A case takes seconds of a real database: making a failing one smaller takes too long.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def eventful(rng):
    """Five days of a pond with a cold shock, a lift-out, gaps, odd values and missing ones."""
    minutes = np.arange(0, 5 * MINUTES_PER_DAY, 30) + int(rng.integers(0, 30))
    values = day(minutes, temp=float(rng.uniform(18, 30)))
    after = int(rng.integers(0, len(minutes)))
    values["water_temp_c"][after:] -= 8.0
    values["dissolved_oxygen_mg_l"][after:] -= float(rng.uniform(0, 4))
    fine = minutes[int(rng.integers(100, len(minutes) - 2))] + np.arange(1, 60, 5)
    for name, jump in (("water_temp_c", 6.0), ("ph", -1.2), ("dissolved_oxygen_mg_l", 3.0)):
        lifted = np.interp(fine, minutes, values[name]) + np.where(np.arange(12) < 6, jump, 0.0)
        values[name] = np.round(np.concatenate([values[name], lifted]), 2)
    minutes = np.concatenate([minutes, fine])
    order = np.argsort(minutes, kind="stable")
    minutes, first = np.unique(minutes[order], return_index=True)
    values = {name: own[order][first] for name, own in values.items()}
    for own in values.values():
        own[rng.random(len(own)) < 0.02] = np.nan
        own[rng.random(len(own)) < 0.01] = 85.0
    return minutes, values


@CASES
@given(st.integers(0, 2**32 - 1))
def test_whatever_arrives_when_series_and_ledger_are_those_of_a_sorted_delivery(shared, seed):
    place, rng = shared, np.random.default_rng(seed)
    minutes, values = eventful(rng)
    number = next(_numbers)
    ordered, mixed = (add_pond(place, f"{kind}{number}") for kind in ("o", "m"))
    place.door.load()
    rows = sorted(readings(ordered, minutes, values), key=lambda row: row[1])
    place.door.take(rows)
    review(place)
    rows = readings(mixed, minutes, values)
    delay = rng.uniform(0, 20 * 3_600_000, len(rows)) * (rng.random(len(rows)) < 0.2)
    order = np.argsort([row[1] for row in rows] + delay, kind="stable")
    for part in np.array_split(order, 6):
        place.door.take([rows[i] for i in part])
        if rng.random() < 0.7:
            review(place)
    review(place)
    expected, found = derived(place, ordered), derived(place, mixed)
    assert found == expected
    assert len(found) == 9
    told = 0
    for name in expected:
        one, two = (stream_of(place, streams, name) for streams in (ordered, mixed))
        assert ledger(place.owner, two)[:2] == ledger(place.owner, one)[:2], name
        assert detector_state(place.owner, two) == detector_state(place.owner, one), name
        told += len(ledger(place.owner, one)[0])
    assert told


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
