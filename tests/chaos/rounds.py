"""Rounds of faults against a whole running system, and the audits at their end."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import psycopg

from tests.chaos.alert_ledger import AlertAudit, audit_alerts, of_core
from tests.chaos.audit import Audit, audit, stored_rows
from tests.chaos.faults import Fault, suffer
from tests.chaos.ground import Ground
from tests.chaos.publisher import Publisher
from tests.fixtures.system import System

TOWN = "chaos"
SETTLED_WITHIN_S = 180.0

Found = TypeVar("Found")


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
    floods: bool = False,
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
    floods
        Whether some streets flood; then the alerts are held against those of the core alone.
    """
    flood = len(faults) * messages if floods else 0
    publisher = Publisher(
        TOWN, enrol(ground, devices), "127.0.0.1", ground.device_port, seed, flood
    )
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
        found = settled(ground, publisher)
        return replace(found, alerts=settled_alerts(ground, publisher)) if floods else found
    finally:
        publisher.close()


def settled(system: System, publisher: Publisher) -> Audit:
    """Wait until every acknowledged reading is stored, and compare."""
    return _patiently(
        lambda: audit(publisher.ledger, stored_rows(system.dsn(), TOWN)),
        lambda found: not found.lost,
    )


def settled_alerts(system: System, publisher: Publisher) -> AlertAudit:
    """Wait until what came late is decided on, where all is stored, and compare the alerts."""
    unsettled = _patiently(lambda: _unsettled(system.dsn()), lambda count: count == 0)
    expected = of_core((*key, value) for key, value in publisher.ledger.sent.items())
    return audit_alerts(system.dsn(), TOWN, expected, unsettled)


def _unsettled(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        [[count]] = connection.execute("select count(*) from unsettled").fetchall()
    return count


def _patiently(look: Callable[[], Found], enough: Callable[[Found], bool]) -> Found:
    """Look at the database, which may be away, until it is enough or has taken too long."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while True:
        late = time.monotonic() > deadline
        try:
            found = look()
        except psycopg.OperationalError:
            if late:
                raise
        else:
            if enough(found) or late:
                return found
        time.sleep(0.5)
