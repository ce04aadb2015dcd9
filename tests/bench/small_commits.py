"""What a small commit costs: `python -m tests.bench.small_commits`.

Batches of a few single readings of different sensors through `gateway.commit.Committer`, from
their payloads on: what a message waits for at 1,000 messages a second. The broker has no part in
it. Milliseconds of processor a commit, of the gateway and of its database session, which hold on
a busy machine too, and of the clock, which do not.
"""

import argparse
import cProfile
import os
import pstats
import time
from dataclasses import dataclass

import numpy as np
import psutil
import psycopg

from gateway.commit import Committer
from gateway.decoder import Decoder
from gateway.intake import Intake
from gateway.links import Links
from gateway.message import Message
from gateway.partition import partition_of
from gateway.quarantine import Quarantine
from gateway.registry import load
from gateway.settings import GatewaySettings
from gateway.standing import Standing
from store import gateways
from store.database import Database
from store.gateways import LEASE_S, Member, session_name
from store.intake_lease import Lease, take
from tests.bench.publisher import Load, payload
from tests.bench.rig import DEVICES, Rig, running
from tests.fixtures.broker import TOWN

SIZES = (1, 5, 10, 50)
WARM_READINGS = 25 * DEVICES
MEMBER = Member("bench", "bench")


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one commit of so many readings."""

    readings: int
    gateway_ms: float
    database_ms: float
    median_ms: float
    p99_ms: float


class Ground:
    """A gateway's committer and what it goes on from, without intakes that are connected."""

    def __init__(self, rig: Rig, database: Database) -> None:
        settings = GatewaySettings()
        self._load = Load(TOWN, DEVICES, 0, 1, rig.start_ms())
        self._number = 0
        self._intakes = [
            Intake(session, queue_messages=1, arrived=lambda: None, changed=lambda: None,
                   expect_session=False)
            for session in rig.sessions() if session.partition_no is not None
        ]  # fmt: skip
        self._decoder = Decoder(settings)
        self._committer = Committer(
            database,
            Links(),
            Quarantine(settings.quarantine_per_hour),
            settings.sequence_horizon_s,
        )
        self._leases = self._take_leases(database)
        with database.transaction() as conn:
            registry = load(conn)
            epoch = np.full(len(registry.datastream_id), self._leases[0].epoch)
            self._standing = Standing.load(conn, registry, epoch)

    def commit(self, readings: int) -> None:
        """Take in the next readings, each of another device."""
        messages = [self._next() for _ in range(readings)]
        batch = self._decoder.decode(messages, self._standing.registry, 20_000)
        assert not batch.refused
        self._standing = self._committer.commit(batch, self._standing, self._leases, copy=True)

    def _next(self) -> Message:
        number = self._number
        self._number += 1
        code = f"bench-{number % DEVICES:04}"
        intake = self._intakes[partition_of(code, len(self._intakes))]
        topic = f"mz/v1/{TOWN}/p/{intake.partition_no}/d/{code}/up".encode()
        body = payload(self._load, number)
        return Message(intake, 1, 1, topic, body, time.time_ns() // 1_000_000)

    def _take_leases(self, database: Database) -> list[Lease]:
        units = [(i.tenant_id, i.session.lease_no) for i in self._intakes]
        with database.transaction() as conn:
            gateways.enter(conn, MEMBER)
            gateways.share_out(conn, units, LEASE_S)
            return take(conn, units, MEMBER)


def measure(rig: Rig, sizes: list[int], commits: int, profile: str) -> list[Cost]:
    """Commit batches of each size."""
    with Database(rig.dsn.gateway, name=session_name(MEMBER.gateway_id), max_size=1) as database:
        ground = Ground(rig, database)
        for _ in range(WARM_READINGS // 1000):
            ground.commit(1000)
        found = [_cost(rig, ground, size, commits) for size in sizes]
        if profile:
            _profile(ground, sizes[0], commits, profile)
    return found


def _cost(rig: Rig, ground: Ground, readings: int, commits: int) -> Cost:
    session = _session(rig)
    for _ in range(50):
        ground.commit(readings)
    taken = []
    here, there = time.process_time(), _processor_s(session)
    for _ in range(commits):
        began = time.perf_counter()
        ground.commit(readings)
        taken.append(time.perf_counter() - began)
    here, there = time.process_time() - here, _processor_s(session) - there
    p50, p99 = np.percentile(taken, [50, 99])
    return Cost(readings, here / commits * 1e3, there / commits * 1e3, p50 * 1e3, p99 * 1e3)


def _profile(ground: Ground, readings: int, commits: int, order: str) -> None:
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    for _ in range(commits):
        ground.commit(readings)
    profiler.disable()
    pstats.Stats(profiler).sort_stats(order).print_stats(70)


def _session(rig: Rig) -> psutil.Process:
    with psycopg.connect(rig.superuser) as conn:
        rows = conn.execute(
            "select pid from pg_stat_activity where application_name = %s",
            (session_name(MEMBER.gateway_id),),
        ).fetchall()
    [[pid]] = rows
    return psutil.Process(pid)


def _processor_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--profile", default="", metavar="ORDER",
                        help="say where the first size's time goes: tottime, cumtime")  # fmt: skip
    said = parser.parse_args()
    with running("fast", os.environ.get("MIZUMORI_TEST_DSN", "")) as rig:
        found = measure(rig, said.sizes, said.commits, said.profile)
    print(f"\nload {os.getloadavg()[0]:.1f}\n")
    print("| readings | gateway | database | clock, p50 | p99 |\n|---|---|---|---|---|")
    for cost in found:
        print(f"| {cost.readings} | {cost.gateway_ms:.2f} ms | {cost.database_ms:.2f} ms "
              f"| {cost.median_ms:.2f} ms | {cost.p99_ms:.2f} ms |")  # fmt: skip


if __name__ == "__main__":
    main()
