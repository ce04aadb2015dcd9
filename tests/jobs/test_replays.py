"""What an approval frees comes again, whatever happens on the way."""

from dataclasses import dataclass

import pytest
import structlog

from jobs.errors import BrokerAwayError
from jobs.replays import Replays
from store import quarantine
from store.database import Database
from store.errors import RefusedError
from store.town_catalog import Tenant

LEFT = "select device_code from replay_request order by device_code"


@dataclass
class World:
    owner: Database
    jobs: Database
    town: Tenant


@pytest.fixture
def world(owner, jobs_database, quiet_town):
    return World(owner, jobs_database, quiet_town)


def ask(world, *devices, ago_s=10):
    with world.owner.transaction() as conn:
        for device in devices:
            quarantine.request_replay(conn, world.town.tenant_id, device)
        conn.execute(
            "update replay_request set requested_at = now() - make_interval(secs => %s)", (ago_s,)
        )


def left(world):
    with world.owner.transaction() as conn:
        return [code for (code,) in conn.execute(LEFT)]


def test_each_request_is_done_once(world):
    done = []

    def replay(town, device):
        done.append((town, device))
        return 3

    ask(world, "f1", "p1")
    ask(world, "f1")  # twice is once
    replays = Replays(world.jobs, replay)
    assert replays.drain() == 6
    assert sorted(done) == [(world.town.code, "f1"), (world.town.code, "p1")]
    assert left(world) == []
    assert replays.drain() == 0


def test_a_fresh_request_waits_until_gateways_have_heard(world):
    ask(world, "f1", ago_s=0)
    assert Replays(world.jobs, lambda *_: 1).drain() == 0
    assert left(world) == ["f1"]


def test_an_outage_is_said_once_and_the_request_stays(world):
    errors = [BrokerAwayError("no broker"), BrokerAwayError("no broker"), RefusedError("not yet")]

    def replay(_town, _device):
        if errors:
            raise errors.pop(0)
        return 2

    ask(world, "f1", "p1")
    replays = Replays(world.jobs, replay)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert replays.drain() == 0
            assert left(world) == ["f1", "p1"]
        assert replays.drain() == 4
    assert [one["detail"] for one in logs if one["log_level"] == "warning"] == [
        "no broker", "not yet",
    ]  # fmt: skip
    assert left(world) == []
