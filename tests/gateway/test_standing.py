"""What a gateway goes on from, read from the store and taken over from before."""

import numpy as np
import pytest

from detectors.readings import Readings
from gateway import metrics, registry
from gateway.standing import Standing
from store import rules
from store.batch_writer import BatchWriter
from store.database import Database
from store.detector_states import States
from tests.gateway.conftest import NOW_MS

COUNT = "select count(*) from observation"


def publish(device, first, depths):
    for i, depth in enumerate(depths, first):
        device.publish({"ts": NOW_MS + 60_000 * i, "m": {"depth_m": depth}})


@pytest.mark.usefixtures("partitioned")
def test_a_state_that_cannot_be_read_starts_one_sensor_from_nothing(town, capsys):
    gateway = town.start()
    device = town.device()
    publish(device, 0, [0.0, 0.12])
    town.wait_for(COUNT, 2)
    gateway.stop()
    before = metrics.STATES_UNREADABLE._value.get()
    town.owner.execute("update detector_state set state = '\\x0185ff' where datastream_id = %s",
                       (town.datastream(),))  # fmt: skip
    town.start()
    publish(device, 2, [0.0, 0.22])
    publish(town.device("pond-01"), 0, [])
    town.wait_for(COUNT, 4)
    assert metrics.STATES_UNREADABLE._value.get() > before
    assert "state_unreadable" in capsys.readouterr().out
    # It is written again, and read without complaint.
    after = metrics.STATES_UNREADABLE._value.get()
    town.start(name="another")
    publish(device, 4, [0.3])
    town.wait_for(COUNT, 5)
    assert metrics.STATES_UNREADABLE._value.get() == after


def test_what_is_taken_over_is_what_would_be_read(town):
    """Also after a rule with more levels than any had was added: then it is read."""
    with Database(town.dsn.gateway, name="test", answer_within_s=60) as database:
        with database.transaction() as conn:
            first = registry.load(conn)
            epoch = np.ones(len(first.datastream_id), np.int64)
            empty = Standing.load(conn, first, epoch)
        sensors = np.repeat(np.flatnonzero(first.ruled), 30)
        time_ms = np.tile(NOW_MS + 60_000 * np.arange(30), len(sensors) // 30)
        value = np.where(time_ms % 7 == 0, 0.2, 0.01)
        outcome = first.fleet.step(empty.state, Readings.of(sensors, time_ms, value))
        touched = outcome.touched
        with database.transaction() as conn:
            writer = BatchWriter(conn, ())
            writer.states(States(
                first.datastream_id[touched], epoch[touched], np.zeros(len(touched), np.int64),
                np.full(len(touched), int(time_ms.max())), first.decided_from_ms[touched],
                outcome.state.dumps(touched),
            ))  # fmt: skip
            writer.flush()
        town.owner.cursor().executemany(
            "insert into observation (datastream_id, phenomenon_time, received_time, value, flag, "
            "evaluated, marks) values (%s, to_timestamp(%s / 1000.0), now(), %s, 1, 0, 0)",
            [(int(first.datastream_id[s]), int(t), float(v))
             for s, t, v in zip(sensors, time_ms, value, strict=True)],
        )  # fmt: skip
        last = Standing(first, epoch, outcome.state, empty.revision, (), np.zeros(0, np.int32))
        for more in (False, True):
            if more:
                pond = town.datastream("pond-01", "ph")
                levels = [{"on": 8 + i / 10, "off": 7.5} for i in range(6)]
                rules.save(town.owner, town.tenant_id, "many-levels", kind="threshold",
                           observed_property="ph", params={"levels": levels},
                           device_kind="pond_probe", from_the_beginning=True)  # fmt: skip
            with database.transaction() as conn:
                found = registry.load(conn)
                carried = Standing.load(conn, found, epoch, last)
                read = Standing.load(conn, found, epoch)
            known = np.flatnonzero(found.ruled)
            if more:
                known = known[found.datastream_id[known] != pond]
            assert carried.state.dumps(known) == read.state.dumps(known)
            later = Readings.of(known, np.full(len(known), NOW_MS + 60_000 * 31),
                                np.full(len(known), 0.3))  # fmt: skip
            a = found.fleet.step(carried.state, later)
            b = found.fleet.step(read.state, later)
            assert a.flag.tolist() == b.flag.tolist()
            assert a.transitions.to_level.tolist() == b.transitions.to_level.tolist()
            assert len(a.transitions)
            # What another gateway holds is not read, and what is held anew is.
            with database.transaction() as conn:
                other = Standing.load(conn, found, epoch * 0, last)
                anew = Standing.load(conn, found, epoch + 1, last)
            nothing = found.fleet.empty_state().dumps(known)
            assert other.state.dumps(known) == nothing
            assert anew.state.dumps(known) == read.state.dumps(known) != nothing
