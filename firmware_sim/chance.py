"""Seeded chance that depends on what is asked, not on how often it was asked before."""

import random


class Chance:
    """Random numbers that are a pure function of seed, names and slot.

    A device that is switched off and on again, or asked for its readings in another order, gives
    the same value for the same moment. That is what makes a regenerated reading a harmless
    duplicate instead of a conflict.

    Parameters
    ----------
    seed
        The run's seed.
    names
        What the numbers are for, such as a device code.
    """

    def __init__(self, seed: int, *names: str) -> None:
        self._key = ":".join((str(seed), *names))

    def _random(self, what: str, slot: int) -> random.Random:
        return random.Random(f"{self._key}:{what}:{slot}")

    def uniform(self, what: str, slot: int, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number between `low` and `high` for this slot."""
        return self._random(what, slot).uniform(low, high)

    def normal(self, what: str, slot: int, sd: float = 1.0) -> float:
        """Return a normally distributed number around 0 for this slot."""
        return self._random(what, slot).gauss(0.0, sd)
