"""What detectors know of each datastream, on its way into its table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from store import queries
from store.binary import BYTEA, INT4, INT8, TIMESTAMPTZ, Blobs, Column
from store.database import Connection
from store.errors import StoreError

_SQL = queries.load("detector_states")


class StateMovedError(StoreError):
    """A settlement wrote other detector states meanwhile: roll back, read them, decide again."""

    def __init__(self, datastream_ids: Collection[int]) -> None:
        super().__init__(f"{len(datastream_ids)} detector states were settled meanwhile")
        self.datastream_ids = tuple(datastream_ids)


@dataclass(frozen=True, eq=False)
class States:
    """n rows of `detector_state`, ordered by datastream.

    Attributes
    ----------
    epoch : int64[n]
        Of the lease under which they are written.
    revision : int64[n]
        Of the state that they were decided from.
    through_ms : int64[n]
        Newest phenomenon time that they include.
    rules_since_ms : int64[n]
        Since when their rules hold.
    state
        n dumps.
    """

    datastream_id: NDArray[np.int32]
    epoch: NDArray[np.int64]
    revision: NDArray[np.int64]
    through_ms: NDArray[np.int64]
    rules_since_ms: NDArray[np.int64]
    state: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.state)

    def columns(self) -> dict[str, Column | Blobs]:
        """Return the columns of the table: the fields of `batch_state`."""
        return {
            "datastream_id": Column(INT4, self.datastream_id),
            "epoch": Column(INT8, self.epoch),
            "revision": Column(INT8, self.revision),
            "through_time": Column(TIMESTAMPTZ, self.through_ms),
            "rules_since": Column(TIMESTAMPTZ, self.rules_since_ms),
            "state": Blobs(BYTEA, self.state),
        }


def refuse_moved(conn: Connection, rows: States) -> None:
    """Look whether states are others than those that they were decided from.

    Raises
    ------
    StateMovedError
        If a settlement has replaced some of them.
    """
    keys = {
        "datastream_id": Column(INT4, rows.datastream_id),
        "revision": Column(INT8, rows.revision),
    }
    moved = conn.execute(_SQL["moved"], keys).fetchall()
    if moved:
        raise StateMovedError([row[0] for row in moved])
