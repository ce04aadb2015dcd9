"""A piece that fails leaves the others alone, is told, and is not tried again at once."""

from datetime import UTC, datetime

import psycopg
import pytest

from jobs import metrics, set_aside
from jobs.review import Review
from store import reviews

HOUR = datetime(2026, 3, 1, tzinfo=UTC)


class Picky(Review):
    """Cannot look at some datastreams."""

    work = "quality"
    at_once = 3

    def __init__(self, database, broken, error):
        super().__init__(database)
        self.broken, self.error = set(broken), error
        self.pieces = []

    def look(self, conn, piece):
        ids = [one.datastream_id for one in piece]
        self.pieces.append(ids)
        for one in piece:  # what a piece that fails has written is not there afterwards
            reviews.mark(conn, "plateau", one.datastream_id, HOUR)
        if self.broken & set(ids):
            raise self.error


class Halving(Picky):
    divisible = True


@pytest.fixture
def marked(owner, quiet_town):
    """Five datastreams that wait, those marked first in front."""
    with owner.transaction() as conn:
        rows = conn.execute(
            "select datastream_id from datastream where tenant_id = %s order by 1 limit 5",
            (quiet_town.tenant_id,),
        ).fetchall()
        for (one,) in rows:
            reviews.mark(conn, "quality", one, HOUR)
    return [one for (one,) in rows]


def left(owner, work):
    with owner.transaction() as conn:
        return [one.datastream_id for one in reviews.due(conn, work, 100)]


def aside():
    return metrics.set_aside.labels("quality")._value.get()


def test_one_that_fails_is_found_in_its_piece_and_set_aside_alone(
    owner, jobs_database, marked, monkeypatch
):
    review = Halving(jobs_database, marked[1:2], ZeroDivisionError("a bug"))
    failures = metrics.task_failures.labels("quality")._value
    before = failures.get()
    assert review.drain() == 4
    assert left(owner, "quality") == [marked[1]]
    assert sorted(left(owner, "plateau")) == [one for one in marked if one != marked[1]]
    assert (failures.get() - before, aside()) == (1, 1)
    review.pieces.clear()
    assert review.drain() == 0
    assert review.pieces == []  # not again at once
    review.broken.clear()
    monkeypatch.setattr(set_aside, "RETRY_AFTER_S", 0.0)
    review._aside.add(marked[1:2], ZeroDivisionError("a bug"))
    assert review.drain() == 1
    assert (left(owner, "quality"), aside()) == ([], 0)


def test_a_piece_that_is_one_is_set_aside_whole(owner, jobs_database, marked):
    review = Picky(jobs_database, marked[1:2], psycopg.DataError("spoilt"))
    assert review.drain() == 2
    assert review.pieces == [marked[:3], marked[3:]]
    assert left(owner, "quality") == marked[:3]
    assert aside() == 3


def test_what_passes_is_nobodys_fault(owner, jobs_database, marked):
    review = Halving(jobs_database, marked[:1], psycopg.errors.DeadlockDetected("again"))
    with pytest.raises(psycopg.errors.DeadlockDetected):
        review.drain()
    review.broken.clear()
    assert review.drain() == 5
    assert left(owner, "quality") == []
