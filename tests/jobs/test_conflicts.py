"""Two values of one datastream and time: which one stands, whatever the order of arrival."""

import itertools
import math
import os
from operator import itemgetter

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from jobs.tasks import settle_conflicts
from store.conflicts import payload_hash, rank
from store.marks import Mark
from tests.jobs.door import Place, at

A, B, C = 0.1, 0.2, math.nan
ROWS = (
    "select (extract(epoch from phenomenon_time) * 1000)::bigint, value, coalesce(seq, -1), marks"
    " from observation where datastream_id = %s order by 1"
)
KEPT = (
    "select (extract(epoch from phenomenon_time) * 1000)::bigint, value, coalesce(seq, -1),"
    " settled_at is null from conflict where datastream_id = %s order by 1, 2, 3"
)
DEEP = ("deep", "threshold", {"levels": [{"on": 5.0, "off": 4.0}]}, 0)
RIVALS = [
    [(0, A, 5), (0, B, 7), (0, A, 9)],
    [(0, A, 5), (0, A, 9), (0, B, 10)],
    [(0, A, -1), (0, B, 7), (0, A, 7)],
    [(0, C, 5), (0, B, 7), (0, C, 9)],
]
BETWEEN = ["", "forgotten", "settled", "restarted"]


@pytest.fixture(scope="module")
def shared(module_dsn):
    """One town for all cases: each brings its own sensors."""
    place = Place(module_dsn)
    yield place
    place.close()


def sensors(place, number=1):
    streams = [place.sensor([DEEP])[1] for _ in range(number)]  # the detectors' state is kept
    place.door.load()
    return streams


def take(place, stream, *readings):
    """Commit (minute, value, number), -1 for none, in one batch."""
    take_all(place, [(stream, one) for one in readings])


def take_all(place, readings):
    rows = [(stream, at(minute), value) for stream, (minute, value, _) in readings]
    place.door.take(rows, seq=[seq for _, (_, _, seq) in readings])


def after(place, what):
    if what == "settled":
        settle_conflicts(place.jobs)
    elif what == "forgotten":
        place.door.committer.forget()
    elif what == "restarted":
        place.door.restart()


def plain(rows):
    """Make one NaN equal to another."""
    return [tuple("missing" if one != one else one for one in row) for row in rows]  # noqa: PLR0124 - NaN alone differs from itself


def expected(readings):
    """What stands in the end, and what stays beside it, in plain Python."""
    stands, beside = [], []
    for minute, rivals in itertools.groupby(sorted(readings, key=itemgetter(0)), itemgetter(0)):
        best = {}
        for _, value, seq in rivals:
            number = None if seq < 0 else seq
            claim = (rank(number), payload_hash(value, number), value, seq)
            said = payload_hash(value, None)
            best[said] = min(best.get(said, claim), claim)
        winner, *losers = sorted(best.values())
        mark = int(Mark.CONFLICT) if losers else 0
        stands.append((at(minute), *winner[2:], mark))
        beside += [(at(minute), *loser[2:], False) for loser in losers]
    beside.sort(key=lambda row: (row[0], math.isnan(row[1]), row[1]))
    return plain(stands), plain(beside)


def found(place, stream):
    return plain(place.rows(ROWS, stream)), plain(place.rows(KEPT, stream))


READING = st.tuples(
    st.integers(0, 2), st.sampled_from([A, B, C, 0.0, -0.0]), st.sampled_from([-1, 1, 2, 3])
)


@settings(
    max_examples=int(os.environ.get("CONFLICT_CASES", "20")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_any_order_of_arrival_gives_equal_rows(shared, data):
    readings = data.draw(st.lists(READING, min_size=1, max_size=12))
    arrived = data.draw(st.permutations(readings + readings[:3]))
    [stream] = sensors(shared)
    while arrived:
        size = data.draw(st.integers(1, 6), label="batch")
        take(shared, stream, *arrived[:size])
        arrived = arrived[size:]
        after(shared, data.draw(st.sampled_from(BETWEEN), label="then"))
    settle_conflicts(shared.jobs)
    assert found(shared, stream) == expected(readings)


@pytest.mark.parametrize("between", ["at once", *BETWEEN])
def test_a_repetition_under_a_higher_number_counts_whenever_it_comes(shared, between):
    orders = [order for rivals in RIVALS for order in itertools.permutations(rivals)]
    of = dict(zip(sensors(shared, len(orders)), orders, strict=True))
    # A newer reading: all others come behind what the detectors decided on last.
    newer = (2, A, 11)
    take_all(shared, [(stream, one) for stream in of for one in ((-1, A, 1), newer)])
    for turn in [range(3)] if between == "at once" else [[0], [1], [2]]:
        take_all(shared, [(stream, order[i]) for stream, order in of.items() for i in turn])
        after(shared, between)
    settle_conflicts(shared.jobs)
    for stream, order in of.items():
        assert found(shared, stream) == expected([(-1, A, 1), *order, newer]), order
    assert settle_conflicts(shared.jobs) == 0


def test_the_same_under_a_higher_number_is_no_conflict_but_the_number_counts(shared):
    [stream] = sensors(shared)
    counted = [
        lambda: REGISTRY.get_sample_value("mizumori_gateway_duplicates_total"),
        lambda: REGISTRY.get_sample_value("mizumori_gateway_conflicts_total"),
        lambda: REGISTRY.get_sample_value("mizumori_conflicts_settled_total", {"changed": "false"}),
    ]
    before = [one() for one in counted]
    take(shared, stream, (0, A, 4))
    take(shared, stream, (0, A, 6))
    assert settle_conflicts(shared.jobs) == 1
    assert found(shared, stream) == ([(at(0), A, 6, 0)], [])
    assert [one() for one in counted] == [before[0] + 1, *before[1:]]


class Asked:
    """Counts what a committer asks of the database."""

    def __init__(self, monkeypatch):
        self.statements = 0
        for name in ("execute", "executemany"):
            self._count(monkeypatch, name, getattr(psycopg.Cursor, name))

    def _count(self, monkeypatch, name, method):
        def counting(*args, **kwargs):
            self.statements += 1
            return method(*args, **kwargs)

        monkeypatch.setattr(psycopg.Cursor, name, counting)

    def by(self, work):
        before = self.statements
        work()
        return self.statements - before


def test_what_the_broker_sends_again_asks_nothing_more(shared, monkeypatch):
    [stream] = sensors(shared)
    take(shared, stream, (0, A, 5), (1, A, 6))
    take(shared, stream, (0, A, 9))
    asked = Asked(monkeypatch)
    nothing = asked.by(lambda: shared.door.take_fixes([]))
    # In memory, whether stored or a repetition.
    for one in [(0, A, 5), (0, A, 9), (1, A, 6)]:
        assert asked.by(lambda one=one: take(shared, stream, one)) == nothing
    # Forgotten: what the detectors know is asked for only where there is a number.
    shared.door.committer.forget()
    assert asked.by(lambda: take(shared, stream, (1, A, -1))) == nothing
    assert asked.by(lambda: take(shared, stream, (1, A, 6))) == nothing + 1


def test_a_number_counts_where_the_detectors_know_a_value_that_lost(shared):
    [stream] = sensors(shared)
    take(shared, stream, (0, A, 5))
    take(shared, stream, (0, B, 7))
    settle_conflicts(shared.jobs)  # the detectors go by 0.1 until alerts are settled
    shared.door.committer.forget()
    take(shared, stream, (0, A, 9))
    settle_conflicts(shared.jobs)
    assert found(shared, stream) == ([(at(0), A, 9, Mark.CONFLICT)], [(at(0), B, 7, False)])
