"""The Numenta anomaly benchmark's score, from its published function.

References
----------
Lavin and Ahmad (2015), Evaluating Real-time Anomaly Detection Algorithms - the Numenta Anomaly
Benchmark, IEEE ICMLA.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np


@dataclass(frozen=True)
class Weights:
    """What a found window, a false detection and a missed window count."""

    hit: float = 1.0
    false: float = 0.11
    missed: float = 1.0


STANDARD: Final = Weights()
FEW_FALSE: Final = Weights(false=0.22)
FEW_MISSED: Final = Weights(missed=2.0)
# The first 15% of a series, of 5,000 rows at most, are there to learn from and are not scored.
_PROBATION: Final = 0.15
_LONGEST: Final = 5_000


def worth(position: float) -> float:
    """Worth of a detection: 1 at the left edge of a window (-1), 0 at its right edge, then falling.

    Examples
    --------
    >>> [round(worth(y), 4) for y in (-1.0, -0.5, 0.0, 1.0, 9.0)]
    [0.9866, 0.8483, 0.0, -0.9866, -1.0]
    """
    return 2.0 / (1.0 + math.exp(min(5.0 * position, 50.0))) - 1.0


def probation(rows: int) -> int:
    """Rows at the beginning of a series that are not scored."""
    return int(_PROBATION * min(rows, _LONGEST))


def raw_score(
    detections: Sequence[int], windows: Sequence[tuple[int, int]], rows: int, weights: Weights
) -> float:
    """Sum over one series.

    Parameters
    ----------
    detections : sequence of int
        Rows at which something was found.
    windows : sequence of (int, int)
        First and last row of each labelled window, ascending.

    Notes
    -----
    The earliest detection in a window counts its worth, so that an exact left edge is 1; the
    others in it count nothing. One outside counts by how far it lies behind the window before it,
    in widths of that window; before the first window it is wholly false.
    """
    total = 0.0
    found = set()
    for row in sorted(set(detections)):
        if row < probation(rows):
            continue
        inside = next((w for w in windows if w[0] <= row <= w[1]), None)
        if inside is not None:
            if inside not in found:
                found.add(inside)
                position = (row - inside[1]) / max(inside[1] - inside[0], 1)
                total += weights.hit * worth(position) / worth(-1.0)
            continue
        before = [w for w in windows if w[1] < row]
        if before:
            first, last = before[-1]
            total += weights.false * worth((row - last) / max(last - first, 1))
        else:
            total -= weights.false
    return total - weights.missed * (len(windows) - len(found))


def normalised(
    series: Sequence[tuple[Sequence[int], Sequence[tuple[int, int]], int]],
    weights: Weights = STANDARD,
) -> float:
    """Score of a set of series: 0 for a detector that finds nothing, 100 for a perfect one."""
    reached = sum(raw_score(*one, weights) for one in series)
    windows = sum(len(one[1]) for one in series)
    nothing, perfect = -weights.missed * windows, weights.hit * windows
    return 100.0 * (reached - nothing) / (perfect - nothing)


def window_rows(times: np.ndarray, window: tuple[str, str]) -> tuple[int, int]:
    """First and last row of a labelled window."""
    begin, end = (np.datetime64(text, "ms").astype(np.int64) for text in window)
    return int(np.searchsorted(times, begin)), int(np.searchsorted(times, end, side="right")) - 1
