"""A server that has ended, on a machine that does not let it start at once."""

import errno
import itertools
from types import SimpleNamespace

import pytest

from deploy.supervisor import watched as watched_module
from deploy.supervisor.watched import Watched


class Ended:
    """A server that does not run until it was started as often as there are refusals."""

    def __init__(self, *refusals):
        self.alive = False
        self.refusals = list(refusals)

    def start(self):
        if self.refusals:
            raise self.refusals.pop(0)
        self.alive = True


def looked_after(server, monkeypatch):
    """Look until it runs; return what was said."""
    said = []
    watched = Watched("The database", server, server.start, said.append)
    clock = itertools.count(0.0, 100.0)
    # Its own name for the clock: other threads go on with the real one.
    monkeypatch.setattr(watched_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for _ in range(20):
        watched.look()
    return said


def test_a_disk_that_is_away_is_waited_for(monkeypatch):
    away = FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/cluster")
    server = Ended(away, OSError(errno.EROFS, "Read-only file system", "/data/cluster"))
    said = looked_after(server, monkeypatch)
    assert server.alive
    away_said, read_only_said, runs_said = [line for line in said if "has ended" not in line]
    assert away_said.startswith("The database cannot be started: [Errno 2] No such file")
    assert read_only_said.startswith("The disk is read-only or broken (/data/cluster)")
    assert runs_said == "The database runs again"


def test_a_mistake_of_ours_is_not_tried_for_ever(monkeypatch):
    with pytest.raises(KeyError):
        looked_after(Ended(KeyError("port")), monkeypatch)
