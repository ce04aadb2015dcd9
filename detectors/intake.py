"""A batch put in order: sorted, duplicates and conflicts found, late readings told apart."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from detectors.arrays import RING, WINDOW, Bools, Floats, Index, Times, slots
from detectors.readings import Readings
from detectors.state import Table

# Below this many readings one sort by all keys is cheaper than to find out whether it is needed.
_FEW: Final = 100


@dataclass(frozen=True, eq=False)
class Intake:
    """A batch of n readings as the core takes it in.

    Attributes
    ----------
    rows : int64[m]
        Accepted rows of the batch, by sensor and time.
    sensor : int64[m]
    time_ms : int64[m]
    value : float64[m]
    reorders : bool[m]
        The reading is older than one that its sensor had already decided on.
    late, duplicate, conflict : bool[n]
        In the batch's own order; see `Outcome`.
    repeat, twin : int64[r]
        Duplicates within the batch, and the rows that they repeat.
    """

    rows: Index
    sensor: Index
    time_ms: Times
    value: Floats
    reorders: Bools
    late: Bools
    duplicate: Bools
    conflict: Bools
    repeat: Index
    twin: Index

    @classmethod
    def sort(cls, readings: Readings, table: Table) -> Self:
        """Sort a batch against what the table knows.

        Raises
        ------
        ValueError
            A sensor that the table does not have.
        """
        n = len(readings)
        late, duplicate, conflict = (np.zeros(n, bool) for _ in range(3))
        repeat = twin = np.zeros(0, np.int64)
        rows = _order(readings)
        sensor, time = readings.sensor[rows].astype(np.int64), readings.time_ms[rows]
        value = readings.value[rows]
        _check_sensors(sensor, len(table.profile))

        met = (sensor[1:] == sensor[:-1]) & (time[1:] == time[:-1])
        if np.count_nonzero(met):
            again = np.zeros(n, bool)
            again[1:] = met
            kept = np.maximum.accumulate(np.where(again, 0, np.arange(n)))
            same = again & _equal(value, value[kept])
            repeat, twin = rows[same], rows[kept[same]]
            duplicate[repeat] = True
            conflict[rows[again & ~same]] = True
            rows, sensor, time, value = rows[~again], sensor[~again], time[~again], value[~again]

        reorders = time <= table.newest_ms(sensor)
        old = reorders.nonzero()[0]
        if len(old):
            accept = np.ones(len(rows), bool)
            accept[old] = _check_old(
                table, (rows[old], sensor[old], time[old], value[old]), late, duplicate, conflict
            )
            rows, sensor, time, value = rows[accept], sensor[accept], time[accept], value[accept]
            reorders = reorders[accept]
        return cls(rows, sensor, time, value, reorders, late, duplicate, conflict, repeat, twin)


def _check_sensors(sensor: Index, fleet: int) -> None:
    """Refuse sensors, in ascending order, that the fleet does not have."""
    if len(sensor) and not 0 <= int(sensor[0]) <= int(sensor[-1]) < fleet:
        raise ValueError(
            f"sensors are numbered from 0 to {fleet - 1}, got {sensor[0]} to {sensor[-1]}"
        )


def _order(readings: Readings) -> Index:
    """Rows by sensor and time; readings of one moment by value, so that arrival does not count."""
    sensor, time = readings.sensor, readings.time_ms
    if len(sensor) < _FEW:
        return np.lexsort((readings.value, time, sensor))
    ahead = (sensor[1:] > sensor[:-1]) | ((sensor[1:] == sensor[:-1]) & (time[1:] > time[:-1]))
    if ahead.all():
        return np.arange(len(sensor))
    order = _sorted(sensor.astype(np.int64), time)
    met = (sensor[order[1:]] == sensor[order[:-1]]) & (time[order[1:]] == time[order[:-1]])
    if met.any():
        order = np.lexsort((readings.value, time, sensor))
    return order


def _sorted(sensor: Index, time: Times) -> Index:
    """Order by sensor and time, of equal ones any; by one key where both fit, which is faster."""
    first, span = int(time.min()), int(time.max()) - int(time.min()) + 1
    if max(int(sensor.max()) + 1, -int(sensor.min())) * span < 1 << 62:
        return np.argsort(sensor * span + (time - first))
    return np.lexsort((time, sensor))


def _equal(a: Floats, b: Floats) -> Bools:
    equal: Bools = (a == b) | (np.isnan(a) & np.isnan(b))
    return equal


def _check_old(
    table: Table,
    old: tuple[Index, Index, Times, Floats],
    late: Bools,
    duplicate: Bools,
    conflict: Bools,
) -> Bools:
    """Which of the readings that are not newer than their sensor's newest can still be sorted in.

    A reading is too late when it is older than the bound or than the series, or when the ring no
    longer holds the window before it (unless nothing has left the ring yet, so that it holds all
    there is).
    """
    rows, sensor, time, value = old
    slot = np.arange(RING)
    behind = slots(table.next[sensor][:, None] - 1 - slot)
    held = slot < table.count[sensor][:, None]
    ring_time = table.time_ms[sensor[:, None], behind]
    hit = held & (ring_time == time[:, None])
    known = hit.any(axis=1)
    at = behind[np.arange(len(rows)), np.argmax(hit, axis=1)]
    same = known & _equal(table.value[sensor, at], value)
    duplicate[rows[same]] = True
    conflict[rows[known & ~same]] = True

    bound_ms = table.newest_ms(sensor) - table.lanes.lateness_ms[table.profile[sensor]]
    before = np.count_nonzero(held & (ring_time < time[:, None]), axis=1)
    begin_ms = table.begin_ms[sensor]
    whole = table.tail_ms[sensor] == begin_ms
    sortable = (time >= bound_ms) & (time > begin_ms) & (whole | (before >= WINDOW))
    late[rows[~known & ~sortable]] = True
    accept: Bools = ~known & sortable
    return accept
