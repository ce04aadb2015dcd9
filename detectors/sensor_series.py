"""What one sensor reported, and what it says about a time at which it did not."""

from dataclasses import dataclass

import numpy as np

from detectors.arrays import NEVER, Bools, Floats, Index, Times


@dataclass(frozen=True, eq=False)
class SensorSeries:
    """The readings of one sensor, as a witness.

    Attributes
    ----------
    time_ms : int64[n]
        Ascending, no two equal.
    value : float64[n]
        Metres; NaN where the reading is missing or cannot have been measured.
    holds_ms : int
        For so long a reading speaks for the present. After that the sensor is silent, and a
        silent sensor is no witness.
    """

    time_ms: Times
    value: Floats
    holds_ms: int

    def at(self, time_ms: Times) -> tuple[Index, Bools]:
        """Return the newest row at or before each time, and whether it speaks for it.

        Parameters
        ----------
        time_ms : int64[m]

        Returns
        -------
        row : int64[m]
            0 where there is none.
        speaks : bool[m]
        """
        row = np.searchsorted(self.time_ms, time_ms, side="right") - 1
        there = row >= 0
        row = np.maximum(row, 0)
        if not len(self.time_ms):
            return row, np.zeros(len(time_ms), bool)
        return row, there & (time_ms - self.time_ms[row] <= self.holds_ms)

    def since(self, holds: Bools) -> Times:
        """Since when a condition has held without interruption, at each reading.

        Parameters
        ----------
        holds : bool[n]
            Whether each reading meets it; a silence between two readings interrupts it.

        Returns
        -------
        int64[n]
            NEVER where it does not hold.
        """
        linked = np.zeros(len(holds), bool)
        linked[1:] = np.diff(self.time_ms) <= self.holds_ms
        return since(self.time_ms, holds, linked)


def since(time_ms: Times, holds: Bools, linked: Bools) -> Times:
    """Since when a condition has held, row by row.

    Parameters
    ----------
    time_ms : int64[n]
        Ascending.
    holds : bool[n]
    linked : bool[n]
        Nothing interrupts it between the row before and this one.

    Returns
    -------
    int64[n]
        Time of the first row of each run; NEVER where it does not hold.
    """
    start = holds.copy()
    start[1:] &= ~(holds[:-1] & linked[1:])
    first = np.maximum.accumulate(np.where(start, np.arange(len(holds)), 0))
    return np.where(holds, time_ms[first], NEVER) if len(holds) else time_ms
