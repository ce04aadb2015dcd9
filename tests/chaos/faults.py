"""What goes wrong: chosen by a seed, and made to happen."""

import os
import random
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass

from store.gateways import LEASE_S
from tests.chaos.ground import DISKS, LINES, Ground
from tests.chaos.line import Weather

PARTS = ("gateway", "broker", "database", "jobs", "api", "supervisor")
# How often each kind is chosen.
KINDS = {
    "kill": 6,
    "freeze": 3,
    "reset": 1,
    "cut": 1,
    "swallow": 2,
    "forget": 1,
    "slow": 1,
    "full": 1,
    "read-only": 1,
}
WHERE = {"full": DISKS, "read-only": DISKS}
MOMENTARY = ("kill", "reset", "forget")
LASTS_S = 2.0
# What is cut off for longer than a gateway's lease is taken over before it comes back.
TAKEN_OVER_S = LEASE_S + 4.0
# Longer than any pause before a part that has ended is started again.
STARTED_WITHIN_S = 90.0


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong in a round."""

    kind: str
    part: str
    after_s: float
    lasts_s: float = LASTS_S

    def __str__(self) -> str:
        how_long = "" if self.kind in MOMENTARY else f" for {self.lasts_s:.0f} s"
        return f"{self.kind} {self.part} after {self.after_s:.1f} s{how_long}"


def choose(
    seed: int, rounds: int, round_s: float, gateways: int = 1, kinds: Collection[str] = KINDS
) -> list[Fault]:
    """Choose the faults: the same ones for the same seed. The supervisor is only killed."""
    chance = random.Random(seed)
    named = tuple(f"gateway-{number}" for number in range(1, gateways + 1))
    parts = PARTS if gateways == 1 else (*named, *(p for p in PARTS if p != "gateway"))
    weights = {kind: weight for kind, weight in KINDS.items() if kind in kinds}
    faults = []
    for _ in range(rounds):
        [kind] = chance.choices(list(weights), list(weights.values()))
        if kind == "kill":
            part = chance.choice(parts)
        elif kind == "freeze":
            part = chance.choice([part for part in parts if part != "supervisor"])
        else:
            part = chance.choice(WHERE.get(kind, LINES))
        after_s, long = chance.uniform(0.1, 0.7) * round_s, chance.random() < 0.4
        lasts_s = TAKEN_OVER_S if long and "gateway" in part else LASTS_S
        if part in DISKS:
            lasts_s = 2 * LASTS_S
        faults.append(Fault(kind, part, after_s, lasts_s))
    return faults


def suffer(ground: Ground, fault: Fault) -> str:
    """Let it happen, and come to its end; return why it could not, or ""."""
    time.sleep(fault.after_s)
    if fault.part in DISKS:
        return _spoil(ground, fault)
    if fault.part in LINES:
        _disturb(ground, fault)
    elif fault.kind == "freeze":
        pid = _living(ground, fault.part)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(fault.lasts_s)
        finally:
            os.kill(pid, signal.SIGCONT)
    else:
        _living(ground, fault.part)
        ground.kill(fault.part)
        if fault.part == "supervisor":
            ground.start()  # as systemd or a person would
    return ""


def _disturb(ground: Ground, fault: Fault) -> None:
    line = ground.lines[fault.part]
    if fault.kind in MOMENTARY:
        line.reset() if fault.kind == "reset" else line.forget()
        return
    line.set(Weather(fault.kind))
    try:
        time.sleep(fault.lasts_s)
    finally:
        line.set(Weather.FAIR)


def _spoil(ground: Ground, fault: Fault) -> str:
    if ground.no_disks:
        return ground.no_disks
    disk = ground.disks[fault.part]
    if fault.kind == "full":
        disk.fill()
        try:
            time.sleep(fault.lasts_s)
        finally:
            disk.free()
        return ""
    disk.spoil()
    try:
        time.sleep(fault.lasts_s)
    finally:
        disk.repair(lambda: ground.end(fault.part.removesuffix("-disk")))
    return ""


def _living(ground: Ground, part: str) -> int:
    """Return the process id of a part, which may just be started again."""
    deadline = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < deadline:
        try:
            pid = ground.pid(part)
            os.kill(pid, 0)
        except (OSError, ValueError):
            time.sleep(0.1)
        else:
            return pid
    raise AssertionError(f"{part} does not run:\n{ground.logs()}")
