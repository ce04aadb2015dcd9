"""The sensors of a place held against each other, in whatever order their readings come."""

import itertools
import json
import random
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from detectors.consistency import ContactLadder, Neighbours, Stuck
from detectors.flags import Test
from detectors.quality import GrossRange
from jobs.flood_review import FloodReview
from jobs.tasks import roll_up
from store import reviews, streets
from tests.store.write import write_readings

START = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
DEGREE_M = 111_195.0  # of latitude
RULES = (
    ("street-neighbours", Neighbours(), "flood_level"),
    ("contact-neighbours", Neighbours(), "flood_contact"),
    ("contact-ladder", ContactLadder(), "flood_contact"),
    ("street-stuck", Stuck(), "flood_level"),
    ("depth-range", GrossRange((-0.5, 10.0)), "flood_level"),
)


def at(minute):
    return START + timedelta(minutes=minute)


class Street:
    """A town's sensors along a road to the north, and what the jobs make of their readings."""

    def __init__(self, owner, jobs, town):
        self.owner, self.jobs, self.town = owner, jobs, town
        for code, rule, device_kind in RULES:
            self.rule(code, rule, device_kind=device_kind)

    def execute(self, statement, *parameters):
        with self.owner.transaction() as conn:
            return conn.execute(statement, parameters)

    def rows(self, statement, *parameters):
        with self.owner.transaction() as conn:
            return conn.execute(statement, parameters).fetchall()

    def rule(self, code, rule, *, device_kind=None, device=None, enabled=True, since=None):
        self.execute(
            "insert into rule (tenant_id, code, version, kind, property, device_kind, device_id,"
            " params, enabled, valid_from) select %s, %s, 1 + count(*), %s, 'depth_m', %s, %s, %s,"
            " %s, %s from rule where code = %s",
            self.town.tenant_id, code, rule.kind, device_kind, device, Jsonb(rule.to_params()),
            enabled, since or datetime(1970, 1, 1, tzinfo=UTC), code,
        )  # fmt: skip

    def site(self, code="crossing", ground_m=None):
        [[site]] = self.rows(
            "insert into site (tenant_id, code, kind, name_ja, name_en, ground_m)"
            " values (%s, %s, 'street', '', '', %s) returning site_id",
            self.town.tenant_id, code, ground_m,
        )  # fmt: skip
        return site

    def sensor(
        self, code, north_m=0.0, ground_m=None, kind="flood_level", site=None, interval_s=60
    ):
        if site is None and ground_m is not None:
            site = self.site(f"{code}-site", ground_m)
        [[device]] = self.rows(
            "insert into device (tenant_id, site_id, code, kind, name_ja, name_en, lat, lon,"
            " expected_interval_s) values (%s, %s, %s, %s, '', '', %s, 139.8, %s)"
            " returning device_id",
            self.town.tenant_id, site, code, kind, 38.9 + north_m / DEGREE_M, interval_s,
        )  # fmt: skip
        [[stream]] = self.rows(
            "insert into datastream (tenant_id, device_id, property, unit)"
            " values (%s, %s, 'depth_m', 'm') returning datastream_id",
            self.town.tenant_id, device,
        )  # fmt: skip
        return stream

    def write(self, stream, readings):
        write_readings(self.owner, stream, self.town, [(at(m), v) for m, v in readings])

    def review(self):
        """Do what the jobs do; returns how many verdicts are new."""
        roll_up(self.jobs)
        [[before]] = self.rows("select count(*) from flag_revision")
        FloodReview(self.jobs).drain()
        return self.rows("select count(*) from flag_revision")[0][0] - before

    def verdicts(self, stream):
        """The newest word on each doubted minute: {minute: (flag, evaluated)}."""
        found = self.rows(
            "select distinct on (phenomenon_time) phenomenon_time, flag, evaluated"
            " from flag_revision where datastream_id = %s and source = 'flood'"
            " order by phenomenon_time, flag_revision_id desc", stream,
        )  # fmt: skip
        return {(t - START).total_seconds() / 60: (flag, tests) for t, flag, tests in found}

    def doubted(self, stream, test):
        return [m for m, found in self.verdicts(stream).items() if found == (3, test)]


@pytest.fixture
def street(owner, jobs_database, quiet_town):
    return Street(owner, jobs_database, quiet_town)


def along(value, minutes):
    return [(m, value) for m in minutes]


@pytest.fixture
def hollow(street):
    """A wet sensor above two that lie lower, 100 and 200 m away."""
    wet = street.sensor("wet", 0.0, 5.0)
    low = [street.sensor("low-1", 100.0, 4.5), street.sensor("low-2", 200.0, 4.0)]
    return wet, low


def test_a_wet_sensor_above_dry_ones_is_doubted_and_its_alert_stays(street, hollow):
    wet, low = hollow
    above = street.sensor("above", 50.0, 6.0)  # says nothing about one below it
    for one in (above, *low):
        street.write(one, along(0.0, range(60)))
    street.write(wet, along(0.0, range(20)) + along(0.12, range(20, 60)))
    assert street.review() == 40
    assert street.doubted(wet, Test.CONSISTENCY) == list(range(20, 60))
    assert not any(street.verdicts(one) for one in low)
    assert street.rows("select flag from observation where flag <> 1") == []
    assert street.review() == 0  # its own marks come back once, and nothing is new
    with street.jobs.transaction() as conn:
        assert reviews.waiting(conn, "flood") == 0


def test_water_that_comes_late_below_takes_the_doubt_back(street, hollow):
    wet, low = hollow
    street.write(low[0], along(0.0, range(60)))
    street.write(low[1], along(0.0, range(30)))
    street.write(wet, along(0.12, range(60)))
    street.review()
    # The second one was silent from minute 36.5 on: a silent sensor is no witness.
    assert street.doubted(wet, Test.CONSISTENCY) == list(range(15, 36))
    street.write(low[1], along(0.2, [20.5, 25.5]))
    street.review()
    assert street.doubted(wet, Test.CONSISTENCY) == list(range(15, 21))
    found = street.verdicts(wet)
    assert {found[m] for m in range(21, 36)} == {(1, Test.CONSISTENCY | Test.STUCK)}


def test_the_order_of_arrival_changes_nothing(street):
    chance = random.Random(7)
    towns = []
    for copy in range(2):
        base = copy * 5000.0
        site = street.site(f"site-{copy}")
        towns.append([
            street.sensor(f"a{copy}", base, 5.0), street.sensor(f"b{copy}", base + 100, 4.5),
            street.sensor(f"c{copy}", base + 200, 4.0), street.sensor(f"d{copy}", base + 250, 4.6),
            street.sensor(f"k{copy}", base, kind="flood_contact", site=site),
            street.sensor(f"l{copy}", base, kind="flood_contact", site=site),
        ])  # fmt: skip
    readings = []
    for sensor, level in enumerate((0.1, 0.0, 0.0, 0.0, 0.0, 0.2)):
        for minute in range(0, 180, 2):
            value = chance.choice((level,) * 30 + (0.0, 0.04, 0.3, float("nan")))
            readings.append((sensor, minute + chance.randrange(60) / 60, value))
    for sensor, minute, value in sorted(readings, key=lambda one: one[1]):
        street.write(towns[0][sensor], [(minute, value)])
    street.review()
    chance.shuffle(readings)
    for begin in range(0, len(readings), 90):
        for sensor, minute, value in readings[begin : begin + 90]:
            street.write(towns[1][sensor], [(minute, value)])
        street.review()
    doubts = 0
    for one, other in zip(*towns, strict=True):
        here, there = (
            {m: v for m, v in street.verdicts(s).items() if v[0] == 3} for s in (one, other)
        )
        assert here == there
        doubts += len(here)
    assert doubts > 30


def test_nothing_is_said_without_elevations_or_beyond_the_distance(street):
    for base, grounds in ((0, (None, None, None)), (9000, (5.0, None, 4.0))):
        wet = street.sensor(f"wet-{base}", base, grounds[0])
        for k in (1, 2):
            low = street.sensor(f"low-{base}-{k}", base + 100 * k, grounds[k])
            street.write(low, along(0.0, range(60)))
        street.write(wet, along(0.12, range(60)))
    far = [street.sensor(f"far-{k}", 20_000 + 310.0 * k, 5.0 - k) for k in range(3)]
    for k, one in enumerate(far):
        street.write(one, along(0.0 if k else 0.12, range(60)))
    assert street.review() == 0


def test_a_rule_is_overridden_at_a_device_and_holds_by_phenomenon_time(street, hollow):
    wet, low = hollow
    [[device]] = street.rows("select device_id from datastream where datastream_id = %s", wet)
    street.rule("street-neighbours", Neighbours(), device=device, enabled=False, since=at(40))
    for one in low:
        street.write(one, along(0.0, range(60)))
    street.write(wet, along(0.12, range(60)))
    street.review()
    assert street.doubted(wet, Test.CONSISTENCY) == list(range(15, 40))


def test_a_sensor_in_maintenance_or_beyond_its_span_is_no_witness(street, hollow):
    wet, low = hollow
    street.write(low[0], along(0.0, range(60)))
    street.write(low[1], along(-9.99, range(60)))  # what many senders say when nothing answers
    street.write(wet, along(0.12, range(60)))
    assert street.review() == 0
    other = street.sensor("low-3", 150.0, 4.0)
    street.execute("update device set state = 'maintenance' where code = 'low-3'")
    street.write(other, along(0.0, range(60)))
    assert street.review() == 0


def test_a_ladder_of_a_site_that_contradicts_itself_is_doubted_on_both_sides(street):
    site = street.site()
    low = street.sensor("at-10", kind="flood_contact", site=site, interval_s=600)
    high = street.sensor("at-20", kind="flood_contact", site=site, interval_s=600)
    alone = street.sensor("elsewhere", kind="flood_contact", site=street.site("other"))
    street.write(low, along(0.0, range(0, 60, 10)))
    street.write(high, [(0, 0.0), (5, 0.2), (12, 0.2), (22, 0.2), (32, 0.2)])
    street.write(alone, along(0.2, range(60)))
    street.review()
    assert street.doubted(low, Test.LADDER) == [20, 30, 40, 50]
    assert street.doubted(high, Test.LADDER) == [22, 32]
    assert street.verdicts(alone) == {}


def test_a_sensor_that_stands_still_while_neighbours_move_is_doubted(street):
    still = street.sensor("still", 0.0)
    for k in (1, 2):
        one = street.sensor(f"moving-{k}", 100.0 * k)
        street.write(one, [(m, 0.01 + 0.0002 * m * k) for m in range(0, 480, 5)])
    street.write(still, along(0.031, range(0, 480, 5)))
    street.review()
    assert street.doubted(still, Test.STUCK) == list(range(360, 480, 5))


def test_a_dry_town_is_looked_at_without_reading_a_reading(street, hollow, monkeypatch):
    wet, low = hollow
    for one in (wet, *low):
        street.write(one, along(0.004, range(60)))

    asked = []

    def readings(conn, since, until):
        asked.append(since)
        return read(conn, since, until)

    read = streets.readings
    monkeypatch.setattr(streets, "readings", readings)
    assert street.review() == 0
    assert asked == []
    street.write(wet, [(61, 0.2)])
    street.review()
    assert asked


def test_weeks_of_late_readings_are_gone_over_a_week_at_a_time(street, hollow):
    wet, low = hollow
    street.write(wet, along(0.0, [-1440 * 30]))  # a month of nothing worth a look
    days = [0, 1440 * 6, 1440 * 7 - 30, 1440 * 20]
    for day in days:
        for one in low:
            street.write(one, along(0.0, range(day, day + 40)))
        street.write(wet, along(0.12, range(day, day + 40)))
    assert street.review() == len(days) * 25
    street.execute("delete from review_due")
    street.write(low[0], [(16.5, 0.3)])
    street.review()
    expected = [m for day in days for m in range(day + 15, day + 40)]
    # Wet in between: dry for a quarter of an hour only from minute 32 on.
    assert street.doubted(wet, Test.CONSISTENCY) == [15, 16, *expected[17:]]


def test_a_doubt_reaches_the_live_feed_with_its_alert(street, hollow, database_dsn):
    wet, low = hollow
    [[revision]] = street.rows(
        "insert into revision (tenant_id, reason) values (%s, 'live') returning revision_id",
        street.town.tenant_id,
    )
    [[alert]] = street.rows(
        "insert into alert (tenant_id, datastream_id, rule_code, rule_version, onset_time, level,"
        " peak_level, revision_id) values (%s, %s, 'street-depth', 1, %s, 2, 2, %s)"
        " returning alert_id", street.town.tenant_id, wet, at(10), revision,
    )  # fmt: skip
    for one in low:
        street.write(one, along(0.0, range(40)))
    street.write(wet, along(0.0, range(10)) + along(0.12, range(10, 40)))
    before = street.rows("select * from alert")
    with psycopg.connect(database_dsn.owner, autocommit=True) as listener:
        listener.execute("listen mizumori_live")
        street.review()
        listener.execute("notify mizumori_live, '{}'")  # comes after them
        with closing(listener.notifies(timeout=60)) as notices:  # it holds the connection
            told = list(itertools.takewhile(bool, (json.loads(one.payload) for one in notices)))
    assert [one["alerts"] for one in told if "alerts" in one] == [[alert]]
    assert street.rows("select * from alert") == before
