"""A worker that stands still keeps nothing, although the process lives."""

import threading
from types import SimpleNamespace

import pytest

from gateway import service
from gateway.progress import Progress
from gateway.service import Gateway
from tests.fixtures.broker import wait_until
from tests.gateway.conftest import NOW_MS, Running

pytestmark = pytest.mark.usefixtures("comes_again_soon")

COUNT = "select count(*) from observation"


@pytest.fixture
def soon(monkeypatch):
    """Patience of seconds."""
    monkeypatch.setattr(service, "STUCK_S", 3.0)


class Blocked:
    """Holds a gateway's worker within a commit until it is let go."""

    def __init__(self, running, monkeypatch):
        committer = running.gateway._worker._committer
        self._commit, self._go = committer.commit, threading.Event()
        self.met = threading.Event()
        monkeypatch.setattr(committer, "commit", self)

    def __call__(self, *arguments, **options):
        self.met.set()
        assert self._go.wait(270)
        return self._commit(*arguments, **options)

    def let_go(self):
        self._go.set()


@pytest.mark.usefixtures("soon")
@pytest.mark.usefixtures("partitioned")
def test_another_gateway_takes_over_from_one_whose_worker_hangs(town, monkeypatch, capsys):
    first = town.start(name="first")
    device = town.device()
    blocked = Blocked(first, monkeypatch)
    device.publish({"ts": NOW_MS, "m": {"depth_m": 0.01}})
    assert blocked.met.wait(60)
    second = Running(town, name="second")  # nothing is free for it yet
    town._gateways.append(second)
    wait_until(lambda: len(second.units) == 4, message="nobody has taken over")
    town.wait_for(COUNT, 1)
    device.publish({"ts": NOW_MS + 1000, "m": {"depth_m": 0.02}})
    town.wait_for(COUNT, 2)
    assert "worker_stuck" in capsys.readouterr().out
    blocked.let_go()
    # It comes to, finds that nothing of it is its own any more, and lives on with the other.
    wait_until(lambda: len(first.units) == len(second.units) == 2, message="they do not share")
    device.publish({"ts": NOW_MS + 2000, "m": {"depth_m": 0.03}})
    town.wait_for(COUNT, 3)
    assert town.value("select count(*) from conflict") == 0
    assert "worker_goes_on" in capsys.readouterr().out


@pytest.mark.usefixtures("soon")
@pytest.mark.usefixtures("partitioned")
def test_a_town_whose_only_gateway_hangs_is_said_not_to_be_listened_to(town, monkeypatch):
    gateway = town.start()
    town.wait_for("select listening from town_listening", 4)
    blocked = Blocked(gateway, monkeypatch)
    town.device().publish({"ts": NOW_MS, "m": {"depth_m": 0.01}})
    assert blocked.met.wait(60)
    town.wait_for("select listening from town_listening", 0)
    blocked.let_go()
    town.wait_for(COUNT, 1)
    town.wait_for("select listening from town_listening", 4)


@pytest.mark.parametrize("stands", ["_progress", "_beats"])
def test_what_does_not_come_back_ends_the_process(monkeypatch, stands):
    monkeypatch.setattr(service, "ABANDONED_S", 4 * service.BEAT_S)
    monkeypatch.setattr(service, "STUCK_S", service.BEAT_S)
    ended = []
    gateway = object.__new__(Gateway)
    gateway._progress, gateway._beats = Progress(service.BEAT_S), Progress(service.BEAT_S)
    gateway._stuck = False
    gateway._abandon = lambda: ended.append(True)
    goes_on = {"_progress": gateway._beats, "_beats": gateway._progress}[stands]
    now_s = 0.0
    monkeypatch.setattr(service, "time", SimpleNamespace(monotonic=lambda: now_s))
    looks = []
    for _ in range(7):
        goes_on.step()
        gateway._judge()
        looks.append(gateway._stuck)
        now_s += service.BEAT_S
        if len(looks) == 5:
            assert not ended
    worker_stands = stands == "_progress"
    assert looks == [False, False, *5 * [worker_stands]]
    assert len(ended) == 2


def test_what_sleeps_with_the_whole_machine_is_not_stuck():
    progress = Progress(look_every_s=2.5)
    progress.step()
    assert progress.look(0.0) == 0.0
    assert progress.look(2.5) == 2.5
    assert progress.look(10_000.0) == 7.5
    progress.step()
    assert progress.look(10_002.5) == 0.0
