"""Names of the array types that the core passes around, and the one sentinel time."""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Times: TypeAlias = NDArray[np.int64]
Index: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Bits: TypeAlias = NDArray[np.uint16]
Marks: TypeAlias = NDArray[np.uint8]

# "No time": far before any reading, far enough from the end of int64 to be subtracted from.
NEVER: Final[int] = -(1 << 61)

# Readings that one decision may look back on, itself included.
WINDOW: Final = 16
# Readings per sensor that late data can still be sorted into. With one reading a minute, 15 minutes
# of lateness and a full window before them fit.
RING: Final = 32
# Readings that restore a sensor exactly: the ring, and the windows of its oldest rows.
CONTEXT_ROWS: Final = RING + WINDOW


def spread(starts: Index, counts: Index) -> Index:
    """Concatenate the ranges start, start + 1, ... of given lengths.

    Examples
    --------
    >>> spread(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + counts, counts)
