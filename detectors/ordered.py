"""Readings that are newer than all their sensors have decided on: the way of nearly all data."""

import numpy as np

from detectors.arrays import RING, WINDOW, Index, Times, slots, spread
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
from detectors.state import RING_COLUMNS, Table, Write
from detectors.strip import BROKEN, SAME, Strip, compare, judge, spike_triples

# Without slope rules only the two neighbours of the spike and flat line tests are looked at.
_SHORT_CONTEXT = 3


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
    profile = table.profile[group.sensor]
    width = WINDOW if len(lanes.slope_lanes) else _SHORT_CONTEXT
    context = np.minimum(table.count[group.sensor], width)
    strip, new = _lay_out(table, group, accepted, context)

    verdict = compare(strip, lanes, checks, profile, new)
    delays = lanes.delay_on_ms[profile], lanes.delay_off_ms[profile]
    head = table.head(group.sensor)
    held = table.count[group.sensor]
    leaving = np.maximum(held + group.count - RING, 0)
    # Where a batch pushes out more than the ring held, the tail is a state within the batch.
    deep = np.flatnonzero(leaving > held)
    deep_at = group.first[deep] + leaving[deep] - held[deep] - 1
    end = group.first + group.count - 1
    bits, flat_ms, after = scan(
        strip.rows(new, group.owner), head, *delays, np.concatenate([end, deep_at])
    )
    judge(strip, checks, profile, new, flat_ms, verdict)

    before = np.empty_like(bits)
    before[1:] = bits[:-1]
    before[group.first] = head.bits
    awaited, writes = _await(table, checks, group, strip, context)
    writes += _append(table, group, accepted, strip, new)
    writes += _push_out(table, group, np.minimum(leaving, held), delays)
    ends = np.arange(len(end))
    writes += state_writes("head", group.sensor, after.take(ends))
    writes += state_writes("tail", group.sensor[deep], after.take(np.arange(len(deep)) + len(end)))
    writes.append(Write("tail_ms", group.sensor[deep], accepted.time_ms[deep_at]))
    return Part(
        row=accepted.row,
        flag=strip.flag[new],
        evaluated=strip.evaluated[new],
        rate_per_h=strip.rate_per_h[new],
        touched=group.sensor,
        transitions=transitions_of(table, group.sensor, strip, new, before, bits),
        windows=no_windows(),
        verdicts=awaited,
        writes=writes,
    )


def state_writes(where: str, sensor: Index, state: Carry) -> list[Write]:
    """Write a state after the ring ("head") or before it ("tail")."""
    return [
        Write(f"{where}_bits", sensor, state.bits),
        Write(f"{where}_timer", sensor, state.timer),
        Write(f"{where}_flat", sensor, state.flat),
    ]


def _lay_out(table: Table, group: Group, accepted: Accepted, context: Index) -> tuple[Strip, Index]:
    """Put the newest known readings of each sensor before its new ones."""
    sizes = context + group.count
    start = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(group.sensor)), sizes)
    strip = Strip.blank(owner, start, np.empty(len(owner), np.int64), np.empty(len(owner)))
    old, new = spread(start, context), spread(start + context, group.count)
    sensor = group.sensor[owner[old]]
    at = sensor * RING + slots(spread(table.next[group.sensor] - context, context))
    for name in ("time_ms", "value", "mark"):
        getattr(strip, name)[old] = table.column(name)[at]
    strip.time_ms[new], strip.value[new] = accepted.time_ms, accepted.value
    return strip, new


def _await(
    table: Table, checks: Checks, group: Group, strip: Strip, context: Index
) -> tuple[Verdicts, list[Write]]:
    """Give the spike test's verdict on the newest known readings, whose successor is here now."""
    if np.isnan(checks.spike_suspect).all():
        return no_verdicts(), []
    at = np.flatnonzero(context)
    rows = strip.start[at] + context[at] - 1
    sensor = group.sensor[at]
    verdict = Verdict.blank(len(rows))
    checks.spike(verdict, table.profile[sensor], *spike_triples(strip, rows))
    told = np.flatnonzero(verdict.evaluated)
    sensor, rows = sensor[told], rows[told]
    at = sensor * RING + slots(table.next[sensor] - 1)
    flag = aggregate(
        table.column("flag")[at], verdict.flag(np.zeros(len(verdict.fail), bool))[told]
    )
    evaluated = table.column("evaluated")[at] | verdict.evaluated[told]
    verdicts = Verdicts(
        sensor.astype(np.int32), strip.time_ms[rows], flag, evaluated, np.ones(len(rows), bool)
    )
    return verdicts, [
        Write("flag", at, flag),
        Write("evaluated", at, evaluated),
    ]


def _append(
    table: Table, group: Group, accepted: Accepted, strip: Strip, new: Index
) -> list[Write]:
    """Write the new readings into the ring: at most RING of each sensor, its newest."""
    place = np.arange(len(accepted)) - group.first[group.owner]
    slot = slots(table.next[accepted.sensor] + place)
    sensor = accepted.sensor
    if group.count.max(initial=0) > RING:
        kept = np.flatnonzero(place >= (group.count - RING)[group.owner])
        slot, sensor, new = slot[kept], sensor[kept], new[kept]
    at = sensor * RING + slot
    return [
        *(Write(name, at, getattr(strip, name)[new]) for name in RING_COLUMNS),
        Write("next", group.sensor, slots(table.next[group.sensor] + group.count)),
        Write("count", group.sensor, np.minimum(table.count[group.sensor] + group.count, RING)),
    ]


def _push_out(
    table: Table, group: Group, leaving: Index, delays: tuple[Times, Times]
) -> list[Write]:
    """Move the tail of each sensor over the ring's readings that leave it."""
    at = np.flatnonzero(leaving)
    if not len(at):
        return []
    sensor, leaving = group.sensor[at], leaving[at]
    owner = np.repeat(np.arange(len(at)), leaving)
    oldest = table.next[sensor] - table.count[sensor]
    ring = sensor[owner] * RING + slots(spread(oldest, leaving))
    mark = table.column("mark")[ring]
    time_ms = table.column("time_ms")[ring]
    rows = Rows(
        owner, time_ms, table.column("reach")[ring], table.column("leave")[ring],
        (mark & BROKEN) != 0, (mark & SAME) != 0,
    )  # fmt: skip
    end = np.cumsum(leaving) - 1
    _, _, after = scan(rows, table.tail(sensor), delays[0][at], delays[1][at], end)
    return [*state_writes("tail", sensor, after), Write("tail_ms", sensor, time_ms[end])]
