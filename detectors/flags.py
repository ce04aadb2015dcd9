"""Quality flags and the tests that gave them.

The five flag values are those of the IOOS QARTOD manuals and are used everywhere, SQL included.
"""

from enum import IntEnum, IntFlag, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray


@unique
class Flag(IntEnum):
    """QARTOD's flag of one reading."""

    GOOD = 1
    NOT_EVALUATED = 2
    SUSPECT = 3
    FAIL = 4
    MISSING = 9


@unique
class Test(IntFlag):
    """The tests, as bits of an `evaluated` mask: GOOD alone would hide what was not evaluated."""

    __test__ = False  # the word means a quality test here; test runners look for such classes

    GROSS_RANGE = 1
    CLIMATOLOGY = 2
    SPIKE = 4
    RATE_OF_CHANGE = 8
    FLAT_LINE = 16
    ATTENUATED = 32
    LOCATION = 64
    SPEED = 128
    CONFLICT = 256
    CONSISTENCY = 512  # neighbours: other datastreams were looked at
    STUCK = 1024  # it stands still while its neighbours move
    LADDER = 2048  # a contact above a dry one is wet
    SCATTER = 4096  # rate of change B: a step against the scatter of the day before
    DRIFT = 8192


# Aggregate: FAIL > SUSPECT > GOOD > NOT EVALUATED > MISSING (QARTOD, and ioos_qc's qartod_compare).
_RANK: Final = (Flag.MISSING, Flag.NOT_EVALUATED, Flag.GOOD, Flag.SUSPECT, Flag.FAIL)
_RANK_OF: Final = np.zeros(10, np.uint8)
for _rank, _flag in enumerate(_RANK):
    _RANK_OF[_flag] = _rank
_FLAG_OF: Final = np.array(_RANK, np.uint8)


def aggregate(*flags: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Join the verdicts of several tests on the same readings.

    Parameters
    ----------
    *flags : uint8[n], at least one
        QARTOD flags of one test each.

    Returns
    -------
    uint8[n]
        The worst verdict; MISSING only where every test says so.

    Examples
    --------
    >>> aggregate(np.array([1, 2, 9], np.uint8), np.array([3, 1, 9], np.uint8)).tolist()
    [3, 1, 9]
    """
    rank = _RANK_OF[flags[0]]
    for flag in flags[1:]:
        rank = np.maximum(rank, _RANK_OF[flag])
    joined: NDArray[np.uint8] = _FLAG_OF[rank]
    return joined
