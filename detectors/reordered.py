"""Late readings inside the bound: sorted into the ring, and everything after them decided anew."""

import numpy as np

from detectors.arrays import RING, Index, Times, kinds_of, slots, spread
from detectors.checks import Checks
from detectors.flags import Test
from detectors.hysteresis import scan
from detectors.ordered import state_writes
from detectors.outcome import Verdicts, Windows
from detectors.part import Accepted, Group, Part, transitions_of
from detectors.state import HEAD, RING_COLUMNS, TAIL, Table, Write
from detectors.strip import Strip, compare, judge


def settle(table: Table, checks: Checks, accepted: Accepted) -> Part:
    """Decide on readings of which some are older than what their sensors have decided on.

    Parameters
    ----------
    table : Table
        Not written: the result says what is to be written.
    checks : Checks
    accepted : Accepted

    Returns
    -------
    Part

    Notes
    -----
    The state machine runs from the tail over the whole ring, since a level has unlimited memory
    within its dead band. Marks, slopes and flags are computed anew only from the reading before
    the first late one (its spike verdict has a new neighbour): `Intake` has made sure that the
    ring still holds the windows of all these.
    """
    lanes, group = table.lanes, Group.of(accepted.sensor)
    profile = table.profile[group.sensor]
    strip, source = _merge(table, group, accepted)
    size = table.count[group.sensor] + group.count
    begin, end = strip.start, strip.start + size
    is_new = np.flatnonzero(source >= 0)
    first_new = is_new[np.flatnonzero(np.diff(strip.owner[is_new], prepend=-1))]

    redo_from = np.maximum(first_new - 1, begin)
    rows = spread(redo_from, end - redo_from)
    old_flag, old_evaluated = strip.flag[rows], strip.evaluated[rows]
    strip.rate_per_h[rows] = np.nan
    kind = kinds_of(profile, strip.owner[rows])
    verdict = compare(strip, lanes, checks, kind, rows)

    leaving = np.maximum(size - RING, 0)
    out = np.flatnonzero(leaving)
    delays = lanes.delay_on_ms[profile], lanes.delay_off_ms[profile]
    tail = table.states(2 * group.sensor + TAIL)
    every = np.arange(len(strip.owner))
    last_out = begin[out] + leaving[out] - 1
    bits, flat_ms, after = scan(
        strip.rows(every, strip.owner), tail, *delays, np.concatenate([end - 1, last_out])
    )
    judge(strip, checks, kind, rows, flat_ms[rows], verdict)

    before = np.empty_like(bits)
    before[1:] = bits[:-1]
    before[begin] = tail.bits
    anew = spread(first_new, end - first_new)
    order = np.argsort(source[is_new], kind="stable")
    mine = is_new[order]
    writes = _rewrite(group, strip, begin, size, leaving)
    places = np.concatenate([2 * group.sensor + HEAD, 2 * group.sensor[out] + TAIL])
    writes += state_writes(places, after)
    writes.append(Write("tail_ms", group.sensor[out], strip.time_ms[last_out]))
    return Part(
        row=accepted.row[source[mine]],
        flag=strip.flag[mine],
        evaluated=strip.evaluated[mine],
        rate_per_h=strip.rate_per_h[mine],
        touched=group.sensor,
        transitions=transitions_of(table, group.sensor, strip, anew, before[anew], bits[anew]),
        windows=_windows(table, group, strip.time_ms[first_new]),
        verdicts=_changed(table, group, strip, source, rows, old_flag, old_evaluated),
        writes=writes,
    )


def _merge(table: Table, group: Group, accepted: Accepted) -> tuple[Strip, Index]:
    """Ring and new readings of each sensor in order of time; the source of ring rows is -1."""
    held = table.count[group.sensor]
    ring_owner = np.repeat(np.arange(len(held)), held)
    slot = slots(spread(table.next[group.sensor] - held, held))
    ring = group.sensor[ring_owner] * RING + slot
    owner = np.concatenate([ring_owner, group.owner])
    time = np.concatenate([table.column("time_ms")[ring], accepted.time_ms])
    order = np.lexsort((time, owner))
    size = held + group.count
    strip = Strip.blank(
        owner[order],
        np.cumsum(size) - size,
        time[order],
        np.concatenate([table.column("value")[ring], accepted.value])[order],
    )
    source = np.concatenate([np.full(len(slot), -1), np.arange(len(accepted))])[order]
    from_ring = source < 0
    for name in RING_COLUMNS:
        getattr(strip, name)[from_ring] = table.column(name)[ring]
    return strip, source


def _rewrite(group: Group, strip: Strip, begin: Index, size: Index, leaving: Index) -> list[Write]:
    """Write each sensor's ring from slot 0 on."""
    kept = size - leaving
    rows = spread(begin + leaving, kept)
    at = np.repeat(group.sensor, kept) * RING + spread(np.zeros_like(kept), kept)
    return [
        *(Write(name, at, getattr(strip, name)[rows]) for name in RING_COLUMNS),
        Write("next", group.sensor, slots(kept)),
        Write("count", group.sensor, kept),
    ]


def _windows(table: Table, group: Group, from_ms: Times) -> Windows:
    has_rule = table.lanes.rule_mask[table.profile[group.sensor]] != 0
    owner, rule = np.nonzero(has_rule)
    return Windows(group.sensor[owner].astype(np.int32), rule.astype(np.int32), from_ms[owner])


def _changed(
    table: Table,
    group: Group,
    strip: Strip,
    source: Index,
    rows: Index,
    old_flag: np.ndarray,
    old_evaluated: np.ndarray,
) -> Verdicts:
    """Flags of ring readings that came out differently beside their new neighbours."""
    changed = (strip.flag[rows] != old_flag) | (strip.evaluated[rows] != old_evaluated)
    at = np.flatnonzero(changed & (source[rows] < 0))
    gained = (strip.evaluated[rows[at]] & ~old_evaluated[at] & Test.SPIKE) != 0
    rows = rows[at]
    sensor = group.sensor[strip.owner[rows]]
    awaited = gained & (strip.time_ms[rows] == table.newest_ms(sensor))
    return Verdicts(
        sensor.astype(np.int32), strip.time_ms[rows], strip.flag[rows], strip.evaluated[rows],
        awaited,
    )  # fmt: skip
