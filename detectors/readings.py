"""Readings as a struct of arrays: what the core takes in."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Readings:
    """n readings of any sensors in any order.

    Attributes
    ----------
    sensor : int32[n]
        Index of the sensor (datastream) in the fleet.
    time_ms : int64[n]
        Phenomenon time, milliseconds since 1970 UTC.
    value : float64[n]
        In the datastream's unit. NaN: the device reported a missing value.
    """

    sensor: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    value: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not (self.sensor.ndim == self.time_ms.ndim == self.value.ndim == 1):
            raise ValueError("sensor, time_ms and value must be one-dimensional")
        if not (len(self.sensor) == len(self.time_ms) == len(self.value)):
            raise ValueError(
                "sensor, time_ms and value must have one length, got "
                f"{len(self.sensor)}, {len(self.time_ms)} and {len(self.value)}"
            )

    def __len__(self) -> int:
        return len(self.sensor)

    @classmethod
    def of(cls, sensor: ArrayLike, time_ms: ArrayLike, value: ArrayLike) -> Self:
        """Build from anything array-like; a scalar `sensor` stands for all rows.

        Examples
        --------
        >>> len(Readings.of(0, [0, 60_000], [0.01, 0.02]))
        2
        """
        time = np.asarray(time_ms, np.int64)
        sensors = np.broadcast_to(np.asarray(sensor, np.int32), time.shape)
        return cls(sensors, time, np.asarray(value, np.float64))

    @classmethod
    def none(cls) -> Self:
        """No readings."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.float64))

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """Rows picked by index or mask."""
        return type(self)(self.sensor[index], self.time_ms[index], self.value[index])
