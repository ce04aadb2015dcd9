"""Whether the gateway's memory stays what it is, also while the database is away."""

import time
from dataclasses import dataclass

import numpy as np

from tests.bench.rig import Rig
from tests.bench.throughput import load_of

SAMPLE_S = 1.0
# Of the whole time: when the database goes, and when it comes back.
AWAY = (0.5, 0.65)
CAUGHT_UP_WITHIN_S = 600.0


@dataclass(frozen=True)
class Soak:
    """Resident memory of the gateway's process in MB, at the ends of the parts of a run.

    `missing` are readings that were acknowledged to the devices and are not stored: none may be.
    """

    minutes: float
    rate: float
    away_s: float
    first_mb: float
    before_mb: float
    away_mb: float
    back_mb: float
    last_mb: float
    most_mb: float
    missing: int


def soak(rig: Rig, minutes: float, rate: float) -> Soak:
    """Publish at a rate for so long, with the database away for a while in between."""
    seconds = minutes * 60
    messages = int(rate * seconds)
    before = rig.stored()
    rig.start_gateway()
    first, away, last = [], [], []
    with rig.publishing(load_of(rig, messages, 1, rate)) as publishing:
        publishing.go()
        began = time.monotonic()
        _sample(rig, began + AWAY[0] * seconds, first)
        with rig.database_away():
            _sample(rig, began + AWAY[1] * seconds, away)
        _sample(rig, began + seconds, last)
        publishing.wait(seconds + 60)
    end = time.monotonic() + CAUGHT_UP_WITHIN_S
    while (missing := messages - (rig.stored() - before)) > 0 and time.monotonic() < end:
        last.append(rig.memory_mb())
        time.sleep(SAMPLE_S)
    last.append(rig.memory_mb())
    rig.stop_gateway()
    return Soak(
        minutes,
        rate,
        (AWAY[1] - AWAY[0]) * seconds,
        # The first tenth fills what is filled once: caches, the memory of recent readings.
        float(np.median(first[len(first) // 10 : len(first) // 4 + 1])),
        first[-1],
        max(away),
        last[len(last) // 4],  # the backlog is stored
        last[-1],
        max(first + away + last),
        missing,
    )


def _sample(rig: Rig, until: float, into: list[float]) -> None:
    while time.monotonic() < until:
        into.append(rig.memory_mb())
        time.sleep(SAMPLE_S)
