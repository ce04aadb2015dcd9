"""A handful of readings in order, decided one by one in plain numbers.

For a few readings the calls of NumPy cost more than what they compute, and a reading waits for
them on its way to the commit. What is decided, and why, stands in `ordered` and in what that calls:
this gives the same bits, and leaves to it every batch in which a level changes.
"""

from typing import Final

import numpy as np

from detectors.arrays import RING, WINDOW, Index, slots
from detectors.flags import Test
from detectors.hysteresis import Carry
from detectors.ordered import SHORT_CONTEXT, state_writes, tell_awaited
from detectors.outcome import Verdicts
from detectors.part import Accepted, Part, no_transitions, no_verdicts, no_windows
from detectors.plain_machine import PlainMachine
from detectors.plain_profile import PlainProfile, PlainProfiles
from detectors.plain_reading import PlainReading, compare, judge_flat_line, spike_flag
from detectors.state import HEAD, TAIL, Table, Write

# With more readings `ordered` is as fast.
MOST: Final = 12

_LAGS: Final = np.arange(1, WINDOW + 1)


def suits(accepted: Accepted) -> bool:
    """Whether these are few, and each of another sensor."""
    return len(accepted) <= MOST and len(set(accepted.sensor.tolist())) == len(accepted)


def advance(table: Table, profiles: PlainProfiles, accepted: Accepted) -> Part | None:
    """Decide on readings that `suits` holds for.

    Parameters
    ----------
    table : Table
        Not written: the result says what is to be written.
    profiles : PlainProfiles
    accepted : Accepted

    Returns
    -------
    Part or None
        What `ordered.advance` gives; None where a level changes.
    """
    sensor = accepted.sensor
    own = [profiles[number] for number in table.profile[sensor].tolist()]
    held, place = table.count[sensor], table.next[sensor]
    readings = _gather(table, accepted, np.minimum(held, _context(table)), place)
    heads = _machines(table, 2 * sensor + HEAD)
    after = []
    for profile, one, head in zip(own, readings, heads, strict=True):
        compare(profile, one)
        state = head.run(profile, one.time_ms, one.reach, one.leave, one.mark)
        if state.bits != head.bits:
            return None
        judge_flat_line(profile, one, state.flat_ms)
        after.append(state)
    flag = np.array([one.flag for one in readings], np.uint8)
    evaluated = np.array([one.evaluated for one in readings], np.int16)
    awaited, writes = _await(table, own, sensor, readings)
    at = sensor * RING + place
    writes += [
        Write("time_ms", at, accepted.time_ms),
        Write("value", at, accepted.value),
        Write("reach", at, np.array([one.reach for one in readings], np.uint16)),
        Write("leave", at, np.array([one.leave for one in readings], np.uint16)),
        Write("mark", at, np.array([one.mark for one in readings], np.uint8)),
        Write("flag", at, flag),
        Write("evaluated", at, evaluated),
        Write("next", sensor, slots(place + 1)),
        Write("count", sensor, np.minimum(held + 1, RING)),
        *state_writes(2 * sensor + HEAD, _carry(after)),
        *_push_out(table, own, sensor, held, place),
    ]
    return Part(
        row=accepted.row,
        flag=flag,
        evaluated=evaluated,
        rate_per_h=np.array([one.rate_per_h for one in readings]),
        touched=sensor,
        transitions=no_transitions(),
        windows=no_windows(),
        verdicts=awaited,
        writes=writes,
    )


def _context(table: Table) -> int:
    return WINDOW if table.lanes.looks_at_slopes else SHORT_CONTEXT


def _gather(table: Table, accepted: Accepted, held: Index, place: Index) -> list[PlainReading]:
    lags = _LAGS[: _context(table)]
    at = (accepted.sensor * RING)[:, None] + slots(place[:, None] - lags)
    known = (table.column(name)[at].tolist() for name in ("time_ms", "value", "mark"))
    rows = zip(
        accepted.time_ms.tolist(), accepted.value.tolist(), held.tolist(), *known, strict=True
    )
    return [PlainReading(*row) for row in rows]


def _machines(table: Table, places: Index) -> list[PlainMachine]:
    states = table.states(places)
    columns = (states.bits.tolist(), states.timer.tolist(), states.flat.tolist())
    return [PlainMachine(*row) for row in zip(*columns, strict=True)]


def _carry(machines: list[PlainMachine]) -> Carry:
    return Carry(
        np.array([one.bits for one in machines], np.uint16),
        np.array([one.timer for one in machines], np.int64).reshape(len(machines), -1),
        np.array([one.flat_ms for one in machines], np.int64),
    )


def _push_out(
    table: Table, own: list[PlainProfile], sensor: Index, held: Index, place: Index
) -> list[Write]:
    """Take the oldest reading of each full ring, whose slot is the next, over to the tail."""
    full = (held == RING).nonzero()[0]
    if not len(full):
        return []
    sensor, oldest = sensor[full], sensor[full] * RING + place[full]
    columns = [table.column(name)[oldest] for name in ("time_ms", "reach", "leave", "mark")]
    tails = _machines(table, 2 * sensor + TAIL)
    after = [
        tail.run(own[i], *row)
        for i, tail, *row in zip(
            full.tolist(), tails, *(column.tolist() for column in columns), strict=True
        )
    ]
    return [
        *state_writes(2 * sensor + TAIL, _carry(after)),
        Write("tail_ms", sensor, columns[0]),
    ]


def _await(
    table: Table, own: list[PlainProfile], sensor: Index, readings: list[PlainReading]
) -> tuple[Verdicts, list[Write]]:
    """Give the spike test's verdict on the newest known readings, whose successor is here now."""
    flags = [spike_flag(profile, one) for profile, one in zip(own, readings, strict=True)]
    at = [i for i, flag in enumerate(flags) if flag is not None]
    if not at:
        return no_verdicts(), []
    return tell_awaited(
        table,
        sensor[at],
        np.array([readings[i].times[0] for i in at], np.int64),
        np.array([flags[i] for i in at], np.uint8),
        np.full(len(at), int(Test.SPIKE), np.int16),
    )
