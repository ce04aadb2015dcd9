"""What a reader of outcomes knows: flags by reading, transitions as they stand."""

from dataclasses import dataclass, field

import numpy as np

from detectors.outcome import Outcome
from detectors.readings import Readings


@dataclass
class Ledger:
    """Keeps the books as the gateway does: verdicts rewrite, windows withdraw."""

    flags: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    rates: dict[tuple[int, int], float] = field(default_factory=dict)
    moves: set[tuple] = field(default_factory=set)
    withdrawn: int = 0

    def take(self, readings: Readings, outcome: Outcome) -> None:
        for i in range(len(readings)):
            if outcome.late[i] or outcome.duplicate[i] or outcome.conflict[i]:
                continue
            key = int(readings.sensor[i]), int(readings.time_ms[i])
            assert key not in self.flags, "decided twice on one reading"
            self.flags[key] = int(outcome.flag[i]), int(outcome.evaluated[i])
            self.rates[key] = float(outcome.rate_per_h[i])
        v = outcome.verdicts
        for s, t, f, e in zip(v.sensor, v.time_ms, v.flag, v.evaluated, strict=True):
            assert (int(s), int(t)) in self.flags
            self.flags[int(s), int(t)] = int(f), int(e)
        w = outcome.windows
        for s, r, since in zip(w.sensor, w.rule, w.from_ms, strict=True):
            gone = {m for m in self.moves if m[0] == s and m[1] == r and m[2] >= since}
            self.withdrawn += len(gone)
            self.moves -= gone
        m = outcome.transitions
        for row in zip(
            m.sensor.tolist(), m.rule.tolist(), m.time_ms.tolist(), m.from_level.tolist(),
            m.to_level.tolist(), m.value.tolist(), m.unconfirmed.tolist(), strict=True,
        ):  # fmt: skip
            assert row not in self.moves
            self.moves.add(row)

    def series(self, sensor: int) -> list[int]:
        return sorted(t for s, t in self.flags if s == sensor)


def same_floats(a, b) -> bool:
    """Bit for bit, NaN equal to NaN."""
    return np.array_equal(np.asarray(a, float), np.asarray(b, float), equal_nan=True)
