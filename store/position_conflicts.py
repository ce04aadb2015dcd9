"""Two fixes for one device and phenomenon time: which one stands, by the rule of `conflicts`."""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from store import live, positions, queries, speeds
from store.binary import BYTEA, INT4, Blobs, Column
from store.conflicts import rank
from store.database import Connection
from store.marks import Mark
from store.positions import Position, Positions
from store.times import moment

_SQL = queries.load("position_conflicts")


@dataclass(frozen=True)
class Settled:
    """A device and time that were settled.

    Attributes
    ----------
    changed
        Whether another fix stands now.
    contradicted
        Whether the fixes differed; else the same came again under a higher number, which counts
        from now on.
    """

    tenant_id: int
    device_id: int
    phenomenon_time: datetime
    changed: bool
    contradicted: bool


def payload_hashes(fixes: Positions) -> list[bytes]:
    """Hash what identifies each fix.

    SHA-256 over latitude, longitude, speed, course, HDOP (as the table keeps them: the last three
    rounded to float32) and blade (1 down, 0 up, -1 unknown), each as IEEE 754 of 8 bytes,
    big-endian, NaN where there is none; and, where there is one, the sequence number (8 bytes,
    big-endian).
    """
    content = fixes.content()
    content[np.isnan(content)] = np.nan
    return [
        hashlib.sha256(one.tobytes() + (b"" if seq < 0 else struct.pack(">q", seq))).digest()
        for one, seq in zip(content.astype(">f8"), fixes.seq.tolist(), strict=True)
    ]


def add(conn: Connection, fixes: Positions) -> int:
    """Keep other fixes aside; one that is there already is left alone. Return how many are new."""
    columns: dict[str, Any] = {**fixes.columns(), "tenant_id": Column(INT4, fixes.tenant_id)}
    return conn.execute(
        _SQL["add"], {**columns, "payload_hash": Blobs(BYTEA, payload_hashes(fixes))}
    ).rowcount


def settle(conn: Connection, limit: int = 25) -> list[Settled]:
    """Put the winners in place, flagged suspect and marked; the losers stay in the table.

    The speeds to a winner and from it to the next fix are tested anew, and the latest position
    follows.

    Parameters
    ----------
    limit
        Fixes at a time: each may unpack two batches of 1,000 rows, and TimescaleDB refuses to
        unpack more than 100,000 in one transaction.

    Returns
    -------
    list of Settled
        Empty if nothing waits.
    """
    conn.execute(_SQL["lock"])
    return list(_settle(conn, conn.execute(_SQL["waiting"], {"limit": limit}).fetchall()))


def _settle(conn: Connection, waiting: list[tuple[int, int, datetime]]) -> Iterator[Settled]:
    for tenant, device, time in waiting:
        key = {"tenant_id": tenant, "device_id": device, "phenomenon_time": time}
        found = conn.execute(_SQL["claims"], key).fetchall()
        found.sort(key=lambda row: row[0] is not None)  # what stands comes first
        fixes = Positions.of([Position(*row[1:]) for row in found])
        content = fixes.content()
        contradicted = not positions.equal_content(content, content[:1]).all()
        stored, changed = found[0][0] is None, False  # not stored: its chunk was dropped since
        if stored:
            numbers = [None if seq < 0 else seq for seq in fixes.seq.tolist()]
            hashes = payload_hashes(fixes)
            best = min(range(len(found)), key=lambda i: (rank(numbers[i]), hashes[i]))
            stands, winner = (Position(*found[i][1:]) for i in (0, best))
            changed = not positions.equal_content(content[:1], content[[best]]).all()
            if changed:
                conn.execute(_SQL["keep_loser"], _row(key, stands) | {"payload_hash": hashes[0]})
            if contradicted:
                _put(conn, key, replace(winner, marks=winner.marks | Mark.CONFLICT))
            else:
                conn.execute(_SQL["put_number"], key | {"seq": winner.seq})
        ids = [row[0] for row in found if row[0] is not None]
        done = "drop_claims" if stored and not contradicted else "settled"
        conn.execute(_SQL[done], key | {"ids": ids})
        if changed:
            live.notify(conn, tenant, devices=[device])
        yield Settled(tenant, device, time, changed, contradicted)


def _put(conn: Connection, key: dict[str, Any], winner: Position) -> None:
    """Write the winner, and all that follows from where it is."""
    fixes, followers = speeds.hold(conn, Positions.of([winner]))
    said = {"flag": int(fixes.flag[0]), "evaluated": int(fixes.evaluated[0])}
    conn.execute(_SQL["put_winner"], _row(key, winner) | said)
    speeds.put(conn, followers)
    conn.execute(_SQL["drop_latest"], key)
    speeds.put_latest(conn, key)


def _row(key: dict[str, Any], fix: Position) -> dict[str, Any]:
    return asdict(fix) | key | {"received_time": moment(fix.received_ms)}
