"""Sensors put back from their dumps and their newest stored readings."""

from collections.abc import Sequence

import numpy as np

from detectors.arrays import CONTEXT_ROWS, NEVER, RING, Index
from detectors.checks import Checks
from detectors.dump import Unpacked, unpack
from detectors.lanes import Lanes
from detectors.ordered import advance
from detectors.part import Accepted
from detectors.readings import Readings
from detectors.state import HEAD, RING_COLUMNS, TAIL, Table


def restore(
    table: Table, checks: Checks, sensors: Index, blobs: Sequence[bytes], context: Readings
) -> None:
    """Fill an empty table.

    The readings go through the same functions as when they came, so the ring's columns come out
    the same bits; the states after and before it are those of the dumps. Readings that storage
    has lost meanwhile only shorten the ring: the levels stay as they were.

    Parameters
    ----------
    table : Table
        Empty; written.
    checks : Checks
    sensors : int64[k]
        Each once.
    blobs
        Their dumps.
    context : Readings
        Their newest `CONTEXT_ROWS` stored readings, or more, in any order.

    Raises
    ------
    ValueError
        If a sensor is named twice, or there is not one dump for each.
    StateError
        If a dump cannot be read.
    """
    if len(np.unique(sensors)) != len(sensors):
        raise ValueError("a sensor is named twice")
    dumps = [unpack(blob) for blob in blobs]
    if len(dumps) != len(sensors):
        raise ValueError(f"{len(sensors)} sensors but {len(dumps)} dumps")
    _replay(table, checks, sensors, dumps, context)
    for sensor, dump in zip(sensors.tolist(), dumps, strict=True):
        _fit_ring(table, sensor, dump)
        _fit_state(table, sensor, dump)


def _replay(
    table: Table, checks: Checks, sensors: Index, dumps: list[Unpacked], context: Readings
) -> None:
    """Put each sensor's readings up to the dump's newest through the core."""
    through, since = np.full((2, len(table.profile)), NEVER, np.int64)
    through[sensors] = [dump.newest_ms for dump in dumps]
    # What storage has from before the series began, as after a state that was lost, was not looked
    # at. Where nothing has left the ring it holds the whole series.
    since[sensors] = [d.oldest_ms if d.tail_ms == d.begin_ms else d.begin_ms + 1 for d in dumps]
    order = np.lexsort((context.time_ms, context.sensor))
    sensor, time = context.sensor[order].astype(np.int64), context.time_ms[order]
    known = (time <= through[sensor]) & (time >= since[sensor])
    known[1:] &= (sensor[1:] != sensor[:-1]) | (time[1:] != time[:-1])
    order, sensor, time = order[known], sensor[known], time[known]
    # Only the newest rows: what a caller sends beyond them would cost time and change nothing.
    behind = np.searchsorted(sensor, sensor, side="right") - np.arange(len(sensor))
    near = behind <= CONTEXT_ROWS
    order, sensor, time = order[near], sensor[near], time[near]
    if len(order):
        part = advance(table, checks, Accepted(order, sensor, time, context.value[order]))
        for write in part.writes:
            table.column(write.name)[write.at] = write.values


def _fit_ring(table: Table, sensor: int, dump: Unpacked) -> None:
    """Shorten the ring to the readings that were in it."""
    held = int(table.count[sensor])
    slots = (table.next[sensor] - held + np.arange(held)) % RING
    kept = (
        slots[table.time_ms[sensor, slots] >= dump.oldest_ms][-dump.count :]
        if dump.count
        else slots[:0]
    )
    for name in RING_COLUMNS:
        column = getattr(table, name)[sensor]
        column[: len(kept)] = column[kept].copy()
    table.count[sensor] = len(kept)
    table.next[sensor] = len(kept) % RING


def _fit_state(table: Table, sensor: int, dump: Unpacked) -> None:
    lanes = table.lanes
    row = table.profile[sensor]
    table.flat[sensor] = dump.head_flat_ms, dump.tail_flat_ms
    table.tail_ms[sensor], table.begin_ms[sensor] = dump.tail_ms, dump.begin_ms
    table.timer[sensor] = NEVER
    head = tail = 0
    for lane, name in enumerate(lanes.ids[row].tolist()):
        if lanes.present[row, lane] and name in dump.lanes:
            on, run_ms, tail_on, tail_run_ms = dump.lanes[name]
            head |= on << lane
            tail |= tail_on << lane
            table.timer[sensor, :, lane] = run_ms, tail_run_ms
    table.bits[sensor] = _nested(lanes, int(row), head), _nested(lanes, int(row), tail)
    if dump.count and not table.count[sensor]:
        # Storage has none of the ring's readings any more: all of them have left it.
        table.tail_ms[sensor], table.flat[sensor, TAIL] = dump.newest_ms, dump.head_flat_ms
        table.bits[sensor, TAIL] = table.bits[sensor, HEAD]
        table.timer[sensor, TAIL] = table.timer[sensor, HEAD]


def _nested(lanes: Lanes, profile: int, bits: int) -> int:
    """A rule that gained a level below one that is on has that level on too."""
    for mask in lanes.rule_mask[profile].tolist():
        top = (bits & mask).bit_length()
        bits |= mask & ((1 << top) - 1) if bits & mask else 0
    return bits
