"""The ledger does not depend on the order in which readings arrive: whatever is generated."""

import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from detectors.dump import unpack
from detectors.rules import Threshold
from firmware_sim.recording import read_recording
from store import rules
from tests.jobs.door import START_MS, Place, add_rule, detector_state, ledger
from tests.jobs.rule_sets import DEPTH, LOW, RULES

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
FLOODS = Path(__file__).parents[1] / "data" / "nyc_street_floods_2023-09-29.csv.gz"


@pytest.fixture(scope="module")
def shared(module_dsn):
    """One town for all generated cases: each brings its own devices."""
    place = Place(module_dsn)
    yield place
    place.close()


@st.composite
def water(draw):
    """Six hours or so of rising and falling water with steps, gaps and missing values."""
    n = draw(st.integers(4, 110))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = rng.choice([MINUTE_MS, MINUTE_MS, 5 * MINUTE_MS, 61_250, 40 * MINUTE_MS], n,
                       p=[0.5, 0.2, 0.18, 0.1, 0.02])  # fmt: skip
    slope = np.repeat(rng.choice([-0.04, -0.01, 0.0, 0.0, 0.01, 0.03], n // 8 + 1), 8)[:n]
    depth = np.clip(np.cumsum(slope) + 0.06, 0.0, 0.4) + rng.choice([0.0, 0.002, 0.3], n,
                                                                   p=[0.6, 0.36, 0.04])  # fmt: skip
    depth[rng.random(n) < 0.03] = np.nan
    depth[rng.random(n) < 0.02] = 7.5
    times = START_MS + np.cumsum(steps)
    return list(zip(times.tolist(), depth.tolist(), strict=True))


@st.composite
def arrivals(draw, series):
    """Positions of the series as they arrive: delayed by up to 6 h, some of them twice."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = len(series)
    share = draw(st.sampled_from((0.05, 0.3, 1.0)))
    most_ms = draw(st.sampled_from((10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS)))
    twice = np.flatnonzero(rng.random(n) < 0.1)
    position = np.concatenate([np.arange(n), twice])
    delay = rng.uniform(0, most_ms, len(position)) * (rng.random(len(position)) < share)
    arrival = np.array([series[i][0] for i in position]) + delay
    return position[np.argsort(arrival, kind="stable")].tolist()


@dataclass(frozen=True)
class ChangeOfDepth:
    """A version of the rule `depth`."""

    since_ms: int
    rule: Threshold
    enabled: bool

    def save(self, place, device):
        params = self.rule.to_params()
        add_rule(place.owner, place.tenant_id, device, "depth", self.rule.kind, params,
                 self.since_ms, enabled=self.enabled)  # fmt: skip


def deliver(place, device, stream, readings, changes, data, *, settle):
    """Deliver in batches; restarts, settlements and rules that are saved fall in between."""
    pending = list(changes)
    batches = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=6), label="batches")
    at, newest = 0, 0
    place.door.load()
    # Each turn ends with a large batch: a hundred commits of one reading each show no more.
    for size in itertools.cycle([*batches, 25]):
        if at >= len(readings):
            break
        batch = readings[at : at + size]
        at += size
        # A rule is saved when its time has come, and heard of with some delay.
        newest = max(newest, *(t for t, _ in batch))
        while pending and pending[0].since_ms <= newest:
            pending.pop(0).save(place, device)
            if data.draw(st.booleans(), label="heard at once"):
                place.door.load()
        place.door.take([(stream, t, v) for t, v in batch])
        event = data.draw(st.sampled_from(("", "", "", "load", "restart", "settle")), label="then")
        if event == "load":
            place.door.load()
        elif event == "restart":
            place.door.restart()
        elif event == "settle" and settle:
            place.settlement.drain()
    for change in pending:
        change.save(place, device)
    place.door.load()


CASES = settings(
    max_examples=int(os.environ.get("SETTLEMENT_CASES", "20")),
    deadline=None,
    # A case takes a second or two of a real database: making a failing one smaller takes too long.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def known(place, stream):
    """The detector state apart from the names of the lanes, which come from the rules' codes."""
    state = unpack(bytes(detector_state(place.owner, stream)[0]))
    return replace(state, lanes={}), sorted(state.lanes.values())


def compare(place, data, series, changes=(), rules=RULES):
    ordered_device, ordered = place.sensor(rules)
    mixed_device, mixed = place.sensor(rules)
    deliver(place, ordered_device, ordered, series, changes, data, settle=False)
    place.settlement.drain()
    order = data.draw(arrivals(series), label="arrivals")
    deliver(place, mixed_device, mixed, [series[i] for i in order], changes, data, settle=True)
    place.settlement.drain()
    expected, found = ledger(place.owner, ordered), ledger(place.owner, mixed)
    assert found[2] == expected[2] == 0

    def plain(rows):
        return [(row[0].rsplit("-", 1)[0], *row[1:]) for row in rows]

    assert plain(found[1]) == plain(expected[1])
    assert plain(found[0]) == plain(expected[0])
    if rules and all(change.enabled for change in changes):
        assert detector_state(place.owner, mixed)[1] == detector_state(place.owner, ordered)[1]
    # What comes now is decided on alike, without another settlement.
    end = max(t for t, _ in series)
    for step, depth in enumerate((0.07, 0.07, 0.12, 0.03, 0.21, 0.21, 0.07, 0.0, 0.0), 1):
        place.door.take([(s, end + step * MINUTE_MS, depth) for s in (ordered, mixed)])
    expected, found = ledger(place.owner, ordered), ledger(place.owner, mixed)
    assert plain(found[1]) == plain(expected[1])
    assert plain(found[0]) == plain(expected[0])
    if not changes:
        assert known(place, mixed) == known(place, ordered)


@CASES
@given(st.data())
def test_the_ledger_is_that_of_a_sorted_delivery(shared, data):
    compare(shared, data, data.draw(water(), label="series"))


@CASES
@given(st.data())
def test_rules_hold_by_phenomenon_time_whatever_arrives_when(shared, data):
    series = data.draw(water(), label="series")
    moments = sorted(data.draw(st.lists(st.sampled_from([t for t, _ in series]), min_size=1,
                                        max_size=3, unique=True)))  # fmt: skip
    changes = [ChangeOfDepth(at, rule, data.draw(st.sampled_from((True, True, False))))
               for at, rule in zip(moments, (LOW, DEPTH, LOW), strict=False)]  # fmt: skip
    compare(shared, data, series, changes, data.draw(st.sampled_from((RULES, ()))))


def test_a_real_flood_ends_in_the_ledger_of_its_sorted_delivery(place):
    """The streets of New York on 2023-09-29, each reading up to six hours late, some twice."""
    recording = read_recording(FLOODS)
    with place.owner.transaction() as conn:
        rules.add_defaults(conn, place.tenant_id)
    names = [f"{copy}-{name}" for copy in ("sorted", "mixed") for name in recording.devices]
    streams = {name: place.sensor((), code=name)[1] for name in names}
    series = [(row.device, row.sample.time_ms, row.sample.values["depth_m"])
              for row in recording.rows]  # fmt: skip
    assert len(series) == 8181

    def readings(copy, rows):
        return [(streams[f"{copy}-{name}"], t, v) for name, t, v in rows]

    place.door.load()
    in_order = readings("sorted", sorted(series, key=lambda row: row[1]))
    for low in range(0, len(in_order), 700):
        place.door.take(in_order[low : low + 700])
    assert place.value("select count(*) from unsettled") == 0
    rng = np.random.default_rng(29)
    rows = [*series, *(series[i] for i in rng.integers(0, len(series), 800))]
    arrival = np.array([t for _, t, _ in rows]) + rng.uniform(0, 6 * HOUR_MS, len(rows))
    settled = 0
    mixed = readings("mixed", [rows[i] for i in np.argsort(arrival)])
    for low in range(0, len(mixed), 450):
        place.door.take(mixed[low : low + 450])
        if low % 1800 == 0:
            settled += place.settlement.drain()
    settled += place.settlement.drain()
    assert settled > 20
    transitions = 0
    for name in recording.devices:
        found = ledger(place.owner, streams[f"mixed-{name}"])
        assert found == ledger(place.owner, streams[f"sorted-{name}"])
        transitions += len(found[1])
    assert transitions > 100, "the storm was a big one"
    assert place.value("select count(*) from observation") == 2 * len(series)
    assert place.value("select count(*) from journal where kind = 'corrected'") > 10
