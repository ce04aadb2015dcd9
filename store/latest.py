"""Which of the rows to be written go into `latest` and `latest_position`."""

import numpy as np
from numpy.typing import NDArray


def by_key(
    key: NDArray[np.int32], time_ms: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Order n rows by key and time.

    Parameters
    ----------
    key : int32[n]
        Of a datastream or a device.
    time_ms : int64[n]

    Returns
    -------
    intp[n]
        The places of the rows in that order.
    bool[n]
        In that order: whether a row is the newest of its key.
    """
    order: NDArray[np.intp] = np.lexsort((time_ms, key))
    ordered = key[order]
    newest = np.ones(len(order), np.bool_)
    newest[:-1] = ordered[1:] != ordered[:-1]
    return order, newest
