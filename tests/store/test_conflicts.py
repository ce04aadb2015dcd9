"""Which of two values stands, whatever the order of arrival."""

import itertools
import math
from datetime import UTC, datetime, timedelta

import pytest

from store import conflicts
from store.marks import Mark
from tests.store.write import write_readings

TIME = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)


def arrive(roles, town, stream, value, seq, *, time=TIME):
    """Store the first value; put a later one with another value beside it, as an intake does."""
    with roles.gateway.transaction() as conn:
        held = conn.execute(
            "select value, seq from observation where datastream_id = %s and phenomenon_time = %s",
            (stream, time),
        ).fetchone()
        if held is not None:
            if held != (value, seq):
                conn.execute(
                    "insert into conflict (tenant_id, datastream_id, phenomenon_time,"
                    " received_time, value, seq, payload_hash) values (%s, %s, %s, now(), %s, %s,"
                    " %s) on conflict do nothing",
                    (town.tenant_id, stream, time, value, seq,
                     conflicts.payload_hash(value, seq)),
                )  # fmt: skip
            return
    write_readings(roles.gateway, stream, town, [(time, value)], seq=seq)


def settle(roles):
    with roles.jobs.transaction() as conn:
        return conflicts.settle(conn)


def standing(roles, stream, time=TIME):
    with roles.owner.transaction() as conn:
        return conn.execute(
            "select value, seq, flag, marks from observation"
            " where datastream_id = %s and phenomenon_time = %s",
            (stream, time),
        ).fetchone()


@pytest.mark.parametrize("settle_between", [False, True])
def test_outcome_does_not_depend_on_the_order_of_arrival(roles, town, streams, settle_between):
    stream = streams["f1", "depth_m"]
    values = [(0.3, 7), (0.1, 9), (0.2, None)]
    for number, order in enumerate(itertools.permutations(values)):
        time = TIME + timedelta(minutes=number)
        for value, seq in order:
            arrive(roles, town, stream, value, seq, time=time)
            if settle_between:
                settle(roles)
    while settle(roles):
        pass
    for number in range(6):
        time = TIME + timedelta(minutes=number)
        assert standing(roles, stream, time) == (0.1, 9, 3, Mark.CONFLICT)
    with roles.owner.transaction() as conn:
        kept = conn.execute(
            "select value from conflict where phenomenon_time = %s order by value", (TIME,)
        ).fetchall()
    assert {(0.2,), (0.3,)} <= set(kept)  # no value is lost


def test_equal_sequence_numbers_are_decided_by_the_hash(roles, town, streams):
    stream = streams["f1", "depth_m"]
    winner = min((0.4, 0.6), key=lambda value: conflicts.payload_hash(value, 5))
    for order in ((0.4, 0.6), (0.6, 0.4)):
        time = TIME + timedelta(hours=order[0])
        for value in order:
            arrive(roles, town, stream, value, 5, time=time)
        settle(roles)
        assert standing(roles, stream, time)[0] == winner


def test_settling_renews_latest_and_marks_the_hour(roles, town, streams):
    stream = streams["f1", "depth_m"]
    arrive(roles, town, stream, 0.3, 1)
    with roles.jobs.transaction() as conn:
        conn.execute("delete from rollup_dirty")
    arrive(roles, town, stream, 0.8, 2)
    assert [s.changed for s in settle(roles)] == [True]
    with roles.owner.transaction() as conn:
        assert conn.execute("select value, flag from latest").fetchall() == [(0.8, 3)]
        assert conn.execute("select count(*) from rollup_dirty").fetchone() == (1,)
    assert settle(roles) == []


def test_missing_value_that_wins_is_flagged_missing(roles, town, streams):
    stream = streams["f1", "depth_m"]
    arrive(roles, town, stream, 0.3, 1)
    arrive(roles, town, stream, math.nan, 2)
    settle(roles)
    assert standing(roles, stream)[2] == 9


def test_hash_is_the_same_for_any_nan_and_differs_by_sequence_number():
    assert conflicts.payload_hash(math.nan, 1) == conflicts.payload_hash(-math.nan, 1)
    assert conflicts.payload_hash(0.1, 1) != conflicts.payload_hash(0.1, 2)
    assert conflicts.payload_hash(0.1, None) != conflicts.payload_hash(0.1, 0)


def test_works_in_compressed_chunks(roles, town, streams, database_dsn):
    if database_dsn.engine != "timescale":
        pytest.skip("plain PostgreSQL compresses nothing")
    stream = streams["f1", "depth_m"]
    readings = [(TIME + timedelta(seconds=n), 0.1) for n in range(5000)]
    write_readings(roles.gateway, stream, town, readings, seq=1)
    with roles.owner.transaction() as conn:
        conn.execute("select compress_chunk(c) from show_chunks('observation') c")
    arrive(roles, town, stream, 0.9, 2)
    again = TIME + timedelta(seconds=10)
    before = standing(roles, stream, again)
    arrive(roles, town, stream, 0.1, 7, time=again)  # the same under a higher number
    assert [(one.changed, one.contradicted) for one in settle(roles)] == [
        (True, True),
        (False, False),
    ]
    assert standing(roles, stream)[:3] == (0.9, 2, 3)
    assert standing(roles, stream, again) == (0.1, 7, *before[2:])
