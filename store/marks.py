"""Marks of an observation or a position: what is remarkable beside its quality flag."""

import enum

import numpy as np
from numpy.typing import NDArray


class Mark(enum.IntFlag):
    """Bit mask in the column ``marks`` (smallint)."""

    NO_DEVICE_TIME = 1
    """The device sent no time; the received time stands in for it."""
    AT_LEAST_ONCE = 2
    """Neither time nor sequence number came: a redelivery may be stored twice."""
    TRAINING = 4
    """訓練: the town was in an exercise when it was received."""
    CLOCK_SUSPECT = 8
    """The device's clock stepped back, or runs ahead of ours."""
    LATE = 16
    """Older than the lateness bound: stored, but not decided on in real time."""
    CONFLICT = 32
    """Another value came for the same phenomenon time; the winner stands here."""
    SETTLED = 64
    """LATE, and decided on since, in its place, by the settlement."""


def borne(mark: Mark, *columns: NDArray[np.int16]) -> bool:
    """Tell whether any row bears a mark, given the marks of some rows and of others.

    Examples
    --------
    >>> borne(Mark.LATE, np.array([0, 4], np.int16), np.array([24], np.int16))
    True
    """
    bit = mark.value
    return any(np.count_nonzero(column & bit) for column in columns if len(column))
