"""A version that is saved for a later time, and the instant at which it takes over."""

import time
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from detectors.rules import Level, Threshold
from store import device_catalog, rule_change, rules
from store.rule_change import Change
from store.times import milliseconds
from tests.jobs.door import add_rule, ledger

DEPTH = Threshold((Level(0.1, 0.05),))


def two_that_wait(place, patience):
    """Two sensors, with another version of their rule from some time on: (when, datastreams)."""
    made = dict(place.sensor([("depth", DEPTH.kind, DEPTH.to_params(), 0)]) for _ in range(2))
    with place.owner.transaction() as conn:
        codes = {d.device_id: d.code for d in device_catalog.devices(conn, place.tenant_id)}
        begins = rules.now(conn) + patience
        begins = begins.replace(microsecond=begins.microsecond // 1000 * 1000)
        for device in made:
            change = Change(f"depth-{device}", device=codes[device], valid_from=begins,
                            params={"levels": [{"on": 0.3, "off": 0.05}]})  # fmt: skip
            rule_change.apply(conn, place.tenant_id, change)
    return begins, list(made.values())


def test_gateway_and_settlement_go_over_to_a_waiting_version_at_its_instant(place):
    """Readings on both sides of it, taken before and after the gateway has gone over."""
    for patience_s in (2, 10, 60):  # a busy machine may come too late for the first instants
        begins, (early, later) = two_that_wait(place, timedelta(seconds=patience_s))
        place.door.load()
        if place.door.standing.registry.next_rule_change == begins:
            break
    assert place.door.standing.registry.next_rule_change == begins
    begins_ms = milliseconds(begins)
    readings = [(begins_ms - 2, 0.0), (begins_ms - 1, 0.2), (begins_ms, 0.04), (begins_ms + 1, 0.2)]
    place.door.take([(early, time_ms, value) for time_ms, value in readings])
    while place.value("select clock_timestamp() < %s", begins):
        time.sleep(0.02)
    place.door.load()
    assert place.door.standing.registry.next_rule_change is None
    place.door.take([(later, time_ms, value) for time_ms, value in readings])
    place.settlement.drain()
    for stream in (early, later):
        alerts, moves, undecided = ledger(place.owner, stream)
        # 0.2 m is an alert until the instant, and from then on only 0.3 m.
        assert [(one[1], milliseconds(one[2]), milliseconds(one[3])) for one in alerts] == [
            (2, begins_ms - 1, begins_ms)
        ]
        assert [(milliseconds(one[1]), *one[2:4], one[5]) for one in moves] == [
            (begins_ms - 1, 0, 1, 1), (begins_ms, 1, 0, 2)
        ]  # fmt: skip
        assert undecided == 0


# Water that rises over both versions' levels and falls, the change in its midst; then once more.
COURSE = (0.0, 0.0, 0.06, 0.12, 0.2, 0.35, 0.35, 0.2, 0.12, 0.04, 0.0, 0.15, 0.15, 0.0)
SPACING_MS = 20_000
ON = (DEPTH.to_params(), True)
HIGHER = ({"levels": [{"on": 0.3, "off": 0.05}]}, True)
OFF = (DEPTH.to_params(), False)


@pytest.fixture
def load_at(place, monkeypatch):
    """Has the gateway read its registry as if it were some time."""

    def load(moment):
        monkeypatch.setattr("gateway.registry.datetime", SimpleNamespace(now=lambda _: moment))
        place.door.load()

    return load


def saved(place, device, versions):
    """Save versions of a device's rule: (since_ms, (params, enabled))."""
    for since_ms, (params, enabled) in versions:
        add_rule(place.owner, place.tenant_id, device, "depth", DEPTH.kind, params, since_ms,
                 enabled=enabled)  # fmt: skip


@pytest.mark.parametrize(
    ("first", "then"),
    [(ON, HIGHER), (ON, OFF), (None, ON), (OFF, ON)],
    ids=["another version", "switched off", "its first", "on again"],
)
def test_the_ledger_is_that_of_the_sorted_replay_whenever_a_version_was_heard_of(
    place, load_at, first, then
):
    """Readings of clocks that run ahead are stored before the version is in force."""
    begins = place.value("select date_trunc('second', clock_timestamp())") + timedelta(hours=1)
    before, begins_ms = begins - timedelta(milliseconds=1), milliseconds(begins)
    half = len(COURSE) // 2  # measured in the very millisecond
    readings = [(begins_ms + SPACING_MS * (i - half), depth) for i, depth in enumerate(COURSE)]
    versions = [(0, first), (begins_ms, then)] if first else [(begins_ms, then)]
    streams = []
    for _ in range(6):
        device, stream = place.sensor(())
        saved(place, device, versions)
        streams.append(stream)

    def deliver(stream, order, heard):
        load_at(before)
        for count, i in enumerate(order):
            if count == heard:
                load_at(begins)
            place.door.take([(stream, *readings[i])])
            if count % 4 == 3:
                place.settlement.drain()
        load_at(begins)
        place.settlement.drain()
        alerts, moves, undecided = ledger(place.owner, stream)
        assert undecided == 0
        return [row[1:] for row in alerts], [row[1:] for row in moves]

    in_order, rng = range(len(readings)), np.random.default_rng(5)
    expected = deliver(streams[0], in_order, half)
    assert expected[0]
    assert deliver(streams[1], in_order, len(readings)) == expected
    for stream in streams[2:]:
        order = rng.permutation(len(readings)).tolist()
        assert deliver(stream, order, rng.integers(len(readings) + 1)) == expected


def test_a_version_that_came_and_went_unheard_is_settled_after_a_restart(place, load_at):
    begins = place.value("select date_trunc('second', clock_timestamp())") + timedelta(hours=1)
    over, begins_ms = begins + timedelta(minutes=1), milliseconds(begins)
    readings = [(-20, 0.0), (0, 0.2), (20, 0.0), (40, 0.2), (60, 0.2), (80, 0.0)]

    def deliver(*heard):
        device, stream = place.sensor(())
        saved(place, device, [(begins_ms, ON), (milliseconds(over), OFF)])
        place.door.standing = None
        load_at(begins - timedelta(milliseconds=1))
        for seconds, depth in readings:
            for moment in heard:
                if begins + timedelta(seconds=seconds) == moment:
                    load_at(moment)
            place.door.take([(stream, begins_ms + 1000 * seconds, depth)])
        place.door.standing = None
        load_at(over)
        place.settlement.drain()
        place.door.standing = None
        load_at(over)
        assert place.value("select count(*) from unsettled") == 0
        alerts, moves, undecided = ledger(place.owner, stream)
        assert undecided == 0
        return [row[1:] for row in alerts], [row[1:] for row in moves]

    expected = deliver(begins, over)
    assert len(expected[0]) == 2
    assert deliver() == expected
