"""Whether a thread goes on: a sign of life is worth nothing while the work stands still."""

from typing import Final

# Longer than anything takes that ends by itself: a batch on a slow disk, a wait for a settlement.
# The other gateways then take over; see `store.gateways.LEASE_S`.
STUCK_S: Final = 30.0
# What stands still for so long does not come back: the process ends, to be started anew. Longer
# than it takes to end connections over which the database never answers: `store.line_watch`.
ABANDONED_S: Final = 180.0


class Progress:
    """Counts a thread's steps, and for how long there has been none.

    Parameters
    ----------
    look_every_s
        How often `look` is called. Of a longer pause only so much counts, twice: the looking
        thread was frozen as well, with its process or the whole machine.
    """

    def __init__(self, look_every_s: float) -> None:
        self._most_s = 2 * look_every_s
        self._steps = 0
        self._seen = 0
        self._looked_s: float | None = None
        self._still_s = 0.0

    def step(self) -> None:
        """Say that the work goes on; from its thread alone."""
        self._steps += 1

    def look(self, now_s: float) -> float:
        """Return for how many seconds the work has stood still.

        Parameters
        ----------
        now_s
            On any clock that never goes back.
        """
        passed_s = 0.0 if self._looked_s is None else min(now_s - self._looked_s, self._most_s)
        self._looked_s = now_s
        steps = self._steps
        self._still_s = self._still_s + passed_s if steps == self._seen else 0.0
        self._seen = steps
        return self._still_s
