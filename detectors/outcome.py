"""What one step of the core gives back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from detectors.state import State


@dataclass(frozen=True, eq=False)
class Transitions:
    """Changes of level, ordered by sensor, rule and time.

    Attributes
    ----------
    sensor, rule : int32[t]
        Sensor of the fleet; index into its profile's rules.
    time_ms : int64[t]
        Phenomenon time of the reading that decided.
    from_level, to_level : int16[t]
        0 is below the first level.
    value : float64[t]
        The reading that decided.
    unconfirmed : bool[t]
        Raised by a step that no second reading has confirmed yet.
    """

    sensor: NDArray[np.int32]
    rule: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    from_level: NDArray[np.int16]
    to_level: NDArray[np.int16]
    value: NDArray[np.float64]
    unconfirmed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sensor)


@dataclass(frozen=True, eq=False)
class Windows:
    """Stretches that late readings made the core decide anew.

    Attributes
    ----------
    sensor, rule : int32[w]
    from_ms : int64[w]
        The step's transitions are all there are at or after this time; stored ones that are not
        among them are withdrawn.
    """

    sensor: NDArray[np.int32]
    rule: NDArray[np.int32]
    from_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sensor)


@dataclass(frozen=True, eq=False)
class Verdicts:
    """New flags of readings of earlier batches.

    Attributes
    ----------
    sensor : int32[v]
    time_ms : int64[v]
        Phenomenon time of the earlier reading.
    flag : uint8[v]
    evaluated : int16[v]
        Aggregate and mask, complete: they replace what was given before.
    awaited : bool[v]
        True: the spike test's verdict, which had to wait for the successor; it is written over
        the stored flag. False: a late neighbour changed the result; a new revision.
    """

    sensor: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]
    awaited: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sensor)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The new state and what was decided about each reading of the batch.

    Attributes
    ----------
    state : State
        After the batch. The state that was passed in keeps its meaning.
    flag : uint8[n]
        Aggregate QARTOD flag, in the order of the batch.
    evaluated : int16[n]
        Mask of `detectors.flags.Test`.
    late : bool[n]
        Older than the lateness bound: store it, nothing was decided on it.
    duplicate : bool[n]
        Same sensor, time and value as another reading that is known: drop it.
    conflict : bool[n]
        Same sensor and time as a known reading, other value: keep it aside.
    rate_per_h : float64[n]
        Guarded slope at the reading, unit per hour; NaN: not evaluated.
    touched : int32[t]
        Sensors whose state changed, ascending.
    transitions : Transitions
    windows : Windows
    verdicts : Verdicts
    """

    state: "State"
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]
    late: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    rate_per_h: NDArray[np.float64]
    touched: NDArray[np.int32]
    transitions: Transitions
    windows: Windows
    verdicts: Verdicts
