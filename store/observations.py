"""Readings on their way into their table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from store import queries
from store.binary import (
    FLOAT8,
    INT2,
    INT4,
    INT8,
    TIMESTAMPTZ,
    Column,
    copy_rows,
)
from store.database import Connection
from store.errors import StoreError

_SQL = queries.load("observations")


class AlreadyStoredError(StoreError):
    """Some of the rows are in the database already: look which, and write the others."""


@dataclass(frozen=True, eq=False)
class Observations:
    """n rows of `observation`; times are int64 milliseconds, `seq` -1 and `rate_per_h` NaN null.

    `tenant_id` and `rate_per_h` go into `latest`.
    """

    datastream_id: NDArray[np.int32]
    tenant_id: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    received_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    seq: NDArray[np.int64]
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]
    marks: NDArray[np.int16]
    rate_per_h: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time_ms)

    def columns(self) -> dict[str, Column]:
        """Return the columns of the table, in its order."""
        return {
            "phenomenon_time": Column(TIMESTAMPTZ, self.time_ms),
            "received_time": Column(TIMESTAMPTZ, self.received_ms),
            "value": Column(FLOAT8, self.value),
            "seq": Column(INT8, self.seq, self.seq < 0),
            "datastream_id": Column(INT4, self.datastream_id),
            "flag": Column(INT2, self.flag),
            "evaluated": Column(INT2, self.evaluated),
            "marks": Column(INT2, self.marks),
        }

    def columns_with_latest(self) -> dict[str, Column]:
        """Return what `latest` has of them as well: the fields of `batch_row`."""
        return self.columns() | {
            "tenant_id": Column(INT4, self.tenant_id),
            "rate_per_h": Column(FLOAT8, self.rate_per_h, np.isnan(self.rate_per_h)),
        }


def known_values(
    conn: Connection, datastream_id: NDArray[np.int32], time_ms: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.int64]]:
    """Look which rows are in `observation` already.

    Parameters
    ----------
    datastream_id : int32[n]
    time_ms : int64[n]

    Returns
    -------
    intp[k], float64[k], int64[k]
        Their places in the arguments, the stored values, and the device's numbers (-1: none).
    """
    keys = {
        "datastream_id": Column(INT4, datastream_id),
        "phenomenon_time": Column(TIMESTAMPTZ, time_ms),
    }
    found = conn.execute(_SQL["known_values"], keys, binary=True).fetchall()
    places = np.array([row[0] - 1 for row in found], np.intp)
    values = np.array([row[1] for row in found], np.float64)
    return places, values, np.array([row[2] for row in found], np.int64)


def copy(conn: Connection, rows: Observations) -> None:
    """Write many rows by binary COPY.

    Raises
    ------
    psycopg.errors.UniqueViolation
        If one is there already; the transaction is lost with it.
    """
    with conn.cursor() as cursor, cursor.copy(_SQL["copy"]) as stream:
        stream.write(copy_rows(list(rows.columns().values())))
