"""The first promise, held by the whole system: nothing lost, nothing doubled."""

import pytest

from tests.chaos.audit import audit
from tests.chaos.publisher import Ledger
from tests.chaos.rounds import Fault, choose, run

IN_TURN = [Fault("kill", part, 1.0) for part in ("gateway", "broker", "database", "supervisor")]


@pytest.mark.timeout(600)
def test_every_acknowledged_reading_is_stored_once_whatever_is_killed(new_system):
    new_system.start()
    found = run(new_system, [*IN_TURN, Fault("freeze", "gateway", 1.0)], seed=7)
    assert found.sent > 2500
    assert found.sound, f"{found}\n{new_system.logs()}"


def test_audit_sees_what_is_wrong():
    ledger = Ledger(sent={("a", 1): 0.1, ("a", 2): 0.2}, acknowledged={("a", 1), ("a", 2)})
    assert audit(ledger, [("a", 1, 0.1), ("a", 2, 0.2)]).sound
    assert audit(ledger, [("a", 1, 0.1)]).lost == [("a", 2)]
    assert audit(ledger, [("a", 1, 0.1), ("a", 2, 0.2), ("a", 2, 0.2)]).doubled == [("a", 2)]
    assert audit(ledger, [("a", 1, 0.1), ("a", 2, 0.3)]).changed == [("a", 2)]
    assert audit(ledger, [("a", 1, 0.1), ("a", 2, 0.2), ("a", 3, 0.2)]).invented == [("a", 3)]


def test_same_seed_chooses_the_same_faults():
    assert choose(3, 20, 4.0) == choose(3, 20, 4.0)
    assert choose(3, 20, 4.0) != choose(4, 20, 4.0)
