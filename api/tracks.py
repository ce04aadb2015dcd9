"""The ways of plows as lines: split where nothing is known, and where the blade moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from store.map import TrackPoint

LEAST_GAP_S = 120.0  # spec: split at gaps beyond max(120 s, 4 intervals)
GAP_INTERVALS = 4.0


@dataclass(frozen=True)
class Part:
    """A part of a way with one blade position; at least two points."""

    device_id: int
    blade: bool | None
    points: list[TrackPoint]

    @property
    def start(self) -> datetime:
        """Time of the first point."""
        return self.points[0].time

    @property
    def stop(self) -> datetime:
        """Time of the last point."""
        return self.points[-1].time


def max_gap_s(expected_interval_s: float) -> float:
    """Return the longest pause between two positions that a line bridges, in seconds."""
    return max(LEAST_GAP_S, GAP_INTERVALS * expected_interval_s)


def split(points: Sequence[TrackPoint], expected_interval_s: float) -> list[Part]:
    """Split one device's points, in order of time, into parts.

    The stretch on which the blade moved belongs to the position it had before: a road counts as
    worked from the first point at which the blade was seen down. A lone point is no line.
    """
    parts: list[Part] = []
    current: list[TrackPoint] = []
    limit_s = max_gap_s(expected_interval_s)

    def close() -> None:
        if len(current) > 1:
            parts.append(Part(current[0].device_id, current[0].blade, list(current)))

    for point in points:
        if current and (point.time - current[-1].time).total_seconds() > limit_s:
            close()
            current = []
        if current and point.blade != current[0].blade:
            current.append(point)
            close()
            current = []
        current.append(point)
    close()
    return parts
