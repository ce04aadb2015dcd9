"""A version that is saved for a later time, and the instant at which it takes over."""

import time
from datetime import timedelta

from detectors.rules import Level, Threshold
from store import device_catalog, rule_change, rules
from store.rule_change import Change
from store.times import milliseconds
from tests.jobs.door import ledger

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
