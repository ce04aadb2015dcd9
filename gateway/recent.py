"""A memory of readings that were stored a moment ago: what the broker sends again is dropped."""

import numpy as np
from numpy.typing import NDArray

# 2^20 readings are a minute at 17,000 a second, in 32 MiB: longer than any redelivery after a
# lost acknowledgement takes.
SLOTS = 1 << 20
# Fibonacci hashing (Knuth, TAOCP 3, 6.4): 2^64 over the golden ratio, and another odd constant to
# mix the second key.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xD1B54A32D192ED03)
# Side by side in 32 bytes: each place is visited once.
_PLACE = np.dtype([("key", "i8"), ("time_ms", "i8"), ("value", "f8"), ("seq", "i8")])


class Recent:
    """A table with one place for each (key, phenomenon time), older ones overwritten.

    It may forget, and then the database decides; it never takes a new reading for a known one.
    The key is a datastream's or a device's id in the database: a reload changes nothing, and 0,
    which is none, marks a place that is free.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        if slots & (slots - 1):
            raise ValueError(f"slots must be a power of two, got {slots}")
        self._shift = np.uint64(65 - slots.bit_length())
        self._places = np.zeros(slots, _PLACE)

    def look(
        self, key: NDArray[np.int32], time_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]:
        """Tell which rows are known, and what is.

        Returns
        -------
        bool[n], float64[n], int64[n]
            Whether each is known, its value and its number, which mean nothing of the others.
        """
        there = self._places.take(self._slot(key, time_ms))
        known: NDArray[np.bool_] = (there["key"] == key) & (there["time_ms"] == time_ms)
        return known, there["value"], there["seq"]

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
        self._places["key"][slot] = key
        self._places["time_ms"][slot] = time_ms
        self._places["value"][slot] = value
        self._places["seq"][slot] = seq

    def forget(self) -> None:
        """Forget everything: after a commit whose outcome is not known."""
        self._places = np.zeros(len(self._places), _PLACE)

    def _slot(self, key: NDArray[np.int32], time_ms: NDArray[np.int64]) -> NDArray[np.intp]:
        mixed = (time_ms.view(np.uint64) ^ key.view(np.uint32) * _ODD) * _GOLDEN
        return (mixed >> self._shift).view(np.intp)


def equal(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return bool[n]: where two values mean the same. NaN, for a missing one, equals NaN."""
    same: NDArray[np.bool_] = (a == b) | (np.isnan(a) & np.isnan(b))
    return same
