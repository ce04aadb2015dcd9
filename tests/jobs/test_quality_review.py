"""Tests over hours and days: what they find follows from the readings, not from their arrival."""

import itertools
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from detectors.flags import Test
from detectors.hourly import Attenuated
from detectors.quality import FlatLine
from jobs import quality_review
from jobs.drift_review import DriftReview
from jobs.quality_review import PlateauReview, QualityReview
from store import device_catalog, rollups, rules, unsettled
from store.device_catalog import NewDevice
from tests.store.write import write_readings

START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=10)
A_DAY = 144


@pytest.fixture
def pond(owner, quiet_town):
    """Datastreams of the water temperature of three probes."""
    probes = [NewDevice(f"p{n}", "pond_probe", "池", "Pond", 600, site="pond-1") for n in (2, 3)]
    with owner.transaction() as conn:
        device_catalog.add_devices(conn, quiet_town.tenant_id, probes)
        rows = conn.execute(
            "select code, datastream_id from datastream join device using (device_id)"
            " where property = 'water_temp_c' order by code"
        ).fetchall()
    return dict(rows)


def put(owner, town, stream, readings):
    write_readings(owner, stream, town, readings)


def review(jobs_database):
    """Do what the jobs do, until nothing is left to do."""
    done = 1
    while done:
        with jobs_database.transaction() as conn:
            while rollups.roll_up(conn):
                pass
        done = sum(
            kind(jobs_database).drain() for kind in (QualityReview, PlateauReview, DriftReview)
        )


def found(owner, stream):
    """What stands, by source: {(source, time): (flag, evaluated)}."""
    with owner.transaction() as conn:
        rows = conn.execute(
            "select distinct on (phenomenon_time, source) source, phenomenon_time, flag, evaluated"
            " from flag_revision where datastream_id = %s"
            " order by phenomenon_time, source, flag_revision_id desc",
            (stream,),
        ).fetchall()
    return {(source, at): (flag, evaluated) for source, at, flag, evaluated in rows}


def bad(owner, stream, source):
    """Numbers of the readings to which a source objects, and their flags."""
    return {
        round((at - START) / STEP): flag
        for (by, at), (flag, _) in found(owner, stream).items()
        if by == source and flag in {3, 4}
    }


def at(number):
    return START + number * STEP


def waves(numbers, level=20.0):
    """A pond's day."""
    return [(at(n), level + 2.0 * math.sin(n / A_DAY * 2 * math.pi)) for n in numbers]


def save(owner, town, code, rule, **scope):
    with owner.transaction() as conn:
        rules.save(
            conn, town.tenant_id, code, kind=rule.kind, observed_property="water_temp_c",
            params=rule.to_params(), device_kind="pond_probe", from_the_beginning=True, **scope,
        )  # fmt: skip


def dead_probe():
    """A day that moves, fourteen hours that hardly do, and a step back into life."""
    still = [(at(n), 21.0 + 0.001 * (n % 4)) for n in range(A_DAY, A_DAY + 84)]
    return waves(range(A_DAY)) + still + waves(range(A_DAY + 84, A_DAY + 90), 26.0)


def test_a_signal_that_hardly_moves_and_a_step_out_of_it_are_flagged(
    owner, quiet_town, pond, jobs_database
):
    put(owner, quiet_town, pond["p1"], dead_probe())
    review(jobs_database)
    flags = bad(owner, pond["p1"], "quality")
    # 12 hours are 72 readings: from the first window in which the last wave is not any more.
    assert [n for n, flag in flags.items() if flag == 4] == list(range(A_DAY + 72, A_DAY + 84))
    assert A_DAY + 84 in flags  # the step: more than 1 degree, and three deviations
    said = found(owner, pond["p1"])["quality", at(A_DAY + 84)]
    assert said == (3, Test.ATTENUATED | Test.SCATTER)
    with owner.transaction() as conn:
        [[rows, hours]] = conn.execute(
            "select (select count(*) from flag_revision where source = 'quality'),"
            " (select sum(n_suspect) from rollup_hour where datastream_id = %s)",
            (pond["p1"],),
        ).fetchall()
    assert rows == len(flags)  # nothing is written of the good ones
    assert hours == len({*flags, *bad(owner, pond["p1"], "plateau")})


@pytest.mark.parametrize("piece", [7, 50_000])
def test_the_order_of_arrival_changes_nothing(
    owner, quiet_town, pond, jobs_database, monkeypatch, piece
):
    """Late readings take back what was found without them, also when read in small pieces."""
    monkeypatch.setattr(unsettled, "PIECE", piece)
    save(owner, quiet_town, "pond-temp-flat", FlatLine(6 * 3600.0, 12 * 3600.0, 0.01))
    readings = dead_probe()
    stirred = A_DAY + 10  # without it the probe looks dead for longer
    readings[stirred] = (at(stirred), 21.7)
    put(owner, quiet_town, pond["p1"], readings)
    review(jobs_database)
    expected = found(owner, pond["p1"])
    assert {said[0] for said in expected.values()} >= {3, 4}
    rng = np.random.default_rng(11)
    for stream, parts in zip((pond["p2"], pond["p3"]), (2, 6), strict=True):
        part_of = rng.integers(0, parts, len(readings))
        part_of[stirred] = parts
        for part in range(parts + 1):
            mine = [reading for reading, p in zip(readings, part_of, strict=True) if p == part]
            put(owner, quiet_town, stream, mine)
            review(jobs_database)
        later = found(owner, stream)
        stands = {key: said for key, said in later.items() if said[0] in {3, 4}}
        assert stands == expected
        assert set(later) > set(stands)  # what was said too early was taken back


def test_a_plateau_is_flagged_from_its_beginning_once_it_is_one(
    owner, quiet_town, pond, jobs_database
):
    stream = pond["p1"]
    flat = [(at(n), 15.0) for n in range(20, 20 + 36)]  # 5 h 50 min: not yet 6 hours
    put(owner, quiet_town, stream, waves(range(20)) + flat)
    review(jobs_database)
    assert bad(owner, stream, "plateau") == {}
    put(owner, quiet_town, stream, [(at(56), 15.0)])
    review(jobs_database)
    assert bad(owner, stream, "plateau") == dict.fromkeys(range(20, 57), 3)
    # A day of it has failed, again from the beginning.
    put(owner, quiet_town, stream, [(at(n), 15.0) for n in range(57, 20 + A_DAY + 1)])
    review(jobs_database)
    assert bad(owner, stream, "plateau") == dict.fromkeys(range(20, 21 + A_DAY), 4)
    # One that moved, late: it was none before, and none of a day after.
    put(owner, quiet_town, stream, [(at(40) + STEP / 2, 15.5)])
    review(jobs_database)
    assert bad(owner, stream, "plateau") == dict.fromkeys(range(41, 21 + A_DAY), 3)


def ponds_of_a_month(drift_of):
    """Daily cycles of three ponds under one weather; one probe may leave them."""
    weather = np.cumsum(np.random.default_rng(3).normal(0, 0.7, 31))
    for pond, offset in enumerate((0.0, 0.6, -0.4)):
        yield [
            (START + timedelta(days=day, hours=hour), 15.0 + weather[day] + offset
             + math.sin(hour / 24 * 2 * math.pi) + drift_of(pond, day))
            for day in range(30)
            for hour in range(0, 24, 3)
        ]  # fmt: skip


def test_a_probe_that_drifts_away_from_the_others_is_found_by_its_days(
    owner, quiet_town, pond, jobs_database
):
    drifting = list(ponds_of_a_month(lambda n, day: 0.15 * max(0, day - 12) if n == 1 else 0.0))
    for stream, readings in zip(pond.values(), drifting, strict=True):
        put(owner, quiet_town, stream, readings)
    review(jobs_database)
    days = [
        sorted({when.day for (by, when), (flag, _) in found(owner, stream).items()
                if by == "drift" and flag == 3})
        for stream in pond.values()
    ]  # fmt: skip
    assert days[0] == days[2] == []
    assert days[1][0] in range(19, 24)
    assert days[1] == list(range(days[1][0], 30))  # the newest day is not over
    said = {said for (by, _), said in found(owner, pond["p2"]).items() if by == "drift"}
    assert said == {(3, Test.DRIFT)}


def test_drift_does_not_depend_on_which_pond_came_first(owner, quiet_town, pond, jobs_database):
    drifting = list(ponds_of_a_month(lambda n, day: 0.15 * max(0, day - 12) if n == 1 else 0.0))
    put(owner, quiet_town, pond["p2"], drifting[1])
    review(jobs_database)
    assert bad(owner, pond["p2"], "drift") == {}  # alone, a season cannot be told from drift
    put(owner, quiet_town, pond["p1"], drifting[0])
    review(jobs_database)
    for part in (drifting[2][130:], drifting[2][:130]):
        put(owner, quiet_town, pond["p3"], part)
        review(jobs_database)
    days = {at(n).day for n in bad(owner, pond["p2"], "drift")}
    assert days == set(range(min(days), 30))
    assert min(days) in range(19, 24)
    assert bad(owner, pond["p1"], "drift") == bad(owner, pond["p3"], "drift") == {}


def test_a_calibrated_probe_steps_and_does_not_drift(owner, quiet_town, pond, jobs_database):
    stepping = ponds_of_a_month(lambda n, day: 3.0 if n == 1 and day >= 15 else 0.0)
    for stream, readings in zip(pond.values(), stepping, strict=True):
        put(owner, quiet_town, stream, readings)
    review(jobs_database)
    assert [bad(owner, stream, "drift") for stream in pond.values()] == [{}, {}, {}]


def test_a_rule_holds_from_its_time_and_at_its_device(owner, quiet_town, pond, jobs_database):
    """Of three dead probes the one is left alone whose rule is switched off."""
    with owner.transaction() as conn:
        [[device_id]] = conn.execute("select device_id from device where code = 'p2'").fetchall()
    save(
        owner, quiet_town, "pond-temp-dull", Attenuated(0.03, 0.005),
        device_id=device_id, enabled=False,
    )  # fmt: skip
    still = [(at(n), 20.0 + 0.001 * (n % 4)) for n in range(100)]
    for stream in pond.values():
        put(owner, quiet_town, stream, still)
    review(jobs_database)
    assert bad(owner, pond["p1"], "quality") == dict.fromkeys(range(72, 100), 4)
    assert bad(owner, pond["p2"], "quality") == {}


def test_one_process_at_a_time_reviews(owner, quiet_town, pond, jobs_database):
    put(owner, quiet_town, pond["p1"], dead_probe())
    with jobs_database.transaction() as conn:
        rollups.roll_up(conn)
    with jobs_database.transaction() as conn:
        conn.execute(
            "select pg_advisory_xact_lock(hashtext('mizumori review'), hashtext('quality'))"
        )
        assert QualityReview(jobs_database).drain() == 0
    assert QualityReview(jobs_database).drain() == 1
    assert QualityReview(jobs_database).drain() == 0


def test_each_row_is_judged_once_with_what_is_before_it(owner, quiet_town, pond, monkeypatch):
    """After a pause too: the window ends with the reading before."""
    monkeypatch.setattr(unsettled, "PIECE", 5)
    numbers = [*range(30), *range(90, 110)]
    put(owner, quiet_town, pond["p1"], waves(numbers))
    times = [round(at(n).timestamp() * 1000) for n in numbers]
    for first, back_s in itertools.product((0, 17, 30, 31, 49), (0.0, 3600.0, 7200.0)):
        seen = []
        with owner.transaction() as conn:
            pieces = quality_review.walk(conn, pond["p1"], times[first], back_s=back_s)
            for time_ms, value, rows in pieces:
                assert len(time_ms) == len(value) <= 5 + back_s / 600 + 2
                for row in rows.tolist():
                    seen.append(int(time_ms[row]))
                    before = times.index(seen[-1]) - 1
                    if before >= 0:
                        edge = max(times[before] - back_s * 1000, times[0])
                        assert time_ms[0] <= edge
        assert seen == times[first:]
