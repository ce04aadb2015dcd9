"""Probes that somebody has lifted out of the water: they all jump together."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from detectors.arrays import NEVER, Bools, Floats, Times
from detectors.pond import confirmed
from detectors.window import extremes, newest

# A change within so long, or from one reading to the next, is a jump, of at least so much: far
# beyond what pond water does in it [J].
JUMP_WITHIN_MS: Final = 300_000
NEXT_WITHIN_MS: Final = 900_000
JUMPS: Final = {"water_temp_c": 1.0, "ph": 0.3, "dissolved_oxygen_mg_l": 0.8}
# All probes of a device are thrown off at once by a glitch too, but for one reading only. Readings
# further apart are believed at once: an alert waits ten minutes, and must not be told before.
CONFIRM_MS: Final = 600_000
# The jumps of the probes lie so close together.
TOGETHER_MS: Final = 300_000
# So long after the last of them nothing is told: probes come to rest in the water [J].
QUIET_MS: Final = 1_800_000
# A probe that gave nothing for so long takes no part.
PRESENT_MS: Final = 3_600_000


def jumps(times_ms: Times, values: Floats, size: float) -> Bools:
    """Readings that stand `size` or more from one just before.

    That is any of the five minutes before, and the last one if it is not older than a quarter of
    an hour. A single odd reading is none where the readings follow each other fast.

    Parameters
    ----------
    times_ms : int64[n]
        Ascending.
    values : float64[n]
        Without NaN.
    size : float
        In the values' unit.

    Returns
    -------
    bool[n]
    """
    last = np.arange(len(times_ms))
    first = np.searchsorted(times_ms, times_ms - JUMP_WITHIN_MS).astype(np.int64)
    follows = np.zeros(len(times_ms), np.int64)
    follows[1:] = np.diff(times_ms) <= NEXT_WITHIN_MS
    first = np.minimum(first, last - follows)
    values = confirmed(times_ms, values, CONFIRM_MS)
    low, high = extremes(values, first, last)
    jumped: Bools = np.maximum(values - low, high - values) >= size
    return jumped


def lifted(probes: Sequence[tuple[Times, Bools]]) -> tuple[Times, Times]:
    """Times in which the probes were lifted out.

    Parameters
    ----------
    probes
        Per probe the times of its readings, ascending, and which of them jumped.

    Returns
    -------
    int64[k], int64[k]
        From the first jump of the probes up to `QUIET_MS` after the last, ascending; the times may
        overlap. Never for a single probe: alone it may be right. All that gave a reading within an
        hour must have jumped within `TOGETHER_MS`.
    """
    none = np.zeros(0, np.int64)
    at_ms = np.unique(np.concatenate([none, *(times[jumped] for times, jumped in probes)]))
    first, latest = np.full(len(at_ms), -NEVER), np.full(len(at_ms), NEVER)
    present = np.zeros(len(at_ms), np.int64)
    for times, jumped in probes:
        there = newest(times, at_ms, PRESENT_MS) >= 0
        leaps = times[jumped]
        last = newest(leaps, at_ms, PRESENT_MS)
        leap = np.where(last < 0, NEVER, leaps[np.maximum(last, 0)]) if len(leaps) else NEVER
        first = np.where(there, np.minimum(first, leap), first)
        latest = np.where(there, np.maximum(latest, leap), latest)
        present += there
    together = (present >= 2) & (first != NEVER) & (latest - first <= TOGETHER_MS)
    # Where a probe fell out or came back the first jump may lie before that of the time before.
    since = np.minimum.accumulate(first[together][::-1])[::-1]
    return since, latest[together] + QUIET_MS


def quiet_left_ms(spans: tuple[Times, Times], at_ms: Times) -> Times:
    """For how long nothing is told yet at each moment.

    Parameters
    ----------
    spans
        As `lifted` gives them.
    at_ms : int64[m]

    Returns
    -------
    int64[m]
        Milliseconds; 0: the probes are in the water.
    """
    since, until = spans
    if not len(since):
        return np.zeros(len(at_ms), np.int64)
    place = np.searchsorted(since, at_ms, side="right") - 1
    left = until[np.maximum(place, 0)] - at_ms
    return np.where(place < 0, 0, np.clip(left, 0, QUIET_MS))
