"""Readings that are newer than all their sensors have decided on: the way of nearly all data."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import RING, WINDOW, Index, Times, kinds_of, slots, spread
from detectors.checks import Checks, Verdict
from detectors.flags import aggregate
from detectors.hysteresis import Carry, Rows, scan
from detectors.outcome import Verdicts
from detectors.part import (
    Accepted,
    Group,
    Part,
    no_verdicts,
    no_windows,
    transitions_of,
)
from detectors.state import HEAD, RING_COLUMNS, STATE_COLUMNS, TAIL, Table, Write
from detectors.strip import BROKEN, SAME, Strip, compare, judge, judge_spikes

# Without slope rules only the two neighbours of the spike and flat line tests are looked at.
SHORT_CONTEXT: Final = 3


def advance(table: Table, checks: Checks, accepted: Accepted) -> Part:
    """Decide on readings in order, from the state after the newest known one.

    Parameters
    ----------
    table : Table
        Not written: the result says what is to be written.
    checks : Checks
    accepted : Accepted

    Returns
    -------
    Part
    """
    lanes, group = table.lanes, Group.of(accepted.sensor)
    sensor = group.sensor
    profile, held, place = table.profile[sensor], table.count[sensor], table.next[sensor]
    context = np.minimum(held, WINDOW if lanes.looks_at_slopes else SHORT_CONTEXT)
    strip, new = _lay_out(table, group, accepted, context, place)
    kind = kinds_of(profile, group.owner)
    verdict = compare(strip, lanes, checks, kind, new)

    # Two states of a sensor go on: the one after its ring over the new readings, the one before it
    # over what these push out. They are scanned beside one another, like two sensors.
    m, t = len(accepted), len(sensor)
    rows, which, places = strip.rows(new, group.owner), profile, 2 * sensor + HEAD
    wanted = [group.first + group.count - 1]
    leaving = np.maximum(held + group.count - RING, 0)
    out = np.minimum(leaving, held).nonzero()[0]
    if len(out):
        pushed, pushed_end = _pushed_out(
            table, sensor[out], place[out] - held[out], np.minimum(leaving, held)[out]
        )
        rows, which = rows.beside(pushed, t), np.concatenate([profile, profile[out]])
        places = np.concatenate([places, 2 * sensor[out] + TAIL])
        wanted.append(m + pushed_end)
    deep = out[:0]
    if m > RING:
        # Where a batch pushes out more than the ring held, the state before it is one within.
        deep = (leaving > held).nonzero()[0]
        deep_at = group.first[deep] + leaving[deep] - held[deep] - 1
        wanted.append(deep_at)
    carry = table.states(places)
    bits, flat_ms, after = scan(
        rows, carry, lanes.delay_on_ms[which], lanes.delay_off_ms[which], np.concatenate(wanted)
    )
    bits = bits[:m]
    judge(strip, checks, kind, new, flat_ms[:m], verdict)

    before = np.empty_like(bits)
    before[1:] = bits[:-1]
    before[group.first] = carry.bits[:t]
    awaited, writes = _await(table, checks, group, strip, context)
    columns = {name: getattr(strip, name)[new] for name in RING_COLUMNS}
    writes += _append(group, accepted, columns, held, place)
    writes += state_writes(places, after.take(slice(len(places))))
    if len(out):
        writes.append(Write("tail_ms", sensor[out], pushed.time_ms[pushed_end]))
    if len(deep):
        writes += state_writes(2 * sensor[deep] + TAIL, after.take(slice(len(places), None)))
        writes.append(Write("tail_ms", sensor[deep], accepted.time_ms[deep_at]))
    return Part(
        row=accepted.row,
        flag=columns["flag"],
        evaluated=columns["evaluated"],
        rate_per_h=strip.rate_per_h[new],
        touched=sensor,
        transitions=transitions_of(table, sensor, strip, new, before, bits),
        windows=no_windows(),
        verdicts=awaited,
        writes=writes,
    )


def state_writes(places: Index, state: Carry) -> list[Write]:
    """Write the states of state machines at flat places."""
    return [Write(name, places, getattr(state, name)) for name in STATE_COLUMNS]


def _lay_out(
    table: Table, group: Group, accepted: Accepted, context: Index, place: Index
) -> tuple[Strip, Index]:
    """Put the newest known readings of each sensor before its new ones; `place` is the next slot.

    Returns
    -------
    Strip
    int64[m]
        Where the new ones stand in it.
    """
    through = context.cumsum()  # context readings up to and with each sensor
    owner_of_old = np.arange(len(context)).repeat(context)
    old = np.arange(len(owner_of_old))
    slot = slots(old + (place - through)[owner_of_old])
    at = group.sensor[owner_of_old] * RING + slot
    old = old + group.first[owner_of_old]
    new = np.arange(len(accepted)) + through[group.owner]
    n = len(old) + len(new)
    owner = np.arange(len(context)).repeat(context + group.count)
    time_ms, value = np.empty(n, np.int64), np.empty(n)
    time_ms[old], time_ms[new] = table.column("time_ms")[at], accepted.time_ms
    value[old], value[new] = table.column("value")[at], accepted.value
    strip = Strip.blank(owner, through - context + group.first, time_ms, value)
    strip.mark[old] = table.column("mark")[at]
    return strip, new


def _await(
    table: Table, checks: Checks, group: Group, strip: Strip, context: Index
) -> tuple[Verdicts, list[Write]]:
    """Give the spike test's verdict on the newest known readings, whose successor is here now."""
    if not checks.spikes:
        return no_verdicts(), []
    at = context.nonzero()[0]
    rows = strip.start[at] + context[at] - 1
    sensor = group.sensor[at]
    verdict = Verdict.blank(len(rows))
    judge_spikes(strip, checks, table.profile[sensor], rows, verdict)
    told = verdict.evaluated.nonzero()[0]
    if not len(told):
        return no_verdicts(), []
    return tell_awaited(
        table,
        sensor[told],
        strip.time_ms[rows[told]],
        verdict.flag(np.zeros(len(verdict.fail), bool))[told],
        verdict.evaluated[told],
    )


def tell_awaited(
    table: Table,
    sensor: Index,
    time_ms: Times,
    flag: NDArray[np.uint8],
    evaluated: NDArray[np.int16],
) -> tuple[Verdicts, list[Write]]:
    """Join the spike test's verdicts on the newest known readings to what was said of them."""
    at = sensor * RING + slots(table.next[sensor] - 1)
    flag = aggregate(table.column("flag")[at], flag)
    evaluated = table.column("evaluated")[at] | evaluated
    awaited = np.ones(len(sensor), bool)
    verdicts = Verdicts(sensor.astype(np.int32), time_ms, flag, evaluated, awaited)
    return verdicts, [Write("flag", at, flag), Write("evaluated", at, evaluated)]


def _append(
    group: Group, accepted: Accepted, columns: dict[str, NDArray[Any]], held: Index, place: Index
) -> list[Write]:
    """Write the new readings into the ring: at most RING of each sensor, its newest."""
    m = len(accepted)
    at = accepted.sensor * RING + slots(np.arange(m) + (place - group.first)[group.owner])
    if m > RING and group.count.max() > RING:
        kept = (group.first + group.count)[group.owner] - np.arange(m) <= RING
        at, columns = at[kept], {name: column[kept] for name, column in columns.items()}
    return [
        *(Write(name, at, column) for name, column in columns.items()),
        Write("next", group.sensor, slots(place + group.count)),
        Write("count", group.sensor, np.minimum(held + group.count, RING)),
    ]


def _pushed_out(table: Table, sensor: Index, oldest: Index, count: Index) -> tuple[Rows, Index]:
    """Readings that leave the ring, so many of each sensor, and the last one of each."""
    owner = np.arange(len(sensor)).repeat(count)
    ring = sensor[owner] * RING + slots(spread(oldest, count))
    mark = table.column("mark")[ring]
    rows = Rows(
        owner, table.column("time_ms")[ring], table.column("reach")[ring],
        table.column("leave")[ring], (mark & BROKEN) != 0, (mark & SAME) != 0,
    )  # fmt: skip
    return rows, count.cumsum() - 1
