"""A state that was lost: its series begins anew, beside readings that are stored already."""

import struct

import numpy as np
import pytest

from detectors.arrays import CONTEXT_ROWS, NEVER
from detectors.dump import Unpacked, nothing_since, unpack
from detectors.errors import StateError
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.quality import GrossRange, Spike
from detectors.readings import Readings
from detectors.rules import Level, RateOfRise, Threshold
from tests.detectors.ledger import same_floats

MINUTE = 60_000
DEPTH = Threshold((Level(0.10, 0.05), Level(0.20, 0.15)), ceiling_per_h=1.0, unconfirmed_from=2)
RULES = [("depth", DEPTH), ("rise", RateOfRise()), ("range", GrossRange((-1.0, 9.0))),
         ("spike", Spike(0.1, 0.5))]  # fmt: skip


def at(minutes, values):
    return Readings.of(0, np.array(minutes) * MINUTE, np.array(values, float))


@pytest.fixture
def fleet():
    return Fleet.compile([Profile.of(RULES)], [0])


def begun(fleet, minute):
    return fleet.load_state([0], [nothing_since(minute * MINUTE)], Readings.none())


def said(outcome):
    """All that a batch came to."""
    moves = outcome.transitions
    columns = (moves.rule, moves.time_ms, moves.from_level, moves.to_level, moves.value,
               moves.unconfirmed, outcome.flag, outcome.evaluated, outcome.late,
               outcome.verdicts.time_ms, outcome.verdicts.flag)  # fmt: skip
    return [column.tolist() for column in columns]


@pytest.mark.parametrize("seed", [3, 29])
def test_it_is_restored_at_any_time_without_the_readings_it_never_saw(fleet, seed):
    """Readings in any order: what goes on and what was restored say the same, and end the same.

    With these seeds a late reading comes when the windows of the ring's oldest reach back to the
    beginning: where that is not minded, another level is told.
    """
    rng = np.random.default_rng(seed)
    minutes = np.arange(130)
    values = np.round(np.abs(np.cumsum(rng.normal(0, 0.06, len(minutes)))) % 0.4, 3)
    late = rng.uniform(0, 14, len(minutes)) * (rng.random(len(minutes)) < 0.3)
    lost = 30
    order = lost + np.argsort(minutes[lost:] + late[lost:], kind="stable")
    state, taken, moved = begun(fleet, lost - 1), [*range(lost)], 0
    for row in order[:60].tolist():
        context = np.sort(taken)[-CONTEXT_ROWS:]
        stored = at(context, values[context])
        restored = fleet.load_state([0], [state.dump(0)], stored)
        assert restored.dump(0) == state.dump(0)
        batch = at([row], values[[row]])
        one, other = fleet.step(state, batch), fleet.step(restored, batch)
        assert said(one) == said(other)
        assert same_floats(one.rate_per_h.tolist(), other.rate_per_h.tolist())
        moved += len(one.transitions)
        state = one.state
        if not one.late[0]:
            taken.append(row)
    assert moved > 10


def test_a_former_dump_that_does_not_say_it_is_restored_while_its_ring_holds_the_whole_series(
    fleet,
):
    """Storage still has the readings from before the loss; the series begins after it."""
    before = [0.123, 0.068, 0.007, 0.094, 0.01, 0.01, 0.004, 0.051, 0.059, 0.089, 0.032, 0.082,
              0.073, 0.05, 0.088, 0.107, 0.091, 0.002, 0.125, 0.031]  # fmt: skip
    since = {60: 0.169, 61: 0.164, 62: 0.219, 63: 0.008, 64: 0.008, 65: 0.077, 66: 0.063,
             67: 0.034, 68: 0.064, 69: 0.042, 70: 0.174, 71: 0.125, 72: 0.089, 74: 0.135,
             75: 0.059, 76: 0.244, 73: 0.158, 77: 0.176, 78: 0.024, 79: 0.321, 80: 0.0, 81: 0.135,
             83: 0.094, 85: 0.105, 84: 0.035, 86: 0.1, 82: 0.035, 88: 0.031, 90: 0.019}  # fmt: skip
    state = fleet.empty_state()
    for minute, value in since.items():
        state = fleet.step(state, at([minute], [value])).state
    stored = at([*range(40, 60), *since], [*before, *since.values()])
    restored = fleet.load_state([0], [state.dump(0)], stored)
    late = at([87], [0.296])
    moves = [fleet.step(one, late).transitions for one in (state, restored)]
    found = [list(zip(m.rule.tolist(), m.time_ms.tolist(), strict=True)) for m in moves]
    assert found[0] == found[1] == [(0, 87 * MINUTE), (0, 88 * MINUTE)]


def test_what_is_older_than_its_beginning_is_late_and_what_is_newer_is_sorted_in(fleet):
    state = begun(fleet, 9)
    assert fleet.step(state, at([9, 8], [0.3, 0.3])).late.tolist() == [True, True]
    state = fleet.step(state, at([12], [0.0])).state
    outcome = fleet.step(state, at([9, 10, 11], [0.3, 0.3, 0.3]))
    assert outcome.late.tolist() == [True, False, False]
    assert outcome.transitions.time_ms[outcome.transitions.rule == 0].tolist()[0] == 10 * MINUTE


def test_a_dump_says_where_its_series_began(fleet):
    """Literal bytes: version 2 is version 1 with the beginning after the count."""
    state = fleet.step(begun(fleet, 9), at([10, 11], [0.0, 0.01])).state
    dump = state.dump(0)
    assert dump[:2] == b"\x02\x02"
    assert struct.unpack_from("<qq", dump, 2) == (9 * MINUTE, 11 * MINUTE)
    plain = fleet.step(fleet.empty_state(), at([10, 11], [0.0, 0.01])).state.dump(0)
    assert plain == b"\x01\x02" + dump[10:]
    assert begun(fleet, 9).dump(0) == nothing_since(9 * MINUTE) == b"\x02\x00" + dump[2:10]
    read = unpack(dump)
    assert (read.begin_ms, read.tail_ms, read.count) == (9 * MINUTE, 9 * MINUTE, 2)


def test_a_dump_of_version_1_is_read_as_it_was_written():
    """Literal bytes of a former release, with readings before the ring and without."""
    on = Threshold((Level(0.1, 0.05, delay_off_s=600.0), Level(0.2, 0.15)))
    fleet = Fleet.compile([Profile.of([("depth", on)])], [0])
    values = [0.12] * 33 + [0.25, 0.25, 0.0]
    full = bytes.fromhex("0120200b200000000000a0c37100819875a0968001a613900e0700")
    few = bytes.fromhex("0103c0d4010000000000c0a907c0a90700a613900e01")
    [lane] = unpack(full).lanes
    assert unpack(full) == Unpacked(
        32, 4 * MINUTE, 35 * MINUTE, 3 * MINUTE, 35 * MINUTE, 0,
        {lane: (True, 35 * MINUTE, True, NEVER)}, NEVER,
    )  # fmt: skip
    assert unpack(few) == Unpacked(
        3, 0, 2 * MINUTE, NEVER, 0, NEVER, {lane: (True, NEVER, False, NEVER)}, NEVER
    )
    assert unpack(b"\x01\x00") == Unpacked(0, NEVER, NEVER, NEVER, NEVER, NEVER, {}, NEVER)
    for dump, count in ((full, 36), (few, 3)):
        readings = at(range(count), values[:count])
        assert fleet.step(fleet.empty_state(), readings).state.dump(0) == dump
        assert fleet.load_state([0], [dump], readings).dump(0) == dump


@pytest.mark.parametrize("version", [0, 3, 255])
def test_a_dump_of_another_version_is_refused(version):
    with pytest.raises(StateError, match=f"of version {version}, this program reads 1 and 2"):
        unpack(bytes([version, 0]) + bytes(8))


@pytest.mark.parametrize("cut", [1, 5, 9, 12, 17])
def test_a_dump_that_is_cut_short_is_refused(fleet, cut):
    dump = fleet.step(begun(fleet, 9), at([10, 11], [0.0, 0.01])).state.dump(0)
    with pytest.raises(StateError, match="cut short"):
        unpack(dump[:cut])
