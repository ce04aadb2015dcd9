"""The state machine of one sensor's levels in plain numbers: see `detectors.hysteresis`."""

from dataclasses import dataclass

from detectors.arrays import NEVER
from detectors.plain_profile import PlainProfile
from detectors.strip import BROKEN, SAME

_BROKEN, _SAME = int(BROKEN), int(SAME)


@dataclass(slots=True)
class PlainMachine:
    """The state machine of a sensor between two readings; see `Carry`."""

    bits: int
    timer: list[int]
    flat_ms: int

    def run(
        self, profile: PlainProfile, time_ms: int, reach: int, leave: int, mark: int
    ) -> "PlainMachine":
        """Return the state after one more reading, of which `reach`, `leave`, `mark` are known."""
        flat_ms = self.flat_ms if mark & _SAME else time_ms
        bits, timer = 0, [NEVER] * len(self.timer)
        if self.bits or reach:
            for lane, bit, on_ms, off_ms in profile.delays:
                is_on = self.bits & bit
                if bit & (leave if is_on else reach):
                    began = NEVER if mark & _BROKEN else self.timer[lane]
                    if began == NEVER:
                        began = time_ms
                    if time_ms - began >= (off_ms if is_on else on_ms):
                        is_on ^= bit
                    else:
                        timer[lane] = began
                bits |= is_on
        return PlainMachine(bits, timer, flat_ms)
