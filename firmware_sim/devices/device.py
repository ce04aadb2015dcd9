"""What all simulated devices have in common."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from firmware_sim.chance import Chance
from firmware_sim.faults import Dispatch, Fault, distort
from firmware_sim.payload import Sample
from firmware_sim.storm import Weather


class Device(ABC):
    """A device: what it measures when, as a pure function of time.

    Only the sequence number and the time of the last reading are state. A device that continues
    from a saved state repeats the very readings that it had not brought home.

    Parameters
    ----------
    code
        The device's code in its town.
    weather
        The town's weather.
    faults
        What goes wrong with this device.
    seed
        The run's seed.
    start_ms
        Readings later than this are measured.
    """

    def __init__(
        self,
        code: str,
        weather: Weather,
        faults: Sequence[Fault] = (),
        *,
        seed: int = 0,
        start_ms: int = 0,
    ) -> None:
        self.code = code
        self.weather = weather
        self.chance = Chance(seed, code)
        self.seq = 0
        self.measured_ms = start_ms
        self._faults = faults
        self._dispatch = Dispatch(faults, weather, self.chance)
        self._unconfirmed: deque[tuple[int, int]] = deque()
        self._confirmed = (0, start_ms)

    @abstractmethod
    def times_ms(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """Yield the times in (after_ms, until_ms] at which a healthy device measures."""

    @abstractmethod
    def measure(self, time_ms: int) -> Sample:
        """Return what a healthy device reports for this time, without a sequence number."""

    def collect(self, until_ms: int) -> list[Sample]:
        """Measure everything that is due up to `until_ms`; the order is the order of sending."""
        measured = []
        for time_ms in self.times_ms(self.measured_ms, until_ms):
            if self._struck("power", time_ms):
                continue
            self.seq += 1
            self._unconfirmed.append((self.seq, time_ms))
            sample = replace(self.measure(time_ms), seq=self.seq)
            measured.append(
                distort(sample, self._faults, self.weather, self.chance, self._values_at)
            )
        self.measured_ms = max(self.measured_ms, until_ms)
        return self._dispatch.arrange(measured)

    def has_power(self, time_ms: int) -> bool:
        """Whether the device runs."""
        return not self._struck("power", time_ms)

    def has_line(self, time_ms: int) -> bool:
        """Whether the device reaches the network."""
        return self.has_power(time_ms) and not self._struck("radio", time_ms)

    def confirm(self, acknowledged_seq: int) -> tuple[int, int]:
        """Return sequence number and time of the newest reading that is safe at the broker."""
        while self._unconfirmed and self._unconfirmed[0][0] <= acknowledged_seq:
            self._confirmed = self._unconfirmed.popleft()
        return self._confirmed

    def resume(self, seq: int, measured_ms: int) -> None:
        """Continue from a saved state."""
        self.seq = seq
        self.measured_ms = measured_ms
        self._confirmed = (seq, measured_ms)

    def _struck(self, kind: str, time_ms: int) -> bool:
        return any(
            fault.kind == kind and fault.start_ms(time_ms, self.weather) is not None
            for fault in self._faults
        )

    def _values_at(self, time_ms: int) -> Mapping[str, float]:
        return self.measure(time_ms).values


def grid_ms(after_ms: int, until_ms: int, step_ms: int, phase_ms: int) -> Iterator[tuple[int, int]]:
    """Yield (slot, time) of a regular grid in (after_ms, until_ms]."""
    slot = (after_ms - phase_ms) // step_ms + 1
    time_ms = slot * step_ms + phase_ms
    while time_ms <= until_ms:
        yield slot, time_ms
        slot += 1
        time_ms += step_ms
