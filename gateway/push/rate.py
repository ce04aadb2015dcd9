"""How much an operator may push: a rate that is said in every answer."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

# Buckets that are full again say nothing; they are forgotten once there are so many.
_BUCKETS = 1000


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a request is within the rate, how many more are, and when the next one is."""

    granted: bool
    remaining: int
    retry_after_s: int


class Rate:
    """A bucket for each operator that holds a minute's requests, and fills as time passes.

    Parameters
    ----------
    per_minute
        Requests of one operator.
    clock
        Seconds that never step back.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._left: dict[int, tuple[float, float]] = {}  # (requests left, at)

    def take(self, operator_id: int) -> Allowance:
        """Count one request."""
        now, most = self._clock(), self.per_minute
        left, at = self._left.get(operator_id, (float(most), now))
        left = min(most, left + (now - at) * most / 60)
        granted = left >= 1
        left -= granted
        if len(self._left) >= _BUCKETS:
            self._left = {who: one for who, one in self._left.items() if now - one[1] < 60}
        self._left[operator_id] = (left, now)
        return Allowance(granted, int(left), 0 if granted else math.ceil((1 - left) * 60 / most))
