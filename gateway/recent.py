"""A memory of readings that were stored a moment ago: what the broker sends again is dropped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# 2^20 readings are a minute at 17,000 a second, in 28 MiB: longer than any redelivery after a
# lost acknowledgement takes.
SLOTS = 1 << 20
_FREE = -1


@dataclass(frozen=True, eq=False)
class Verdict:
    """What is known of each row: stored with the same value, or with another; both bool[n].

    `seq` (int64[n]) is the device's number of what is known, and means nothing of the others.
    """

    same: NDArray[np.bool_]
    other: NDArray[np.bool_]
    seq: NDArray[np.int64]


class Recent:
    """A table with one place for each (key, phenomenon time), older ones overwritten.

    It may forget, and then the database decides; it never takes a new reading for a known one.
    The key is a datastream's or a device's id in the database: a reload changes nothing.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        if slots & (slots - 1):
            raise ValueError(f"slots must be a power of two, got {slots}")
        self._mask = np.uint64(slots - 1)
        self._key = np.full(slots, _FREE, np.int32)
        self._time_ms = np.zeros(slots, np.int64)
        self._value = np.zeros(slots, np.int64)
        self._seq = np.zeros(slots, np.int64)

    def look(
        self, key: NDArray[np.int32], time_ms: NDArray[np.int64], value: NDArray[np.float64]
    ) -> Verdict:
        """Tell which rows are known."""
        slot = self._slot(key, time_ms)
        known = (self._key[slot] == key) & (self._time_ms[slot] == time_ms)
        equal = self._value[slot] == _bits(value)
        return Verdict(known & equal, known & ~equal, self._seq[slot])

    def remember(
        self,
        key: NDArray[np.int32],
        time_ms: NDArray[np.int64],
        value: NDArray[np.float64],
        seq: NDArray[np.int64],
    ) -> None:
        """Take in rows that were committed; of two in one place the last stays."""
        slot = self._slot(key, time_ms)
        # Assignments with repeated indices keep the last one, in each column alike.
        self._key[slot] = key
        self._time_ms[slot] = time_ms
        self._value[slot] = _bits(value)
        self._seq[slot] = seq

    def forget(self) -> None:
        """Forget everything: after a commit whose outcome is not known."""
        self._key.fill(_FREE)

    def _slot(self, key: NDArray[np.int32], time_ms: NDArray[np.int64]) -> NDArray[np.intp]:
        # Fibonacci hashing (Knuth, TAOCP 3, 6.4): 2^64 over the golden ratio, and another odd
        # constant to mix the second key.
        mixed = time_ms.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed += key.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
        mixed ^= mixed >> np.uint64(29)
        return (mixed & self._mask).astype(np.intp)


def _bits(value: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return values as integers that are equal where they mean the same: one zero, one NaN."""
    plain = np.where(np.isnan(value), np.nan, value + 0.0)
    return plain.view(np.int64)
