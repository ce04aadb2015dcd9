"""Rollups that are right after late readings, and while others write."""

import math
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from store import readings, reviews, rollups
from store.readings import Bucket, Span
from tests.store.write import write_readings

HOUR = datetime(2026, 3, 1, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def stored(database, stream):
    with database.transaction() as conn:
        return conn.execute(
            "select bucket, n, n_suspect, value_min, value_max, value_mean, value_last"
            " from rollup_hour where datastream_id = %s order by bucket",
            (stream,),
        ).fetchall()


def roll_up(roles):
    with roles.jobs.transaction() as conn:
        return rollups.roll_up(conn)


@pytest.fixture
def stream(streams):
    return streams["f1", "depth_m"]


def test_hours_are_rolled_up_and_renewed_by_late_readings(roles, town, stream):
    write_readings(roles.gateway, stream, town, [(HOUR + 5 * MINUTE, 1.0), (HOUR + MINUTE, 3.0)])
    write_readings(roles.gateway, stream, town, [(HOUR + 60 * MINUTE, 9.0)])
    assert roll_up(roles) == 2
    assert stored(roles.owner, stream) == [
        (HOUR, 2, 0, 1.0, 3.0, 2.0, 1.0),
        (HOUR + 60 * MINUTE, 1, 0, 9.0, 9.0, 9.0, 9.0),
    ]
    assert roll_up(roles) == 0
    write_readings(roles.gateway, stream, town, [(HOUR + 59 * MINUTE, 5.0)])
    assert roll_up(roles) == 1
    assert stored(roles.owner, stream)[0] == (HOUR, 3, 0, 1.0, 5.0, 3.0, 5.0)


def test_missing_has_no_value_and_failed_counts_only_as_suspect(roles, town, stream):
    write_readings(roles.gateway, stream, town, [(HOUR, math.nan)], flag=9)
    write_readings(roles.gateway, stream, town, [(HOUR + MINUTE, math.inf)], flag=4)
    write_readings(roles.gateway, stream, town, [(HOUR + 2 * MINUTE, 2.0)], flag=3)
    roll_up(roles)
    assert stored(roles.owner, stream) == [(HOUR, 1, 2, 2.0, 2.0, 2.0, 2.0)]


def test_hour_without_any_value_is_not_zero(roles, town, stream):
    write_readings(roles.gateway, stream, town, [(HOUR, math.nan)], flag=9)
    roll_up(roles)
    assert stored(roles.owner, stream) == [(HOUR, 0, 0, None, None, None, None)]


def test_reading_written_while_its_hour_is_rolled_up_is_not_missed(roles, town, stream):
    """The intake's transaction is open when the rollup starts, and commits after it."""
    write_readings(roles.gateway, stream, town, [(HOUR, 1.0)])
    with roles.gateway.transaction() as conn:
        conn.execute(
            "insert into observation (phenomenon_time, received_time, value, datastream_id, flag)"
            " values (%s, now(), 7, %s, 1)",
            (HOUR + MINUTE, stream),
        )
        conn.execute(
            "insert into rollup_dirty (datastream_id, bucket) values (%s, %s)"
            " on conflict (datastream_id, bucket) do update"
            " set marked_at = rollup_dirty.marked_at where false",
            (stream, HOUR),
        )
        during = threading.Thread(target=roll_up, args=(roles,))
        during.start()
        during.join(2)
    during.join(60)
    roll_up(roles)
    assert stored(roles.owner, stream)[0][1] == 2


def test_reader_gets_the_same_before_and_after_the_hour_is_rolled_up(roles, town, stream):
    for minute, (value, flag) in enumerate(
        [(1.0, 1), (2.0, 3), (999.0, 4), (math.nan, 9), (math.inf, 4), (4.0, 2)]
    ):
        moment = HOUR + minute * MINUTE
        write_readings(roles.gateway, stream, town, [(moment, value)], flag=flag)
    span = Span(stream, HOUR, HOUR + 60 * MINUTE)

    def seen():
        with roles.api.transaction(town.tenant_id) as conn:
            return [
                readings.summaries(conn, span, bucket, ZoneInfo("Asia/Tokyo"), 10)
                for bucket in (Bucket.HOUR, Bucket.DAY)
            ]

    before = seen()
    assert roll_up(roles) == 1
    assert seen() == before
    assert (before[0][0].n, before[0][0].max, before[0][0].last) == (3, 4.0, 4.0)


def test_a_changed_hour_is_marked_for_what_looks_at_such_a_device(roles, town, stream):
    write_readings(roles.gateway, stream, town, [(HOUR + 65 * MINUTE, 1.0), (HOUR + MINUTE, 3.0)])
    roll_up(roles)
    with roles.jobs.transaction() as conn:
        assert reviews.claim(conn, "flood")
        [due] = reviews.due(conn, "flood", 100)
        assert (due.datastream_id, due.from_time) == (stream, HOUR)
        assert reviews.waiting(conn, "quality") == 1
        assert reviews.waiting(conn, "pond") == 0
        with roles.jobs.transaction() as other:
            assert not reviews.claim(other, "flood")
    write_readings(roles.gateway, stream, town, [(HOUR - 5 * MINUTE, 1.0)])
    roll_up(roles)
    with roles.jobs.transaction() as conn:
        reviews.done(conn, "flood", [due])  # it has changed since
        [due] = reviews.due(conn, "flood", 100)
        assert due.from_time == HOUR - 60 * MINUTE
        reviews.done(conn, "flood", [due])
        assert reviews.waiting(conn, "flood") == 0


def test_a_derived_datastream_is_looked_at_by_nothing(roles, town, stream):
    with roles.owner.transaction() as conn:
        conn.execute("update datastream set derived = true where datastream_id = %s", (stream,))
    write_readings(roles.gateway, stream, town, [(HOUR, 1.0)])
    assert roll_up(roles) == 1
    with roles.jobs.transaction() as conn:
        assert not any(reviews.waiting(conn, work) for work in ("quality", "flood", "pond"))
