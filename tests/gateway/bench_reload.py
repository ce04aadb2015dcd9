"""How long a change of the configuration takes: ``pytest tests/gateway/bench_reload.py -s``."""

import time

import numpy as np
import pytest

from detectors.readings import Readings
from gateway import registry, standing
from store import device_catalog
from store.batch_writer import BatchWriter
from store.database import Database
from store.detector_states import States
from store.device_catalog import NewDevice
from tests.gateway.conftest import NOW_MS

DEVICES = 10_000  # two datastreams each
ROWS = 20


@pytest.mark.timeout(900)
def test_reload(town):
    with town.owner.transaction():
        device_catalog.add_devices(town.owner, town.tenant_id, [
            NewDevice(f"bench-{i:05}", "flood_level", "冠水計", "Flood", 60, site="honmachi")
            for i in range(DEVICES)])  # fmt: skip
    with Database(town.dsn.gateway, name="bench") as database:
        with database.transaction() as conn:
            first = registry.load(conn)
            epoch = np.ones(len(first.datastream_id), np.int64)
            empty = standing.Standing.load(conn, first, epoch)
        fill(town, database, first, empty)
        last = empty
        for what, former in (("everything", None), ("what changed", "last")):
            with database.transaction() as conn:
                started = time.monotonic()
                found = registry.load(conn)
                read = time.monotonic()
                epoch = np.ones(len(found.datastream_id), np.int64)
                last = standing.Standing.load(conn, found, epoch, last if former else None)
                done = time.monotonic()
            print(f"\n{what}: {len(epoch)} sensors, registry {read - started:.2f} s, "
                  f"state {done - read:.2f} s")  # fmt: skip
        with database.transaction() as conn:
            again = standing.Standing.load(conn, found, epoch)
        some = np.flatnonzero(found.ruled)[::97]
        assert again.state.dumps(some) == last.state.dumps(some)


def fill(town, database, known, empty):
    """Store a history and the state after it."""
    ruled = np.flatnonzero(known.ruled)
    for start in range(0, len(ruled), 2000):
        sensors = np.repeat(ruled[start : start + 2000], ROWS)
        time_ms = np.tile(NOW_MS + 60_000 * np.arange(ROWS), len(sensors) // ROWS)
        value = (sensors % 9) / 1000 + (time_ms // 60_000 % 3) / 1000
        outcome = known.fleet.step(empty.state, Readings.of(sensors, time_ms, value))
        with town.owner.cursor().copy(
            "copy observation (datastream_id, phenomenon_time, received_time, value, flag, "
            "evaluated, marks) from stdin"
        ) as copy:
            for s, t, v in zip(sensors.tolist(), time_ms.tolist(), value.tolist(), strict=True):
                moment = np.datetime64(t, "ms").astype(str) + "Z"
                copy.write_row((int(known.datastream_id[s]), moment, moment, v, 1, 0, 0))
        touched = outcome.touched
        with database.transaction() as conn:
            writer = BatchWriter(conn, ())
            writer.states(States(
                known.datastream_id[touched], np.ones(len(touched), np.int64),
                np.zeros(len(touched), np.int64), np.full(len(touched), int(time_ms.max())),
                known.decided_from_ms[touched], outcome.state.dumps(touched),
            ))  # fmt: skip
            writer.flush()
