"""Probes in carp ponds: temperature, pH and dissolved oxygen through day and night."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from firmware_sim.devices.device import Device, grid_ms
from firmware_sim.payload import Sample
from firmware_sim.storm import Hydrograph

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class PondWater:
    """The water of one pond.

    Parameters
    ----------
    temp_c, temp_swing_c
        Daily mean and half of the daily range.
    ph, oxygen_mg_l
        Daily means.
    bloom_ph, bloom_oxygen_mg_l
        Half of the daily range that algae make: they lift both by day and oxygen sags by night.
    ph_drift_per_day
        How far the probe drifts until it is calibrated, every 14 days.
    aerator_loss_mg_l
        How much oxygen goes while a storm stops the pond's paddle wheel.
    utc_offset_h
        Of the sun that shines on the pond.
    """

    temp_c: float
    temp_swing_c: float
    ph: float
    bloom_ph: float
    oxygen_mg_l: float
    bloom_oxygen_mg_l: float
    ph_drift_per_day: float = 0.0
    aerator_loss_mg_l: float = 0.0
    utc_offset_h: float = 9.0

    def day_part(self, time_ms: int) -> float:
        """Return the part of the solar day, 0 at midnight, 0.5 at noon."""
        return (time_ms / DAY_MS + self.utc_offset_h / 24) % 1.0


class PondProbe(Device):
    """A probe chain at one pond.

    Parameters
    ----------
    water
        The pond.
    interval_s
        Time between two readings.
    others
        As `Device`.
    """

    def __init__(self, *others: Any, water: PondWater, interval_s: float, **named: Any) -> None:
        super().__init__(*others, **named)
        if interval_s <= 0:
            raise ValueError(f"{self.code}: the interval must be above 0 s, not {interval_s}")
        self.water = water
        self._step_ms = int(interval_s * 1000)
        self._phase_ms = int(self.chance.uniform("phase", 0, 0, self._step_ms))
        self._aerator = Hydrograph(
            base_m=0,
            peak_m=water.aerator_loss_mg_l,
            lag_s=240,
            rise_s=900,
            hold_s=300,
            recession_s=1500,
        )

    def times_ms(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """Yield the times of its readings; see `Device`."""
        for _slot, time_ms in grid_ms(after_ms, until_ms, self._step_ms, self._phase_ms):
            yield time_ms

    def measure(self, time_ms: int) -> Sample:
        """Return temperature (°C), pH and dissolved oxygen (mg/L)."""
        water = self.water
        part = water.day_part(time_ms)
        # Water is warmest in the middle of the afternoon; oxygen and pH, which algae make from
        # light, are highest before sunset and lowest before sunrise.
        warmth = math.cos(2 * math.pi * (part - 15 / 24))
        bloom = math.cos(2 * math.pi * (part - 16.5 / 24))
        bloom += 0.25 * math.cos(4 * math.pi * (part - 16.5 / 24))  # dusk falls faster than dawn
        cloud = 0.7 + 0.3 * self._wander("cloud", time_ms, 31.0)
        temp_c = water.temp_c + water.temp_swing_c * warmth + 0.4 * self._wander("air", time_ms, 55)
        drift_days = (time_ms / DAY_MS) % 14
        ph = water.ph + water.bloom_ph * bloom * cloud + water.ph_drift_per_day * drift_days
        oxygen = water.oxygen_mg_l + water.bloom_oxygen_mg_l * bloom * cloud
        oxygen -= self.weather.rise_m(self._aerator, time_ms)
        return Sample(
            time_ms,
            None,
            {
                "water_temp_c": round(temp_c + self.chance.normal("temp", time_ms, 0.02), 2),
                "ph": round(ph + self.chance.normal("ph", time_ms, 0.008), 2),
                "dissolved_oxygen_mg_l": round(
                    max(0.0, oxygen + self.chance.normal("oxygen", time_ms, 0.03)), 2
                ),
            },
        )

    def _wander(self, what: str, time_ms: int, period_h: float) -> float:
        """Return a smooth number in [-1, 1] that changes over `period_h` hours."""
        hours = time_ms / 3_600_000
        first, second = (self.chance.uniform(f"{what}{n}", 0, 0, 2 * math.pi) for n in (1, 2))
        slow = math.sin(2 * math.pi * hours / period_h + first)
        return 0.6 * slow + 0.4 * math.sin(2 * math.pi * hours / (period_h * 0.37) + second)
