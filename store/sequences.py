"""Sequence numbers, by which readings without a device time are told apart."""

import numpy as np
from numpy.typing import NDArray

from store import queries
from store.binary import INT4, INT8, TIMESTAMPTZ, Column
from store.database import Connection

_SQL = queries.load("sequences")


def claim(
    conn: Connection,
    device_id: NDArray[np.int32],
    seq: NDArray[np.int64],
    time_ms: NDArray[np.int64],
    horizon_s: float,
) -> set[tuple[int, int]]:
    """Claim (device, sequence number) for readings without a device time.

    Parameters
    ----------
    device_id, seq, time_ms
        No pair twice; `time_ms` is the received time.
    horizon_s
        A number that comes again after so long is a device that began to count anew.

    Returns
    -------
    set of (device_id, seq)
        Those that are new.
    """
    parameters = {
        "device_id": Column(INT4, device_id),
        "seq": Column(INT8, seq),
        "phenomenon_time": Column(TIMESTAMPTZ, time_ms),
        "horizon_s": horizon_s,
    }
    return set(conn.execute(_SQL["claim"], parameters).fetchall())
