"""A batch as columns: what the messages of one transaction say."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.readings import Readings
from gateway.message import Message
from store.positions import Position

NO_SEQUENCE = -1


@dataclass(frozen=True, eq=False)
class Rows:
    """n readings.

    Attributes
    ----------
    sensor : int32[n]
        Index in the registry's fleet.
    time_ms : int64[n]
        Phenomenon time; the received time where the device sent none.
    value : float64[n]
        NaN: reported as missing.
    seq : int64[n]
        The device's sequence number, or `NO_SEQUENCE`.
    marks : int16[n]
        `store.marks.Mark`.
    received_ms : int64[n]
    """

    sensor: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    seq: NDArray[np.int64]
    marks: NDArray[np.int16]
    received_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sensor)

    def take(self, index: NDArray[Any]) -> Self:
        """Rows picked by mask or index."""
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))

    def readings(self) -> Readings:
        """Return what the detectors look at."""
        return Readings(self.sensor, self.time_ms, self.value)

    @classmethod
    def of(cls, columns: "RowLists", received_ms: NDArray[np.int64]) -> Self:
        """Build from the decoder's lists and the messages' received times."""
        marks = np.zeros(len(columns.sensor), np.int16)
        for start, count, mark in columns.marked:
            marks[start : start + count] = mark
        return cls(
            np.array(columns.sensor, np.int32),
            np.array(columns.time_ms, np.int64),
            np.array(columns.value, np.float64),
            np.array(columns.seq, np.int64),
            marks,
            np.repeat(received_ms, np.array(columns.counts, np.int64)),
        )


@dataclass(slots=True)
class RowLists:
    """The columns while a batch is decoded.

    `marked` holds (first row, rows, marks) where there are marks, `counts` the rows of each
    message.
    """

    sensor: list[int] = field(default_factory=list)
    time_ms: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)
    marked: list[tuple[int, int, int]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def truncate(self, length: int) -> None:
        """Forget what a message added before it was refused."""
        for column in (self.sensor, self.time_ms, self.value, self.seq):
            del column[length:]
        while self.marked and self.marked[-1][0] >= length:
            self.marked.pop()


@dataclass(frozen=True, slots=True)
class Refused:
    """A message for the quarantine."""

    message: Message
    tenant_id: int
    device_code: str | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that a number of messages say.

    `heard` maps each device that sent something acceptable to its town and its newest received
    time; `probes` are the test publishes (nonce, town); `routers` are by device the network
    gateways that heard its newest message, where that says so.
    """

    messages: Sequence[Message]
    rows: Rows
    positions: list[Position]
    refused: list[Refused]
    heard: dict[int, tuple[int, int]]
    probes: list[tuple[str, int]]
    routers: dict[int, list[str]] = field(default_factory=dict)
