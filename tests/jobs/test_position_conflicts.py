"""Two fixes of one device and time: which one stands, whatever the order of arrival."""

import itertools
import os
import threading
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from detectors.flags import Flag, Test
from detectors.track import distance_m
from jobs.tasks import settle_position_conflicts
from store import position_conflicts
from store.conflicts import rank
from store.marks import Mark
from store.position_conflicts import payload_hashes
from store.positions import Position, Positions
from tests.fixtures.broker import PATIENCE_S, wait_until
from tests.jobs.door import START_MS, Place

ROWS = (
    "select (extract(epoch from phenomenon_time) * 1000)::bigint, lat, lon, seq, speed_kmh, blade,"
    " marks, flag, evaluated from position where device_id = %s order by 1"
)
LATEST = (
    "select (extract(epoch from phenomenon_time) * 1000)::bigint, lat, flag from latest_position"
    " where device_id = %s"
)
KEPT = "select lat, seq from position_conflict where device_id = %s order by lat, seq"


@pytest.fixture(scope="module")
def shared(module_dsn):
    """One town for all cases: each brings its own plows."""
    place = Place(module_dsn)
    place.door.load()
    yield place
    place.close()


def plow(place):
    return place.value(
        "insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s)"
        " select %s, 'plow-' || count(*), 'plow', '', '', 5 from device returning device_id",
        place.tenant_id,
    )


def fix(seconds, lat, seq=-1, speed_kmh=None, *, blade=None):
    at_ms = START_MS + seconds * 1000
    return Position(0, 0, at_ms, at_ms, lat, 140.0, speed_kmh, None, None, blade, seq, 0)


def own(place, device, one):
    return replace(one, device_id=device, tenant_id=place.tenant_id)


def take(place, device, *fixes):
    place.door.take_fixes([own(place, device, one) for one in fixes])


def settle(place):
    return settle_position_conflicts(place.jobs)


def counted(what):
    return REGISTRY.get_sample_value(f"mizumori_gateway_{what}_total")


ARRIVALS = ["at once", "one by one", "settled between", "forgotten between"]


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_the_highest_number_wins_whatever_the_order_of_arrival(shared, arrival):
    rivals = [fix(0, 38.1, 7), fix(0, 38.2, 9), fix(0, 38.3), fix(0, 38.2, 8)]
    orders = {plow(shared): order for order in itertools.permutations(rivals)}
    every = range(len(rivals))
    for turn in [every] if arrival == "at once" else [[step] for step in every]:
        shared.door.take_fixes(
            [own(shared, device, order[i]) for device, order in orders.items() for i in turn]
        )
        if arrival == "forgotten between":
            shared.door.committer.forget()
        if arrival == "settled between":
            settle(shared)
    settle(shared)
    for device in orders:
        [(at, lat, _, seq, _, _, marks, flag, evaluated)] = shared.rows(ROWS, device)
        assert (at, lat, seq, marks, flag) == (START_MS, 38.2, 9, Mark.CONFLICT, 3)
        assert evaluated == Test.LOCATION | Test.CONFLICT
        assert {38.1, 38.3} <= {lat for lat, _ in shared.rows(KEPT, device)}  # no fix is lost
    assert settle(shared) == 0


def test_without_numbers_the_lowest_hash_wins(shared):
    rivals = [fix(0, 38.1, speed_kmh=20.0), fix(0, 38.1, speed_kmh=30.0)]
    first, second = payload_hashes(Positions.of(rivals))
    for order in (rivals, rivals[::-1]):
        device = plow(shared)
        take(shared, device, *order)
        assert shared.rows(ROWS, device)[0][4] == order[0].speed_kmh  # until it is settled
        settle(shared)
        assert shared.rows(ROWS, device)[0][4] == rivals[second < first].speed_kmh


@pytest.mark.parametrize("known", ["batch", "memory", "store"])
def test_the_same_fix_again_is_a_duplicate_and_another_one_a_conflict_once(shared, known):
    device, before = plow(shared), [counted(one) for one in ("duplicates", "conflicts")]
    same, other = fix(0, 38.1, 1, 20.1), fix(0, 38.2, 2)
    if known == "batch":
        take(shared, device, same, same, other, same, other)
    else:
        for one in (same, same, other, same, other):
            take(shared, device, one)
            if known == "store":
                shared.door.committer.forget()
    assert [counted(one) for one in ("duplicates", "conflicts")] == [before[0] + 3, before[1] + 1]
    settle(shared)
    take(shared, device, same, other)
    assert settle(shared) == 0
    assert counted("conflicts") == before[1] + 1


def test_the_same_fix_under_a_higher_number_is_no_conflict_but_the_number_counts(shared):
    device, settled = plow(shared), REGISTRY.get_sample_value
    before = settled("mizumori_conflicts_settled_total", {"changed": "false"})
    take(shared, device, fix(0, 38.1, 4))
    take(shared, device, fix(0, 38.1, 6))
    assert settle(shared) == 1
    [row] = shared.rows(ROWS, device)
    assert (row[3], row[6], row[7]) == (6, 0, 1)
    assert shared.rows(KEPT, device) == []
    assert settled("mizumori_conflicts_settled_total", {"changed": "false"}) == before
    take(shared, device, fix(0, 38.2, 7))
    take(shared, device, fix(0, 38.1, 8))
    with shared.jobs.transaction() as conn:
        assert [one.changed for one in position_conflicts.settle(conn)] == [False]
    assert shared.rows(ROWS, device)[0][1:4:2] == (38.1, 8)
    assert shared.rows(KEPT, device) == [(38.1, 8), (38.2, 7)]


def test_what_waits_beside_a_fix_that_is_not_kept_any_more_is_kept_and_settled(shared):
    device = plow(shared)
    take(shared, device, fix(0, 38.1), fix(0, 38.2))
    shared.value("with gone as (delete from position where device_id = %s returning 1)"
                 " select count(*) from gone", device)  # fmt: skip
    assert settle(shared) == 1
    assert shared.rows(ROWS, device) == []
    assert shared.rows(KEPT, device) == [(38.2, None)]
    assert settle(shared) == 0


def test_what_was_computed_from_the_loser_follows_the_winner(shared):
    device = plow(shared)
    take(shared, device, fix(0, 38.9, 1), fix(5, 39.0, 2), fix(10, 38.9002, 4))
    assert [row[7] for row in shared.rows(ROWS, device)] == [1, 4, 4]
    assert shared.rows(LATEST, device)[0][1] == 38.9
    take(shared, device, fix(5, 38.9001, 3))
    settle(shared)
    assert [row[7] for row in shared.rows(ROWS, device)] == [1, 3, 1]
    assert shared.rows(LATEST, device)[0][1] == 38.9002
    # And the other way: the newest fix is one to which no plow can have driven.
    take(shared, device, fix(10, 39.5, 5))
    settle(shared)
    assert [row[7] for row in shared.rows(ROWS, device)] == [1, 3, 4]
    assert shared.rows(LATEST, device)[0][1] == 38.9001


FAR = [fix(0, 38.9), fix(100, 39.0), fix(50, 38.99)]
NEAR = [fix(0, 38.9), fix(100, 38.901), fix(99, 38.95)]


@pytest.mark.parametrize(
    ("came", "flags", "newest"), [(FAR, [1, 4, 1], 39.0), (NEAR, [1, 4, 4], 38.9)]
)
def test_what_is_sorted_in_is_what_the_next_fix_is_held_against(shared, came, flags, newest):
    device = plow(shared)
    for one in came:
        take(shared, device, one)
    assert [row[7] for row in shared.rows(ROWS, device)] == flags
    assert shared.rows(LATEST, device)[0][1] == newest


def test_of_a_batch_around_a_stored_fix_each_is_held_against_its_own_neighbour(shared):
    device = plow(shared)
    take(shared, device, fix(5, 38.95))
    take(shared, device, fix(0, 38.9), fix(10, 38.9001))
    assert [row[7] for row in shared.rows(ROWS, device)] == [1, 4, 4]


@pytest.mark.parametrize(
    ("stood", "next_one", "flags", "newest"),
    [
        (39.9, 38.9001, [3, 1], 38.9001),
        # A device all of whose fixes failed has no latest position.
        (95.0, 39.9, [3, 4], 38.9),
    ],
)
def test_a_fix_that_comes_while_a_winner_is_put_in_place_is_held_against_the_winner(
    shared, stood, next_one, flags, newest
):
    device = plow(shared)
    take(shared, device, fix(0, stood, 1))
    take(shared, device, fix(0, 38.9, 2))
    gateway = threading.Thread(target=take, args=(shared, device, fix(5, next_one, 3)))
    with shared.jobs.transaction() as conn:
        assert [one.changed for one in position_conflicts.settle(conn)] == [True]
        gateway.start()
        wait_until(lambda: shared.value("select count(*) from pg_locks where not granted"))
    gateway.join(PATIENCE_S)
    assert [row[7] for row in shared.rows(ROWS, device)] == flags
    assert shared.rows(LATEST, device)[0][1] == newest


def test_a_missing_place_that_wins_is_missing_and_nobodys_latest(shared):
    device = plow(shared)
    take(shared, device, fix(0, 38.9, 1))
    take(shared, device, replace(fix(0, None, 2), lon=None))
    settle(shared)
    assert shared.rows(ROWS, device)[0][7] == 9
    assert shared.rows(LATEST, device) == []


def test_fixes_without_a_time_are_told_apart_by_their_number(shared):
    device, before = plow(shared), counted("duplicates")
    undated = replace(fix(0, 38.1, 7), marks=int(Mark.NO_DEVICE_TIME))
    again = replace(undated, time_ms=START_MS + 2500, received_ms=START_MS + 2500)
    take(shared, device, undated, again)
    shared.door.committer.forget()
    take(shared, device, again)
    take(shared, device, replace(again, seq=8))
    assert [row[3] for row in shared.rows(ROWS, device)] == [7, 8]
    assert counted("duplicates") == before + 2


FIX = st.builds(
    fix,
    st.sampled_from([0, 5, 10, 15, 20, 2 * 86_400]),  # seconds
    st.sampled_from([38.9, 38.9001, 38.901, 38.95, 95.0, None]),
    st.sampled_from([-1, 1, 2, 3]),
    st.sampled_from([None, 20.25]),
    blade=st.sampled_from([None, True]),
)
GENERATED = settings(
    max_examples=int(os.environ.get("POSITION_CASES", "20")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def expected(fixes):
    """What stands in the end, fix by fix, in plain Python."""
    rows, before = [], None
    by_time = attrgetter("time_ms")
    for at_ms, rivals in itertools.groupby(sorted(fixes, key=by_time), by_time):
        claims = list(rivals)
        hashes = payload_hashes(Positions.of(claims))
        best = min(
            range(len(claims)),
            key=lambda i: (rank(None if claims[i].seq < 0 else claims[i].seq), hashes[i]),
        )
        won = claims[best]
        clash = len({(c.lat, c.speed_kmh, c.blade) for c in claims}) > 1
        lat = np.array([np.nan if won.lat is None else won.lat])
        flag, evaluated = 1, int(Test.LOCATION)
        if won.lat is None or won.lat > 90:  # without a latitude it is no place
            flag = Flag.FAIL
        elif clash:
            flag = Flag.SUSPECT
        if flag != Flag.FAIL and before is not None and at_ms - before[0] <= 86_400_000:
            km = distance_m(before[1], np.array([140.0]), lat, np.array([140.0]))[0] / 1000
            kmh = km / ((at_ms - before[0]) / 3_600_000)
            flag = max(flag, 4 if kmh > 110 else 3 if kmh > 90 else 1)
            evaluated |= Test.SPEED
        evaluated |= Test.CONFLICT if clash else 0
        before = None if won.lat is None or won.lat > 90 else (at_ms, lat)
        rows.append(
            (at_ms, won.lat, won.seq, won.speed_kmh, won.blade, int(Mark.CONFLICT) * clash,
             flag, evaluated)
        )  # fmt: skip
    return rows


def stored(place, device):
    return [
        (at, None if np.isnan(lat) else lat, -1 if seq is None else seq, speed, blade, *said)
        for at, lat, _, seq, speed, blade, *said in place.rows(ROWS, device)
    ]


def deliver(place, device, fixes, data):
    """Deliver in batches of any size; in between they are forgotten, or settled."""
    at = 0
    while at < len(fixes):
        size = data.draw(st.integers(1, 6), label="batch")
        take(place, device, *fixes[at : at + size])
        at += size
        after = data.draw(st.sampled_from(["", "", "settle", "forget"]), label="then")
        if after == "settle":
            settle(place)
        elif after == "forget":
            place.door.committer.forget()
    settle(place)


@GENERATED
@given(data=st.data())
def test_any_order_of_arrival_gives_what_a_sorted_one_does(shared, data):
    fixes = data.draw(st.lists(FIX, min_size=1, max_size=12))
    device = plow(shared)
    deliver(shared, device, data.draw(st.permutations(fixes + fixes[:3])), data)
    rows = expected(fixes)
    assert stored(shared, device) == rows
    usable = [(row[0], row[1], row[6]) for row in rows if row[6] not in (4, 9)]
    assert shared.rows(LATEST, device) == usable[-1:]
