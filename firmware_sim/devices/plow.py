"""A GPS logger on a snowplow."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from firmware_sim.devices.device import Device, grid_ms
from firmware_sim.drive import Moment
from firmware_sim.payload import Fix, Sample
from firmware_sim.roads import EARTH_M_PER_DEG

WANDER_MS = 20_000  # the receiver's error changes over tens of seconds, not from fix to fix
ERROR_M = 2.5


class Plow(Device):
    """A plow that drives its tour again and again.

    Parameters
    ----------
    moments
        Its tour, one moment a second.
    moving_s, idle_every
        The interval while it moves, and how many of them make the one while it stands.
    start_s
        Where in its tour the plow is at the first storm's onset.
    others
        As `Device`.
    """

    def __init__(
        self,
        *others: Any,
        moments: Sequence[Moment],
        moving_s: float = 5,
        idle_every: int = 6,
        start_s: int = 0,
        **named: Any,
    ) -> None:
        super().__init__(*others, **named)
        if moving_s <= 0 or idle_every < 1 or not moments:
            raise ValueError(
                f"{self.code}: a plow needs a tour, an interval above 0 s and idle_every >= 1"
            )
        self._moments = moments
        self._step_ms = int(moving_s * 1000)
        self._idle_every = idle_every
        self._phase_ms = int(self.chance.uniform("phase", 0, 0, self._step_ms))
        self._offset_s = start_s

    def moment(self, time_ms: int) -> Moment:
        """Return the true motion at a time."""
        tour_s = (time_ms - self.weather.first_onset_ms) // 1000 + self._offset_s
        return self._moments[tour_s % len(self._moments)]

    def times_ms(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """Yield the times of its fixes; see `Device`."""
        for slot, time_ms in grid_ms(after_ms, until_ms, self._step_ms, self._phase_ms):
            now, before = self.moment(time_ms), self.moment(time_ms - self._step_ms)
            moves = now.speed_kmh > 0 or before.speed_kmh > 0
            if moves or now.blade != before.blade or slot % self._idle_every == 0:
                yield time_ms

    def measure(self, time_ms: int) -> Sample:
        """Return a fix with the receiver's error, Doppler speed and the blade switch."""
        moment = self.moment(time_ms)
        east_m, north_m = self._error_m("east", time_ms), self._error_m("north", time_ms)
        lat = moment.lat + north_m / EARTH_M_PER_DEG
        lon = moment.lon + east_m / (EARTH_M_PER_DEG * math.cos(math.radians(moment.lat)))
        stands = moment.speed_kmh == 0
        doppler = abs(self.chance.normal("doppler", time_ms, 0.1 if stands else 0.4))
        course = moment.course_deg + self.chance.normal("course", time_ms, 3.0)
        fix = Fix(
            lat=round(lat, 6),
            lon=round(lon, 6),
            speed_kmh=round(doppler if stands else max(0.0, moment.speed_kmh + doppler), 1),
            course_deg=round(course % 360, 1) % 360,
            hdop=round(0.8 + math.hypot(east_m, north_m) / 8, 1),
            blade=moment.blade,
        )
        return Sample(time_ms, None, {}, fix)

    def _error_m(self, axis: str, time_ms: int) -> float:
        knot, part_ms = divmod(time_ms, WANDER_MS)
        a, b = (self.chance.normal(axis, n, ERROR_M) for n in (knot, knot + 1))
        return a + (b - a) * part_ms / WANDER_MS + self.chance.normal(f"{axis}!", time_ms, 0.4)
