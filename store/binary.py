"""NumPy columns in PostgreSQL's binary formats: for COPY, and for parameters that are arrays.

No Python object per value: 100,000 rows of eight columns take a few milliseconds.
"""

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import pq
from psycopg.abc import AdaptContext
from psycopg.adapt import Buffer, Dumper, PyFormat

# PostgreSQL counts microseconds from 2000-01-01; our arrays milliseconds from 1970-01-01.
_EPOCH_SHIFT_MS: Final = 946_684_800_000
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_COPY_TRAILER: Final = struct.pack("!h", -1)


@dataclass(frozen=True, slots=True, eq=False)
class PgType:
    """A type of PostgreSQL: its oids (pg_type.dat, fixed for ever) and its bytes on the wire.

    `wire` is empty where values differ in length.
    """

    oid: int
    array_oid: int
    wire: str


BOOL: Final = PgType(16, 1000, "u1")
INT2: Final = PgType(21, 1005, ">i2")
INT4: Final = PgType(23, 1007, ">i4")
INT8: Final = PgType(20, 1016, ">i8")
FLOAT4: Final = PgType(700, 1021, ">f4")
FLOAT8: Final = PgType(701, 1022, ">f8")
TIMESTAMPTZ: Final = PgType(1184, 1185, ">i8")
BYTEA: Final = PgType(17, 1001, "")
TEXT: Final = PgType(25, 1009, "")


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """n values of one type.

    Parameters
    ----------
    kind
        Type in the database.
    values : array[n]
        Of a dtype that casts to it; `TIMESTAMPTZ` takes int64 milliseconds since 1970 UTC.
    null : bool[n], optional
        Where the value is null.
    """

    kind: PgType
    values: NDArray[Any]
    null: NDArray[np.bool_] | None = None

    def wire(self) -> NDArray[Any]:
        """Return the values as they go over the wire, in any byte order."""
        if self.kind is TIMESTAMPTZ:
            values: NDArray[np.int64] = self.values.astype(np.int64, copy=False)
            return (values - _EPOCH_SHIFT_MS) * 1000
        return self.values

    def take(self, index: NDArray[np.intp]) -> "Column":
        """Values picked by index."""
        null = None if self.null is None else self.null[index]
        return Column(self.kind, self.values[index], null)


@dataclass(frozen=True, slots=True, eq=False)
class Blobs:
    """n values of `BYTEA` or, encoded, of `TEXT`."""

    kind: PgType
    values: Sequence[bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """n values of a composite type: one array costs the server less than one for each column.

    Parameters
    ----------
    kind
        The type's name. The statement says it too (``%s::kind[]``), and `conn.adapters.types` has
        it: its oid differs from database to database.
    columns
        Its fields in their order, all of one length; none: no values. The last may be `Blobs`, if
        none of the others has nulls.
    """

    kind: str
    columns: Sequence[Column | Blobs] = ()


class _Frame(enum.Enum):
    """What has rows, and puts something of its own around each value and its size."""

    COPY = enum.auto()
    ARRAY = enum.auto()
    RECORDS = enum.auto()


def copy_rows(columns: Sequence[Column]) -> bytes:
    """Write rows for ``copy … from stdin (format binary)``.

    Parameters
    ----------
    columns
        All of one length, in the order of the statement's column list.
    """
    return _COPY_HEADER + _bytes(*_rows(columns, _Frame.COPY)) + _COPY_TRAILER


def use_columns(conn: AdaptContext) -> None:
    """Let `Column`, `Blobs` and `Records` be parameters of this connection's statements: arrays."""
    conn.adapters.register_dumper(Column, _ColumnDumper)
    conn.adapters.register_dumper(Blobs, _BlobsDumper)
    conn.adapters.register_dumper(Records, _RecordsDumper)


class _ArrayDumper(Dumper):
    """Writes a binary array; each type of its values has its own oid."""

    format = pq.Format.BINARY

    def get_key(self, obj: Column | Blobs, _format: PyFormat) -> Any:
        return (self.cls, obj.kind.array_oid)

    def upgrade(self, obj: Column | Blobs, _format: PyFormat) -> Dumper:
        dumper = type(self)(self.cls)
        dumper.oid = obj.kind.array_oid
        return dumper


class _BlobsDumper(_ArrayDumper):
    def dump(self, obj: Blobs) -> Buffer:
        parts = [_array(obj.kind.oid, len(obj.values))]
        for value in obj.values:
            parts += (len(value).to_bytes(4, "big"), value)
        return b"".join(parts)


class _ColumnDumper(_ArrayDumper):
    def dump(self, obj: Column) -> Buffer:
        rows, keep = _rows((obj,), _Frame.ARRAY)
        return _array(obj.kind.oid, len(rows), has_null=keep is not None) + _bytes(rows, keep)


class _RecordsDumper(Dumper):
    """Says no oid of the array: the statement names its type."""

    format = pq.Format.BINARY

    def dump(self, obj: Records) -> Buffer:
        assert self.connection is not None
        oid = self.connection.adapters.types[obj.kind].oid
        if not obj.columns:
            return _array(oid, 0)
        rows, keep = _rows(obj.columns, _Frame.RECORDS)
        data, last = _bytes(rows, keep), obj.columns[-1]
        if isinstance(last, Blobs):
            assert keep is None
            size = rows.dtype.itemsize
            ahead = [data[start : start + size] for start in range(0, len(data), size)]
            data = b"".join(chain.from_iterable(zip(ahead, last.values, strict=True)))
        return _array(oid, len(rows)) + data


def _array(oid: int, count: int, *, has_null: bool = False) -> bytes:
    """Return what begins an array of `count` values of a type."""
    if not count:
        return struct.pack("!iii", 0, 0, oid)
    return struct.pack("!iiiii", 1, has_null, oid, count, 1)


def _rows(
    columns: Sequence[Column | Blobs], frame: _Frame
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return the rows for the wire, and which of their bytes are sent (None: all).

    Of `Blobs`, which come last, they have the sizes.
    """
    blank = _blank(tuple([column.kind for column in columns]), frame)
    rows = np.frombuffer(bytearray(blank.tobytes() * len(columns[0].values)), blank.dtype)
    keep: NDArray[np.bool_] | None = None
    for i, column in enumerate(columns):
        if isinstance(column, Blobs):
            sizes = np.array([len(value) for value in column.values], np.int32)
            rows[f"size{i}"] = sizes
            rows["length"] += sizes
            continue
        rows[f"value{i}"] = column.wire()
        if column.null is not None and column.null.any():
            value = _extent(blank.dtype, f"value{i}")
            rows[f"size{i}"][column.null] = -1
            if frame is _Frame.RECORDS:
                rows["length"][column.null] -= value.stop - value.start
            if keep is None:
                keep = np.ones((len(rows), rows.dtype.itemsize), np.bool_)
            keep[column.null, value] = False
    return rows, keep


@cache
def _blank(kinds: tuple[PgType, ...], frame: _Frame) -> NDArray[Any]:
    """Return one row in which only the values are missing."""
    typed = frame is _Frame.RECORDS
    fields = {
        _Frame.COPY: [("count", ">i2")],
        _Frame.ARRAY: [],
        _Frame.RECORDS: [("length", ">i4"), ("count", ">i4")],
    }[frame]
    for i, kind in enumerate(kinds):
        fields += [(f"oid{i}", ">i4")] if typed else []
        fields += [(f"size{i}", ">i4"), (f"value{i}", kind.wire or "V0")]
    row = np.zeros(1, np.dtype(fields))
    for i, kind in enumerate(kinds):
        row[f"size{i}"] = row.dtype[f"value{i}"].itemsize
        if typed:
            row[f"oid{i}"] = kind.oid
    if frame is not _Frame.ARRAY:
        row["count"] = len(kinds)
    if typed:
        row["length"] = row.dtype.itemsize - row.dtype["length"].itemsize
    return row


def _extent(dtype: np.dtype[Any], name: str) -> slice:
    fields = dtype.fields
    assert fields is not None
    part, start = fields[name][:2]
    return slice(start, start + part.itemsize)


def _bytes(rows: NDArray[Any], keep: NDArray[np.bool_] | None) -> bytes:
    if keep is None:
        return rows.tobytes()
    return rows.view(np.uint8).reshape(keep.shape)[keep].tobytes()
