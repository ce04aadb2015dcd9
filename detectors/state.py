"""Detector state of a fleet."""

import json
from dataclasses import dataclass, field

from detectors.errors import StateError


@dataclass
class SensorState:
    """One sensor: newest time, and per rule and level the bit and the two run starts."""

    last_ms: int | None = None
    bits: list[list[bool]] = field(default_factory=list)
    run_a: list[list[int | None]] = field(default_factory=list)
    run_b: list[list[int | None]] = field(default_factory=list)
    seen: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """State of every sensor of a fleet; never written in place."""

    sensors: dict[int, SensorState]

    def dump(self, sensor: int) -> bytes:
        """Return the state of one sensor as bytes; `Fleet.load_state` reads them back."""
        one = self.sensors.get(sensor, SensorState())
        return json.dumps([one.last_ms, one.bits, one.run_a, one.run_b]).encode()


def load_sensor(blob: bytes) -> SensorState:
    """Read what `State.dump` wrote."""
    try:
        last_ms, bits, run_a, run_b = json.loads(blob)
    except ValueError as error:
        raise StateError("the stored detector state cannot be read") from error
    return SensorState(last_ms, bits, run_a, run_b)
