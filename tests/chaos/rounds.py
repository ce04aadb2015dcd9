"""Rounds of faults against a whole running system, and the audit at their end."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from store.gateways import LEASE_S
from tests.chaos.audit import Audit, audit, stored_rows
from tests.chaos.publisher import Publisher
from tests.fixtures.system import System

TOWN = "chaos"
PARTS = ("gateway", "broker", "database", "jobs", "api", "supervisor")
FAULTS = ("kill", "freeze")
FROZEN_S = 2.0
# Of several gateways one that is frozen for longer than its lease is taken over before it wakes.
TAKEN_OVER_S = LEASE_S + 4.0
SETTLED_WITHIN_S = 120.0


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong in a round."""

    kind: str
    part: str
    after_s: float
    frozen_s: float = FROZEN_S

    def __str__(self) -> str:
        how_long = f" for {self.frozen_s:.0f} s" if self.kind == "freeze" else ""
        return f"{self.kind} {self.part} after {self.after_s:.1f} s{how_long}"


def choose(seed: int, rounds: int, round_s: float, gateways: int = 1) -> list[Fault]:
    """Choose the faults: the same ones for the same seed. The supervisor is only killed."""
    chance = random.Random(seed)
    several = tuple(f"gateway-{number}" for number in range(1, gateways + 1))
    parts = PARTS if gateways == 1 else (*several, *(p for p in PARTS if p != "gateway"))
    faults = []
    for _ in range(rounds):
        part = chance.choice(parts)
        kind = "kill" if part == "supervisor" else chance.choice(FAULTS)
        long = kind == "freeze" and gateways > 1 and "gateway" in part and chance.random() < 0.5
        after_s = chance.uniform(0.1, 0.7) * round_s
        faults.append(Fault(kind, part, after_s, TAKEN_OVER_S if long else FROZEN_S))
    return faults


def enrol(system: System, devices: int) -> dict[str, str]:
    """Add a town with flood sensors through the command line; return their secrets."""
    added = system.run("tenant", "add", TOWN, "--name-ja", "訓練町", "--name-en", "Chaos")
    assert added.returncode == 0, added.stderr
    secrets = {}
    for number in range(devices):
        code = f"flood-{number:02}"
        done = system.run("device", "add", TOWN, code, "--kind", "flood_level")
        assert done.returncode == 0, done.stderr
        secrets[code] = re.search(r"Secret\s+(\S+)", done.stdout)[1]
    return secrets


def suffer(system: System, fault: Fault) -> None:
    """Let it happen. A dead supervisor is started again, as systemd or a person would."""
    time.sleep(fault.after_s)
    if fault.kind == "freeze":
        pid = _pid(system, fault.part)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(fault.frozen_s)
        finally:
            os.kill(pid, signal.SIGCONT)
        return
    for _ in range(100):
        try:
            system.kill(fault.part)
            break
        except (OSError, ValueError):
            time.sleep(0.1)  # it is just being started again
    if fault.part == "supervisor":
        system.start()


def _pid(system: System, part: str) -> int:
    for _ in range(100):
        try:
            pid = system.pid(part)
            os.kill(pid, 0)
        except (OSError, ValueError):
            time.sleep(0.1)
        else:
            return pid
    raise AssertionError(f"{part} does not run:\n{system.logs()}")


def run(
    system: System,
    faults: Sequence[Fault],
    *,
    seed: int,
    devices: int = 4,
    messages: int = 600,
    per_s: float = 150.0,
    say: Callable[[str], None] = lambda _: None,
) -> Audit:
    """Send under faults, let everything settle, and hold the ledgers against each other.

    Parameters
    ----------
    system
        Running, without the town.
    faults
        One a round.
    messages, per_s
        Of each round.
    """
    publisher = Publisher(TOWN, enrol(system, devices), "127.0.0.1", system.mqtt_port, seed)
    try:
        for number, fault in enumerate(faults, 1):
            say(f"round {number} of {len(faults)}: {fault}")
            sender = threading.Thread(target=publisher.send, args=(messages, per_s))
            sender.start()
            suffer(system, fault)
            sender.join()
            publisher.settle()
        unacknowledged = publisher.drain(SETTLED_WITHIN_S)
        assert unacknowledged == 0, f"{unacknowledged} messages are not acknowledged"
        return _settled(system, publisher)
    finally:
        publisher.close()


def _settled(system: System, publisher: Publisher) -> Audit:
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while True:
        found = audit(publisher.ledger, stored_rows(system.dsn(), TOWN))
        if not found.lost or time.monotonic() > deadline:
            return found
        time.sleep(0.5)
