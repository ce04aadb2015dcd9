"""Which rows of a batch are new: duplicates are dropped, other values for one time set aside."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gateway.batch import NO_SEQUENCE, Rows
from gateway.recent import Recent, equal
from gateway.registry import Registry
from store import observations, sequences
from store.batch_writer import BatchWriter
from store.conflicts import ConflictRow, payload_hash
from store.marks import Mark, borne
from store.positions import Positions
from store.times import milliseconds, moment


@dataclass
class Sifted:
    """The rows that are left, what was set aside, and how many were known already.

    Of `fixes` only those are dropped whose sequence number, for want of a time, was known.
    `renumbered` is what is known already, but came again under a higher number of the device:
    it counts when the winner of a conflict is sought.
    """

    rows: Rows
    fixes: Positions
    datastream_id: NDArray[np.int32]
    registry: Registry
    conflicts: list[ConflictRow] = field(default_factory=list)
    renumbered: list[ConflictRow] = field(default_factory=list)
    duplicates: int = 0

    def drop(
        self,
        duplicate: NDArray[np.bool_],
        conflict: NDArray[np.bool_],
        number: NDArray[np.int64] | None = None,
    ) -> None:
        """Drop duplicates, and set aside conflicts and duplicates above the `number` of each."""
        gone = duplicate | conflict
        if not gone.any():
            return
        same = duplicate & ~conflict
        self.duplicates += int(np.count_nonzero(same))
        self.conflicts += self._aside(conflict)
        if number is not None:
            self.renumbered += self._aside(same & (self.rows.seq > number))
        self._keep(~gone)

    def drop_repeated(
        self,
        writer: BatchWriter,
        duplicate: NDArray[np.bool_],
        conflict: NDArray[np.bool_],
        *,
        ask_store: bool,
    ) -> None:
        """Drop what the detectors know already; they do not know the numbers."""
        asked = duplicate & (self.rows.seq != NO_SEQUENCE)
        if not (ask_store and asked.any()):
            self.drop(duplicate, conflict)
            return
        _, other, number = self.compare(writer, np.flatnonzero(asked))
        self.drop(duplicate, conflict | other, number)

    def compare(
        self, writer: BatchWriter, places: NDArray[np.intp]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
        """Look what the database has of some rows: the same, another value, and its number."""
        rows = self.rows
        found, value, seq = observations.known_values(
            writer.conn, self.datastream_id[places], rows.time_ms[places]
        )
        found = places[found]
        same, other = np.zeros((2, len(rows)), np.bool_)
        number = rows.seq.copy()
        as_stored = equal(rows.value[found], value)
        same[found], other[found], number[found] = as_stored, ~as_stored, seq
        return same, other, number

    def remember(self, recent: Recent) -> None:
        """Take in what is committed now."""
        rows = self.rows
        recent.remember(self.datastream_id, rows.time_ms, rows.value, rows.seq)
        if not self.renumbered:
            return
        # Of two numbers of one reading the higher stays.
        again = sorted(self.renumbered, key=lambda one: one.seq or 0)
        recent.remember(
            np.array([one.datastream_id for one in again], np.int32),
            np.array([milliseconds(one.phenomenon_time) for one in again], np.int64),
            np.array([one.value for one in again], np.float64),
            np.array([one.seq for one in again], np.int64),
        )

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        self.rows = self.rows.take(mask)
        self.datastream_id = self.datastream_id[mask]

    def _aside(self, mask: NDArray[np.bool_]) -> Iterator[ConflictRow]:
        rows = self.rows
        for i in np.flatnonzero(mask).tolist():
            value, seq = float(rows.value[i]), int(rows.seq[i])
            number = None if seq == NO_SEQUENCE else seq
            yield ConflictRow(
                int(self.registry.tenant_id[rows.sensor[i]]),
                int(self.datastream_id[i]),
                moment(int(rows.time_ms[i])),
                moment(int(rows.received_ms[i])),
                value,
                number,
                payload_hash(value, number),
            )


def sift(
    writer: BatchWriter,
    registry: Registry,
    rows: Rows,
    fixes: Positions,
    recent: Recent,
    *,
    sequence_horizon_s: float,
    ask_store: bool,
) -> Sifted:
    """Find the new rows.

    Parameters
    ----------
    writer
        Of the batch's transaction.
    recent
        What was stored a moment ago.
    sequence_horizon_s
        For readings without a device time; see `store.sequences.claim`.
    ask_store
        Also ask the database which rows it has: after a COPY that met one of them.
    """
    sifted = Sifted(rows, fixes, registry.datastream_id[rows.sensor], registry)
    _claim(writer, sifted, sequence_horizon_s)
    _within(sifted)
    known, value, number = recent.look(sifted.datastream_id, sifted.rows.time_ms)
    if known.any():
        same = known & equal(sifted.rows.value, value)
        sifted.drop(same, known & ~same, number)
    if ask_store and len(sifted.rows):
        sifted.drop(*sifted.compare(writer, np.arange(len(sifted.rows))))
    return sifted


def _claim(writer: BatchWriter, sifted: Sifted, horizon_s: float) -> None:
    """Keep readings and fixes without a device time only if their sequence number is new."""
    rows, fixes = sifted.rows, sifted.fixes
    if not borne(Mark.NO_DEVICE_TIME, rows.marks, fixes.marks):
        return
    seq = np.concatenate([rows.seq, fixes.seq])
    marks = np.concatenate([rows.marks, fixes.marks])
    places = np.flatnonzero((marks & Mark.NO_DEVICE_TIME != 0) & (seq != NO_SEQUENCE))
    if not len(places):
        return
    device = np.concatenate([sifted.registry.device_id[rows.sensor], fixes.device_id])[places]
    at = np.concatenate([rows.time_ms, fixes.time_ms])[places].tolist()
    # A message's readings share device, number and time; another message's with the same number
    # has another time. The first of each number claims it for all of its own time.
    times: dict[tuple[int, int], int] = {}
    pairs = list(zip(device.tolist(), seq[places].tolist(), strict=True))
    for pair, time_ms in zip(pairs, at, strict=True):
        times.setdefault(pair, time_ms)
    keys = np.array(list(times), np.int64)
    devices, taken_ms = keys[:, 0].astype(np.int32), np.array(list(times.values()))
    claimed = sequences.claim(writer.conn, devices, keys[:, 1], taken_ms, horizon_s)
    duplicate = np.zeros(len(seq), np.bool_)
    duplicate[places] = [
        pair not in claimed or times[pair] != time_ms
        for pair, time_ms in zip(pairs, at, strict=True)
    ]
    sifted.drop(duplicate[: len(rows)], np.zeros(len(rows), np.bool_))
    sifted.duplicates += int(np.count_nonzero(duplicate[len(rows) :]))
    sifted.fixes = fixes.take(~duplicate[len(rows) :])


def _within(sifted: Sifted) -> None:
    """Compare the rows of the batch with each other: the first that came is the one accepted.

    Where the same came again under a higher number, the first has that number.
    """
    rows = sifted.rows
    if len(rows) < 2:
        return
    order = np.lexsort((rows.time_ms, rows.sensor))  # stable: ties stay in the order they came
    sensor, time_ms = rows.sensor[order], rows.time_ms[order]
    as_before = (sensor[1:] == sensor[:-1]) & (time_ms[1:] == time_ms[:-1])
    if not as_before.any():
        return
    again = np.concatenate([[False], as_before])
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(rows))))
    value = rows.value[order]
    as_first = equal(value, value[first])
    same, other = np.zeros((2, len(rows)), np.bool_)
    same[order] = again & as_first
    other[order] = again & ~as_first
    number = rows.seq.copy()
    np.maximum.at(number, order[first], np.where(as_first, number[order], NO_SEQUENCE))
    sifted.rows = replace(rows, seq=number)
    sifted.drop(same, other)
