"""Street and river sensors: ultrasonic level, and contacts at 10, 20 and 30 cm."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from firmware_sim.devices.device import Device, grid_ms
from firmware_sim.payload import Sample
from firmware_sim.storm import Hydrograph

WAKE_M = 0.02  # from this rise on a sensor leaves its calm interval
CONTACTS_M = (0.10, 0.20, 0.30)


class _FloodDevice(Device):
    """Calm and flood interval: few readings while nothing happens, many while water stands.

    Parameters
    ----------
    hydrograph
        How water answers to a storm where the device hangs.
    flood_s, calm_every
        The interval in flood, and how many of them make the calm one.
    others
        As `Device`.
    """

    def __init__(
        self, *others: Any, hydrograph: Hydrograph, flood_s: float, calm_every: int, **named: Any
    ) -> None:
        super().__init__(*others, **named)
        if flood_s <= 0 or calm_every < 1:
            raise ValueError(
                f"{self.code}: the flood interval must be above 0 s and calm_every 1 or more"
            )
        self.hydrograph = hydrograph
        self._step_ms = int(flood_s * 1000)
        self._calm_every = calm_every
        # Devices are not switched on in the same second.
        self._phase_ms = int(self.chance.uniform("phase", 0, 0, self._step_ms))

    def rise_m(self, time_ms: int) -> float:
        """Return the true rise of the water above its base, in metres."""
        return self.weather.rise_m(self.hydrograph, time_ms)

    def _battery_v(self, time_ms: int) -> float:
        cycle = math.sin(2 * math.pi * time_ms / 86_400_000)
        return round(3.62 + 0.02 * cycle + self.chance.normal("battery", time_ms, 0.003), 3)


class LevelSensor(_FloodDevice):
    """An ultrasonic sensor that looks down on a street, or on a river.

    Parameters
    ----------
    noise_m
        Standard deviation of a single echo.
    outlier_rate
        Share of echoes that come from a passing car, a leaf, a spider.
    name
        The property it reports, such as `depth_m`.
    others
        As for all flood devices.
    """

    def __init__(
        self,
        *others: Any,
        noise_m: float = 0.004,
        outlier_rate: float = 0.001,
        name: str = "depth_m",
        **named: Any,
    ) -> None:
        super().__init__(*others, **named)
        self._noise_m = noise_m
        self._outlier_rate = outlier_rate
        self._name = name

    def times_ms(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """Yield the times of its readings; see `Device`."""
        for slot, time_ms in grid_ms(after_ms, until_ms, self._step_ms, self._phase_ms):
            if slot % self._calm_every == 0 or self.rise_m(time_ms) > WAKE_M:
                yield time_ms

    def measure(self, time_ms: int) -> Sample:
        """Return the water level in metres, to the millimetre."""
        rise_m = self.rise_m(time_ms)
        level_m = self.hydrograph.base_m + rise_m
        level_m += self.chance.normal("echo", time_ms, self._noise_m)
        # Waves grow with the depth; standing water is calm.
        ripple = math.sin(2 * math.pi * time_ms / 2_700)
        level_m += 0.008 * math.sqrt(rise_m) * ripple
        if self.chance.uniform("outlier?", time_ms) < self._outlier_rate:
            level_m += self.chance.uniform("outlier", time_ms, 0.15, 0.9)
        values = {self._name: round(max(0.0, level_m), 3)}
        slot = (time_ms - self._phase_ms) // self._step_ms
        if slot % self._calm_every == 0:
            values["battery_v"] = self._battery_v(time_ms)
        return Sample(time_ms, None, values)


class ContactSensor(_FloodDevice):
    """Electrodes at 10, 20 and 30 cm: reports at each change, and a heartbeat.

    The value is the height of the highest wet electrode in metres, 0 when all are dry.

    Parameters
    ----------
    contacts_m
        Heights of the electrodes.
    name
        The property it reports.
    others
        As for all flood devices.
    """

    def __init__(
        self,
        *others: Any,
        contacts_m: Sequence[float] = CONTACTS_M,
        name: str = "depth_m",
        **named: Any,
    ) -> None:
        super().__init__(*others, **named)
        self._contacts_m = tuple(sorted(contacts_m))
        self._name = name

    def wet_m(self, time_ms: int) -> float:
        """Return the height of the highest wet electrode."""
        depth_m = self.rise_m(time_ms)
        return max((height for height in self._contacts_m if height <= depth_m), default=0.0)

    def times_ms(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """Yield the times of its reports; see `Device`."""
        for slot, time_ms in grid_ms(after_ms, until_ms, self._step_ms, self._phase_ms):
            changed = self.wet_m(time_ms) != self.wet_m(time_ms - self._step_ms)
            if changed or slot % self._calm_every == 0:
                yield time_ms

    def measure(self, time_ms: int) -> Sample:
        """Return the highest wet electrode, and the battery."""
        return Sample(
            time_ms,
            None,
            {self._name: self.wet_m(time_ms), "battery_v": self._battery_v(time_ms)},
        )
