"""What the devices measure, and how fast their time goes by."""

import math
import random
import time

HOUR_MS = 3_600_000
CALM_M = 0.04  # below the first level


class Calm:
    """Dry streets: many readings in little time, and no alert.

    Parameters
    ----------
    chance
        Decides the values.
    messages
        How many readings there will be; the last of them is an hour old.
    """

    step_ms = 37

    def __init__(self, chance: random.Random, messages: int = 0) -> None:
        self._chance = chance
        self.end_ms = int(time.time() * 1000) - HOUR_MS
        self.begin_ms = self.end_ms - messages * self.step_ms

    def held_for(self, _at_ms: int) -> int:
        """Return by how many messages a reading that is held back is late, on average."""
        return 10

    def depth_m(self, _device: int, _at_ms: int) -> float:
        """Return what a device, by its number, measures at a time."""
        return round(self._chance.uniform(0, CALM_M), 3)


class Floods(Calm):
    """Every other street floods and dries again and again, through all its levels.

    Four devices send a reading a minute each. What is held back is late by 25 minutes on average:
    some is sorted in by the gateway, and some is settled by the jobs. In the last quarter it is
    late by minutes only, so that the end need not wait long for the jobs.
    """

    step_ms = 15_000

    # Half of it is dry: longer than the 30 minutes after which an alert ends.
    period_ms = 90 * 60_000
    peak_m = 0.4
    # Higher in a minute than any street floods: an alert that no second reading confirms.
    splash_m = 0.6
    splashes = 0.005

    def held_for(self, at_ms: int) -> int:
        """Return by how many messages a reading that is held back is late, on average."""
        last = at_ms > self.end_ms - (self.end_ms - self.begin_ms) // 4
        return 10 if last else 100

    def depth_m(self, device: int, at_ms: int) -> float:
        """Return what a device, by its number, measures at a time."""
        calm = super().depth_m(device, at_ms)
        if device % 2:
            return calm
        turn = 2 * math.pi * (at_ms - self.begin_ms) / self.period_ms
        flood = self.peak_m * max(0.0, math.sin(turn + device))
        splash = self.splash_m if self._chance.random() < self.splashes else 0.0
        return round(flood + splash + calm / 10, 3)
