"""Flags that were given after the fact: a flag given in real time is never rewritten.

Each source (the tests of the hour, plateaus, drift, a street's sensors together, a pond's probes)
looks at tests of its own, and its newest word on a reading stands. A reading's revised flag is the
worst of them and of the one given in real time: see the view `reviewed_flag`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from store import live, queries
from store.binary import INT2, INT4, TIMESTAMPTZ, Column
from store.database import Connection

Source = Literal["quality", "plateau", "drift", "flood", "pond"]
_SQL = queries.load("flag_revisions")


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What a source finds about n readings, no two of one datastream and time.

    Attributes
    ----------
    datastream_id : int32[n]
    time_ms : int64[n]
        Phenomenon time; of a stored reading.
    flag : uint8[n]
        Of the source's own tests.
    evaluated : int16[n]
        Those of its tests that were evaluated.
    """

    datastream_id: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    flag: NDArray[np.uint8]
    evaluated: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.time_ms)

    @classmethod
    def of(
        cls,
        datastream_id: int,
        time_ms: NDArray[np.int64],
        flag: NDArray[np.uint8],
        evaluated: NDArray[np.int16],
    ) -> Self:
        """Those of one datastream; times, flags and tests as of the class."""
        return cls(np.full(len(time_ms), datastream_id, np.int32), time_ms, flag, evaluated)

    def columns(self) -> dict[str, Column]:
        """Return them as columns of the statements: the fields of `batch_verdict`."""
        return {
            "datastream_id": Column(INT4, self.datastream_id),
            "phenomenon_time": Column(TIMESTAMPTZ, self.time_ms),
            "flag": Column(INT2, self.flag),
            "evaluated": Column(INT2, self.evaluated),
        }

    def take(self, which: NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(*(column[which] for column in vars(self).values()))

    @classmethod
    def none(cls) -> Self:
        """No verdicts."""
        return cls.of(0, np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int16))

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """Put one behind the other; at least one."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def append(conn: Connection, source: Source, verdicts: Verdicts) -> int:
    """Append what differs from the source's newest word on each reading.

    A reading of which nothing was said, and nothing bad is found, gets no row: a row for each
    good reading would double what is stored. Give also the readings that stand objected to
    (`standing`) and are good by now. Short before the end of a transaction, and with datastreams
    ascending over several calls: a gateway that writes into a marked hour waits.

    Returns
    -------
    int
        Rows appended. The hours of these readings are marked, so that their rollups count them,
        and the live feed hears where the newest reading was revised.
    """
    if not len(verdicts):
        return 0
    conn.execute(_SQL["lock"], {"source": source})
    parameters = {"source": source, **verdicts.columns()}
    changed = conn.execute(_SQL["append"], parameters).fetchall()
    if changed:
        datastream_ids, times = zip(*changed, strict=True)
        hours = {"datastream_ids": list(datastream_ids), "times": list(times)}
        conn.execute(_SQL["mark_hours"], hours)
        for tenant_id, newest in conn.execute(_SQL["newest"], hours).fetchall():
            live.notify(conn, tenant_id, datastreams=newest)
    return len(changed)


def revise(conn: Connection, verdicts: Verdicts) -> None:
    """Append what late readings changed about the flags of their neighbours."""
    conn.execute(_SQL["revise"], verdicts.columns())


def standing(
    conn: Connection, source: Source, datastream_ids: Sequence[int], start: datetime
) -> Verdicts:
    """Read a source's newest word on the readings of some datastreams from a time on."""
    parameters = {"source": source, "datastream_ids": list(datastream_ids), "start": start}
    found = conn.execute(_SQL["standing"], parameters, binary=True).fetchall()
    columns = list(zip(*found, strict=True)) or [(), (), (), ()]
    return Verdicts(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.uint8),
        np.array(columns[3], np.int16),
    )
