"""The first promise, held by the whole system: nothing lost or doubled, and the right alerts."""

import contextlib
import random
import socket
from dataclasses import replace

import pytest

from tests.chaos.alert_ledger import AlertAudit, episodes, of_core
from tests.chaos.audit import audit
from tests.chaos.faults import KINDS, Fault, choose
from tests.chaos.ground import Ground
from tests.chaos.line import Line
from tests.chaos.publisher import Ledger
from tests.chaos.rounds import run
from tests.chaos.water import Floods

IN_TURN = [
    *(Fault("kill", part, 1.0) for part in ("gateway", "broker", "database", "jobs", "supervisor")),
    Fault("freeze", "gateway", 1.0),
    Fault("swallow", "gateway-database", 1.0),
    Fault("swallow", "gateway-broker", 0.5),
    Fault("reset", "gateway-broker", 1.0),
    Fault("cut", "device-broker", 1.0),
    Fault("slow", "gateway-database", 0.5),
]


@pytest.fixture
def ground(tmp_path):
    """A system over lines that can fail."""
    made = Ground(tmp_path, disks=False)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(600)
def test_every_reading_is_stored_once_and_decided_on_as_in_order_whatever_fails(ground):
    ground.start()
    found = run(ground, IN_TURN, seed=7, messages=400, floods=True)
    assert found.sent == 400 * len(IN_TURN)
    assert found.sound, f"{found}\n{found.alerts.differences}\n{ground.logs()}"
    assert len(found.alerts.stored) > 100
    assert found.alerts.settled > 20


def test_audit_sees_what_is_wrong():
    ledger = Ledger(sent={("a", 1): 0.1, ("a", 2): 0.2}, acknowledged={("a", 1), ("a", 2)})
    assert audit(ledger, [("a", 1, 0.1), ("a", 2, 0.2)]).sound
    assert audit(ledger, [("a", 1, 0.1)]).lost == [("a", 2)]
    assert audit(ledger, [("a", 1, 0.1), ("a", 2, 0.2), ("a", 2, 0.2)]).doubled == [("a", 2)]
    assert audit(ledger, [("a", 1, 0.1), ("a", 2, 0.3)]).changed == [("a", 2)]
    assert audit(ledger, [("a", 1, 0.1), ("a", 2, 0.2), ("a", 3, 0.2)]).invented == [("a", 3)]


def test_audit_sees_a_changed_a_missing_and_a_doubled_transition_and_fails_with_none():
    ledger = Ledger(sent={("a", 1): 0.1}, acknowledged={("a", 1)})
    readings = audit(ledger, [("a", 1, 0.1)])
    water = Floods(random.Random(3), 700)
    expected = of_core(
        (f"flood-{device}", at_ms, water.depth_m(device, at_ms))
        for device in range(2)
        for at_ms in range(water.begin_ms, water.begin_ms + 12 * water.period_ms, 60_000)
    )
    right = AlertAudit(expected, list(expected), episodes(expected))
    assert right.sound
    assert str(right).startswith(f"{len(expected)} transitions in ")
    assert {move.device for move in expected} == {"flood-0"}
    assert {move.to_level for move in expected if move.rule == "street-depth"} == set(range(5))
    assert any(move.unconfirmed for move in expected)
    assert right.stored_episodes[0].clear_ms is not None

    one = expected[7]
    for name, other in (
        ("device", "flood-1"),
        ("rule", "street-contact"),
        ("time_ms", one.time_ms + 1),
        ("from_level", one.from_level + 1),
        ("to_level", one.to_level + 1),
        ("value", one.value + 1e-12),
        ("unconfirmed", not one.unconfirmed),
    ):
        changed = one._replace(**{name: other})
        wrong = replace(right, stored=[*expected[:7], changed, *expected[8:]])
        assert not wrong.sound
        assert wrong.differences == [f"missing: {one}", f"too much: {changed}"]
        assert not replace(readings, alerts=wrong).sound
    assert not replace(right, stored=expected[1:]).sound
    assert not replace(right, stored=sorted([*expected, one])).sound
    assert not replace(right, stored_episodes=right.stored_episodes[1:]).sound
    assert not replace(right, unsettled=1).sound
    nothing = AlertAudit([], [], [])
    assert "nothing to compare" in str(nothing)
    assert not replace(readings, alerts=nothing).sound
    assert replace(readings, alerts=right).sound


def test_same_seed_chooses_the_same_faults():
    assert choose(3, 20, 4.0) == choose(3, 20, 4.0)
    assert choose(3, 20, 4.0) != choose(4, 20, 4.0)
    assert {fault.kind for fault in choose(3, 200, 4.0)} == set(KINDS)
    assert {fault.kind for fault in choose(3, 50, 4.0, kinds=["kill"])} == {"kill"}


def test_a_forgotten_connection_carries_nothing_more_and_a_new_one_does():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        line = Line(server.getsockname()[1])
        with contextlib.closing(line), joined(line, server) as old:
            line.forget()
            with joined(line, server) as new:
                for sender in (*old, *new):
                    sender.sendall(b"there")
                assert [end.recv(9) for end in new] == [b"there", b"there"]
            for end in old:
                with pytest.raises(BlockingIOError):
                    end.recv(9, socket.MSG_DONTWAIT)


@contextlib.contextmanager
def joined(line, server):
    """Both ends of a connection over the line."""
    with socket.create_connection(("127.0.0.1", line.port)) as near:
        far, _ = server.accept()
        with far:
            yield near, far
