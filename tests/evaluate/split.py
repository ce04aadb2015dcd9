"""Which recordings a parameter may be chosen on, and which it is accepted on."""

from typing import Final

import numpy as np

# Every second sensor by its number in the set, every second calendar month. What is chosen is
# chosen on the first part alone; the second shares neither a sensor nor a storm with it.
TUNED: Final = "even sensors, odd months (tuned here)"
PARTS: Final[dict[str, tuple[int, int]]] = {
    TUNED: (0, 1),
    "odd sensors, even months": (1, 0),
    "even sensors, even months": (0, 0),
    "odd sensors, odd months": (1, 1),
}


def part_of(site: int, time_ms: int) -> str:
    """Name of the part that a flood of a sensor belongs to.

    Examples
    --------
    >>> part_of(3, 0)  # January is month 1
    'odd sensors, odd months'
    """
    since_1970 = int(np.datetime64(time_ms, "ms").astype("datetime64[M]").astype(int))
    mine = site % 2, (since_1970 + 1) % 2
    return next(name for name, part in PARTS.items() if part == mine)
