"""Two values for one datastream and phenomenon time: which one stands.

The first to arrive is stored, the others wait here. The winner is the highest sequence number of
the device, then the lowest hash: never the order of arrival.
"""

import hashlib
import itertools
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
from psycopg.rows import class_row

from detectors.flags import Flag, Test
from store import queries
from store.database import Connection
from store.marks import Mark
from store.times import milliseconds
from store.unsettled import mark as mark_unsettled

_SQL = queries.load("conflicts")


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """Another value for a phenomenon time that is taken."""

    tenant_id: int
    datastream_id: int
    phenomenon_time: datetime
    received_time: datetime
    value: float
    seq: int | None
    payload_hash: bytes


@dataclass(frozen=True)
class Conflict:
    """A value that waits, beside the one that stands (None: its chunk was dropped since)."""

    conflict_id: int
    tenant_id: int
    datastream_id: int
    phenomenon_time: datetime
    received_time: datetime
    value: float
    seq: int | None
    payload_hash: bytes
    stored_value: float | None
    stored_seq: int | None
    stored_received_time: datetime | None


@dataclass(frozen=True)
class Settled:
    """A reading that was settled.

    Attributes
    ----------
    changed
        Whether another value stands now.
    contradicted
        Whether the values differed; else the same came again under a higher number, which counts
        from now on.
    """

    tenant_id: int
    datastream_id: int
    phenomenon_time: datetime
    changed: bool
    contradicted: bool


@dataclass(frozen=True, order=True)
class _Claim:
    """One value's claim; the least one wins. Ordered by what the device said alone."""

    rank: float
    digest: bytes
    value: float
    seq: int | None
    received_time: datetime

    def says(self, other: "_Claim") -> bool:
        """Whether it is the same value, under whichever number."""
        return self.value == other.value or (math.isnan(self.value) and math.isnan(other.value))


def payload_hash(value: float, seq: int | None) -> bytes:
    """Hash what identifies one value of a reading.

    SHA-256 over the value (IEEE 754, 8 bytes, big-endian; any NaN alike) and, where there is one,
    the sequence number (8 bytes, big-endian): computable from a stored reading too.
    """
    number = struct.pack(">d", math.nan if math.isnan(value) else value + 0.0)  # one zero
    return hashlib.sha256(number + (b"" if seq is None else struct.pack(">q", seq))).digest()


def add(conn: Connection, rows: Iterable[ConflictRow]) -> None:
    """Keep other values aside; one that is there already is left alone."""
    listed = list(rows)
    conn.execute(
        _SQL["add"],
        {of.name: [getattr(row, of.name) for row in listed] for of in fields(ConflictRow)},
    )


def unsettled(conn: Connection, limit: int = 50) -> list[Conflict]:
    """List conflicts that wait, by datastream and time."""
    with conn.cursor(row_factory=class_row(Conflict)) as cursor:
        return cursor.execute(_SQL["unsettled"], {"limit": limit}).fetchall()


def settle(conn: Connection, limit: int = 50) -> list[Settled]:
    """Put the winners in place, flagged suspect and marked; the losers stay in `conflict`.

    Of a value that came under several numbers the highest stays.

    Parameters
    ----------
    limit
        Conflicts at a time: TimescaleDB refuses to unpack more than 100,000 compressed rows in
        one transaction, and each conflict may unpack a batch of 1,000.

    Returns
    -------
    list of Settled
        One per reading. Empty also while another process settles.
    """
    [[mine]] = conn.execute(_SQL["lock"]).fetchall()
    if not mine:
        return []
    return list(_settle(conn, unsettled(conn, limit)))


def _settle(conn: Connection, waiting: list[Conflict]) -> Iterator[Settled]:
    def reading(conflict: Conflict) -> tuple[int, datetime]:
        return conflict.datastream_id, conflict.phenomenon_time

    for _, group in itertools.groupby(waiting, key=reading):
        rivals = list(group)
        first = rivals[0]
        claims = [_claim(c.value, c.seq, c.received_time) for c in rivals]
        stored = None
        if first.stored_value is not None and first.stored_received_time is not None:
            stored = _claim(first.stored_value, first.stored_seq, first.stored_received_time)
            claims.append(stored)
        winner = min(claims)
        contradicted = not all(claim.says(winner) for claim in claims)
        changed = stored is not None and not stored.says(winner)
        row = {
            "tenant_id": first.tenant_id,
            "datastream_id": first.datastream_id,
            "phenomenon_time": first.phenomenon_time,
            "received_time": winner.received_time,
            "value": winner.value,
            "seq": winner.seq,
            # Of the value alone: what stood there first must not show in the outcome.
            "flag": int(Flag.MISSING if math.isnan(winner.value) else Flag.SUSPECT),
            "evaluated": int(Test.CONFLICT),
            "conflict": int(Mark.CONFLICT),
            "ids": [c.conflict_id for c in rivals],
            "stands": None if stored is None else winner.value,
        }
        if stored is not None and contradicted:
            if changed:
                loser = {
                    "stored_value": stored.value,
                    "stored_seq": stored.seq,
                    "stored_received_time": stored.received_time,
                    "stored_hash": stored.digest,
                }
                conn.execute(_SQL["keep_loser"], {**row, **loser})
            for name in ("put_winner", "put_latest", "mark_hour"):
                conn.execute(_SQL[name], row)
            if changed:
                mark_unsettled(
                    conn,
                    np.array([first.datastream_id], np.int32),
                    np.array([milliseconds(first.phenomenon_time)], np.int64),
                )
        elif stored is not None and stored.seq != winner.seq:
            conn.execute(_SQL["put_number"], row)
        for name in ("settled", "drop_repeated"):
            conn.execute(_SQL[name], row)
        yield Settled(
            first.tenant_id, first.datastream_id, first.phenomenon_time, changed, contradicted
        )


def rank(seq: int | None) -> float:
    """Return what decides first: minus the sequence number; without one, behind all with one."""
    return math.inf if seq is None else -seq


def _claim(value: float, seq: int | None, received_time: datetime) -> _Claim:
    return _Claim(rank(seq), payload_hash(value, seq), value, seq, received_time)
