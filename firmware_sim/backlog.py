"""The device's own store: what was measured and is not acknowledged yet."""

from collections import deque

from firmware_sim.payload import Sample


class Backlog:
    """A bounded first-in, first-out store of samples, as in a logger's flash memory.

    Only when it is full is the oldest sample given up, and counted: the newest water level is
    worth more than an old one.

    Parameters
    ----------
    capacity
        How many samples fit, at least 1.

    Raises
    ------
    ValueError
        If the capacity is below 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a backlog holds at least one sample, not {capacity}")
        self.capacity = capacity
        self.dropped = 0
        self._samples: deque[Sample] = deque()

    def __len__(self) -> int:
        return len(self._samples)

    def put(self, sample: Sample, *, in_flight: int = 0) -> None:
        """Keep a sample; with `in_flight` others still unacknowledged and occupying memory."""
        while self._samples and len(self._samples) + in_flight >= self.capacity:
            self._samples.popleft()
            self.dropped += 1
        self._samples.append(sample)

    def take(self, limit: int) -> list[Sample]:
        """Remove and return up to `limit` samples, oldest first."""
        return [self._samples.popleft() for _ in range(min(limit, len(self._samples)))]
