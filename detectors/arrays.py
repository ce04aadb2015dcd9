"""Names of the array types that the core passes around, and the one sentinel time."""

from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Times: TypeAlias = NDArray[np.int64]
Index: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Bits: TypeAlias = NDArray[np.uint16]
Marks: TypeAlias = NDArray[np.uint8]

_Scalar = TypeVar("_Scalar", bound=np.generic)

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


def slots(place: Index) -> Index:
    """Slots of the ring at which places that only count up (or are negative) lie.

    RING is a power of two; a remainder would take ten times as long.
    """
    return place & (RING - 1)


def kinds_of(profile: Index, owner: Index) -> Index:
    """Profile of each reading; just one where all have the same, which numpy then broadcasts.

    Parameters
    ----------
    profile : int64[T]
    owner : int64[n]

    Returns
    -------
    int64[n] or int64[1]
    """
    if len(profile) and (profile == profile[0]).all():
        return profile[:1]
    return profile[owner]


def some_of(column: NDArray[_Scalar], index: Index | slice) -> NDArray[_Scalar]:
    """Some of a column as `kinds_of` gives it, or of what was looked up by it."""
    return column if len(column) == 1 else column[index]
