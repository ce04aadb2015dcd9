"""Names of the array types that the core passes around, and the one sentinel time."""

from collections.abc import Iterator
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

# Cells of a table that are computed on together. With few columns a call of NumPy costs more than
# what it computes, so that many rows go into one; with many they would not stay in the cache.
_CELLS: Final = 4_096


def spread(starts: Index, counts: Index) -> Index:
    """Concatenate the ranges start, start + 1, ... of given lengths.

    Examples
    --------
    >>> spread(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    begins = counts.cumsum() - counts
    shifts = (starts - begins).repeat(counts)
    return np.arange(len(shifts)) + shifts


def blocks(first: int, last: int, columns: int) -> Iterator[slice]:
    """Cut the rows `first` to `last` (not included) of a table into what is computed on together.

    Examples
    --------
    >>> list(blocks(1, 4, columns=5)), list(blocks(0, 2, columns=100_000))
    ([slice(1, 4, None)], [slice(0, 1, None), slice(1, 2, None)])
    """
    height = max(1, _CELLS // max(columns, 1))
    for low in range(first, last, height):
        yield slice(low, min(low + height, last))


def slots(place: Index) -> Index:
    """Slots of the ring at which places that only count up (or are negative) lie.

    RING is a power of two; a remainder would take ten times as long.
    """
    return place & (RING - 1)


def count_true(table: Bools) -> Index:
    """Count what is true in each column of fewer than 256 rows.

    Bytes are added as they are: several times as fast as counting in a wider type.
    """
    count: Index = np.add.reduce(table.view(np.uint8), axis=0, dtype=np.uint8).astype(np.int64)
    return count


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
    if len(profile) and not np.count_nonzero(profile != profile[0]):
        return profile[:1]
    return profile[owner]


def some_of(column: NDArray[_Scalar], index: Index | slice) -> NDArray[_Scalar]:
    """Some of a column as `kinds_of` gives it, or of what was looked up by it."""
    return column if len(column) == 1 else column[index]
