"""Rounds of faults against a whole running system, and the audit at their end."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import psycopg

from tests.chaos.audit import Audit, audit, stored_rows
from tests.chaos.faults import Fault, suffer
from tests.chaos.ground import Ground
from tests.chaos.publisher import Publisher
from tests.fixtures.system import System

TOWN = "chaos"
SETTLED_WITHIN_S = 180.0


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


def run(
    ground: Ground,
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
    ground
        Running, without the town.
    faults
        One a round.
    messages, per_s
        Of each round.
    """
    publisher = Publisher(TOWN, enrol(ground, devices), "127.0.0.1", ground.device_port, seed)
    happened = Counter[str]()
    try:
        for number, fault in enumerate(faults, 1):
            say(f"round {number} of {len(faults)}: {fault}")
            sender = threading.Thread(target=publisher.send, args=(messages, per_s))
            sender.start()
            left_out = suffer(ground, fault)
            sender.join()
            waiting = publisher.settle()
            happened[f"{fault.kind} left out" if left_out else fault.kind] += 1
            if left_out:
                say(f"  left out: {left_out}")
            say(f"  {waiting} messages wait for their acknowledgement")
        say(", ".join(f"{count} x {kind}" for kind, count in sorted(happened.items())))
        unacknowledged = publisher.drain(SETTLED_WITHIN_S)
        assert unacknowledged == 0, f"{unacknowledged} messages are not acknowledged"
        return settled(ground, publisher)
    finally:
        publisher.close()


def settled(system: System, publisher: Publisher) -> Audit:
    """Wait until every acknowledged reading is stored, and compare."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while True:
        late = time.monotonic() > deadline
        try:
            found = audit(publisher.ledger, stored_rows(system.dsn(), TOWN))
        except psycopg.OperationalError:
            if late:
                raise
        else:
            if not found.lost or late:
                return found
        time.sleep(0.5)
