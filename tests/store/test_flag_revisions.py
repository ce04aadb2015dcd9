"""Flags given after the fact: appended, only where they say something new; the worst stands."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from detectors.flags import Test, aggregate
from store import flag_revisions, retention
from store.flag_revisions import Verdicts
from store.retention import Retention
from store.times import milliseconds
from tests.store.write import write_readings

HOUR = datetime(2026, 3, 1, 7, tzinfo=UTC)
TIMES = [HOUR, HOUR + timedelta(minutes=10), HOUR + timedelta(minutes=70)]


@pytest.fixture
def stream(roles, town, streams):
    stream = streams["f1", "depth_m"]
    write_readings(roles.gateway, stream, town, [(time, 1.0) for time in TIMES])
    with roles.owner.transaction() as conn:
        conn.execute("delete from rollup_dirty")
    return stream


def say(roles, stream, source, flags, evaluated=Test.FLAT_LINE):
    """Append one source's flags of the stream's first readings."""
    with roles.jobs.transaction() as conn:
        return flag_revisions.append(
            conn,
            source,
            Verdicts(
                np.full(len(flags), stream, np.int32),
                np.array([milliseconds(time) for time in TIMES[: len(flags)]], np.int64),
                np.array(flags, np.uint8),
                np.full(len(flags), evaluated, np.int16),
            ),
        )


def reviewed(roles):
    with roles.jobs.transaction() as conn:
        return conn.execute(
            "select given, found from reviewed_flag order by phenomenon_time"
        ).fetchall()


def test_nothing_wrong_and_nothing_new_is_no_row(roles, stream):
    assert say(roles, stream, "quality", [1, 2, 3]) == 1
    assert say(roles, stream, "quality", [1, 2, 3]) == 0
    assert say(roles, stream, "quality", [1, 3, 1]) == 2
    assert say(roles, stream, "quality", [1, 3, 1], Test.FLAT_LINE | Test.ATTENUATED) == 2
    assert reviewed(roles) == [(None, 3), (None, 1)]
    with roles.owner.transaction() as conn:
        said = conn.execute("select flag from flag_revision order by flag_revision_id").fetchall()
    assert said == [(3,), (3,), (1,), (3,), (1,)]  # all that was ever said


def test_each_source_has_its_word_and_the_worst_stands_whoever_came_first(roles, stream):
    say(roles, stream, "quality", [4, 3, 3])
    say(roles, stream, "flood", [3, 3, 3])
    with roles.gateway.transaction() as conn:
        conn.execute(
            "insert into flag_revision (datastream_id, phenomenon_time, flag, evaluated)"
            " values (%(s)s, %(t)s, 3, 4), (%(s)s, %(t)s, 1, 4)",
            {"s": stream, "t": TIMES[1]},
        )
    say(roles, stream, "quality", [4, 1, 1])
    assert reviewed(roles) == [(None, 4), (1, 3), (None, 3)]
    with roles.jobs.transaction() as conn:
        mine = flag_revisions.standing(conn, "quality", [stream], TIMES[1])
        none = flag_revisions.standing(conn, "pond", [stream], HOUR)
    assert mine.flag.tolist() == [1, 1]
    assert mine.time_ms.tolist() == [milliseconds(time) for time in TIMES[1:]]
    assert len(none) == 0


def test_flags_are_joined_as_the_detectors_join_them(roles):

    flags = [1, 2, 3, 4, 9]
    with roles.jobs.transaction() as conn:
        for one in flags:
            for other in flags:
                [[worse]] = conn.execute(
                    "select worse_flag(%s::smallint, %s::smallint)", (one, other)
                ).fetchall()
                pair = [np.array([flag], np.uint8) for flag in (one, other)]
                assert [worse] == aggregate(*pair).tolist()
            [[alone]] = conn.execute("select worse_flag(null, %s::smallint)", (one,)).fetchall()
            assert alone == one


def test_an_hour_whose_flags_were_revised_is_counted_anew(roles, stream):
    say(roles, stream, "quality", [1, 1, 1])
    with roles.jobs.transaction() as conn:
        assert conn.execute("select * from rollup_dirty").fetchall() == []
    say(roles, stream, "quality", [3, 3, 1])
    with roles.jobs.transaction() as conn:
        assert conn.execute("select bucket from rollup_dirty").fetchall() == [(HOUR,)]


def test_revisions_go_with_their_readings_and_in_no_other_way(roles, stream):
    say(roles, stream, "quality", [3, 3, 3])
    for statement in ("delete from flag_revision", "update flag_revision set flag = 1"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            roles.jobs.transaction() as conn,
        ):
            conn.execute(statement)
    with roles.owner.transaction() as conn:
        conn.execute("delete from observation where phenomenon_time <> %s", (TIMES[1],))
    with roles.jobs.transaction() as conn:
        statement = "select drop_flag_revisions_before(%s)"
        assert conn.execute(statement, (TIMES[2],)).fetchall() == [(1,)]
        left = conn.execute("select phenomenon_time from flag_revision order by 1").fetchall()
    assert left == [(TIMES[1],), (TIMES[2],)]


def test_the_live_feed_hears_where_the_newest_reading_was_revised(roles, stream):
    with psycopg.connect(roles.jobs.dsn, autocommit=True) as listener:
        listener.execute("listen mizumori_live")
        say(roles, stream, "quality", [3, 3])  # not the newest
        say(roles, stream, "quality", [3, 3, 3])
        [heard] = listener.notifies(timeout=30, stop_after=1)
        assert json.loads(heard.payload)["datastreams"] == [stream]
        say(roles, stream, "quality", [3, 3, 3])  # nothing new
        assert list(listener.notifies(timeout=0.3)) == []


def test_retention_takes_the_revisions_of_what_it_drops(roles, stream):
    say(roles, stream, "quality", [3, 3, 3])
    with roles.jobs.transaction() as conn:
        keeps = Retention(None, 30, 7, 7, 90)
        assert "flag_revisions" not in retention.apply(conn, keeps)
        gone = retention.apply(conn, replace(keeps, readings_days=1))
        assert gone["flag_revisions"] == 3
        assert conn.execute("select count(*) from flag_revision").fetchall() == [(0,)]
