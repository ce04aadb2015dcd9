"""The newest readings of some datastreams of a town."""

from collections.abc import Collection
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from store import queries
from store.database import Connection

Series = tuple[NDArray[np.int64], NDArray[np.float64]]


def since(conn: Connection, datastream_ids: Collection[int], start: datetime) -> dict[int, Series]:
    """Read what some datastreams reported from a time on, without what failed or is missing.

    Returns
    -------
    dict
        By datastream: times in ms, ascending, and values. Those without a reading are absent.
    """
    parameters = {"datastream_ids": list(datastream_ids), "start": start}
    rows = conn.execute(queries.load("recent")["since"], parameters, binary=True).fetchall()
    table = np.array(rows, np.dtype([("id", np.int32), ("time", np.int64), ("value", np.float64)]))
    ids, first = np.unique(table["id"], return_index=True)
    parts = np.split(table, first[1:])
    return {int(one): (part["time"], part["value"]) for one, part in zip(ids, parts, strict=False)}
