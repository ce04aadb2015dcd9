"""NumPy columns as arrays of PostgreSQL: what goes in comes out."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from psycopg.types import TypeInfo

from store.binary import (
    BYTEA,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    TEXT,
    TIMESTAMPTZ,
    Blobs,
    Column,
    Records,
)

TIMES_MS = np.array([-1, 1, 1_763_760_000_123, 946_684_799_999])
TIMES = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(t)) for t in TIMES_MS]


@pytest.fixture
def conn(roles):
    """A session that knows a type with a field of each kind, which it has to itself."""
    with roles.owner.transaction() as conn:
        conn.execute(
            "create type pg_temp.sample as"
            " (a smallint, b integer, c bigint, d double precision, e timestamptz, f bytea)"
        )
        info = TypeInfo.fetch(conn, "pg_temp.sample")
        conn.adapters.types.add(TypeInfo("sample", info.oid, info.array_oid))
        yield conn


def read(conn, records):
    query = "select * from unnest(%s::pg_temp.sample[]) with ordinality order by ordinality"
    return [row[:-1] for row in conn.execute(query, (records,), binary=True).fetchall()]


def columns(null=None):
    return (
        Column(INT2, np.array([1, 255, 0, 9], np.uint8), null),
        Column(INT4, np.array([-1, 2, 2**31 - 1, 0], np.int32)),
        Column(INT8, np.array([-(2**63), 5, 2**63 - 1, 0]), null),
        Column(FLOAT8, np.array([math.inf, -math.inf, -0.1, 5e-324])),
        Column(TIMESTAMPTZ, TIMES_MS),
    )


def test_records_come_back_as_they_were(conn):
    blobs = [b"", b"\0\xff", b"x" * 70_000, b"y"]
    rows = read(conn, Records("sample", (*columns(), Blobs(BYTEA, blobs))))
    assert rows == [
        (1, -1, -(2**63), math.inf, TIMES[0], blobs[0]),
        (255, 2, 5, -math.inf, TIMES[1], blobs[1]),
        (0, 2**31 - 1, 2**63 - 1, -0.1, TIMES[2], blobs[2]),
        (9, 0, 0, 5e-324, TIMES[3], blobs[3]),
    ]


def test_fields_of_records_are_null_where_they_should_be(conn):
    conn.execute("alter type pg_temp.sample drop attribute f")
    plain = read(conn, Records("sample", columns()))
    some = read(conn, Records("sample", columns(np.array([False, True, True, False]))))
    assert [row[:1] + row[2:3] for row in some] == [
        (1, -(2**63)),
        (None, None),
        (None, None),
        (9, 0),
    ]
    assert [row[1:2] + row[3:] for row in some] == [row[1:2] + row[3:] for row in plain]


def test_nan_is_a_value_and_no_null(conn):
    conn.execute("create type pg_temp.one as (d double precision)")
    info = TypeInfo.fetch(conn, "pg_temp.one")
    conn.adapters.types.add(TypeInfo("one", info.oid, info.array_oid))
    nan = Records("one", (Column(FLOAT8, np.array([math.nan])),))
    found = conn.execute("select d::text from unnest(%s::pg_temp.one[])", (nan,)).fetchall()
    assert found == [("NaN",)]


def test_no_records_are_an_empty_array(conn):
    empty = [Records("sample"), Records("sample", tuple(c.take(np.arange(0)) for c in columns()))]
    assert [read(conn, one) for one in empty] == [[], []]


def test_columns_and_blobs_come_back_as_they_were(conn):
    null = np.array([False, True, True, False])
    arrays = [*columns(), Column(FLOAT8, np.arange(4.0), null), Blobs(TEXT, ["水".encode(), b""])]
    found = conn.execute("select %s, %s, %s, %s, %s, %s, %s", arrays, binary=True).fetchone()
    assert found == (
        [1, 255, 0, 9], [-1, 2, 2**31 - 1, 0], [-(2**63), 5, 2**63 - 1, 0],
        [math.inf, -math.inf, -0.1, 5e-324], TIMES, [0.0, None, None, 3.0], ["水", ""],
    )  # fmt: skip
    nothing = (Column(INT4, np.zeros(0)), Blobs(TEXT, ()))
    assert conn.execute("select %s, %s", nothing).fetchone() == ([], [])
