"""Another fix of the same device and time, in chunks that are compressed."""

from datetime import UTC, datetime, timedelta

import pytest

from store import position_conflicts
from store.marks import Mark
from store.positions import Position, Positions, write_positions
from store.times import milliseconds

TIME = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
STEP_MS = 5000


def settle_in_compressed_chunk(conn, tenant_id, devices, *, fixes_each):
    """Contradict the second fix of each device, once all are compressed."""

    def drive(device, count, lat, seq):
        times = range(milliseconds(TIME), milliseconds(TIME) + count * STEP_MS, STEP_MS)
        return [
            Position(device, tenant_id, at, at, lat, 140.0, None, None, None, None, seq, 0)
            for at in times
        ]

    stored = [one for device in devices for one in drive(device, fixes_each, 38.9, 1)]
    write_positions(conn, Positions.of(stored), copy=False)
    conn.execute("select compress_chunk(c) from show_chunks('position') c")
    rivals = [drive(device, 2, 38.9001, 2)[1] for device in devices]
    assert position_conflicts.add(conn, Positions.of(rivals)) == len(devices)
    assert position_conflicts.add(conn, Positions.of(rivals)) == 0
    changed = [one.changed for one in position_conflicts.settle(conn)]
    assert changed == [True] * len(devices)
    found = conn.execute(
        "select phenomenon_time, lat, flag from position where marks = %s", (Mark.CONFLICT,)
    ).fetchall()
    assert found == [(TIME + timedelta(milliseconds=STEP_MS), 38.9001, 3)] * len(devices)
    [[count]] = conn.execute("select count(*) from position").fetchall()
    assert count == len(stored)


def test_winners_are_put_into_compressed_chunks(roles, town, database_dsn):
    if database_dsn.engine != "timescale":
        pytest.skip("plain PostgreSQL compresses nothing")
    with roles.owner.transaction() as conn:
        added = conn.execute(
            "insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s)"
            " select %s, 'truck-' || n, 'plow', '', '', 5 from generate_series(1, 25) n"
            " returning device_id",
            (town.tenant_id,),
        ).fetchall()
        # As many as are settled at a time, each in a segment of its own.
        settle_in_compressed_chunk(conn, town.tenant_id, [d for (d,) in added], fixes_each=2500)
