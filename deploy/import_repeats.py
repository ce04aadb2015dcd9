"""What of a file is known already: said twice in it, or stored."""

import enum
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploy.compose_database import owner_transaction
from deploy.settings import Settings
from gateway.codecs.reading import Fix, Reading
from store import datastream_catalog, device_catalog
from store.database import Connection
from store.observations import known_values
from store.positions import Position, Positions, equal_content, known_positions

REPEATED: Final = "the same stands earlier in the file"
STORED: Final = "stored already"
_FIX: Final = "<2d3fb"  # places as the table keeps them, speed, course and HDOP rounded
# What a reading says, as bytes that are equal where the store has it equal; and its number.
_Said = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Taken:
    """A reading that the town takes, where it stands, and whose it is."""

    place: int
    code: str
    reading: Reading


class Known(enum.Enum):
    """What is known of a reading."""

    NOT = enum.auto()
    SAME = enum.auto()
    OTHER = enum.auto()
    """Another value for the same time: both are kept, and one of them stands."""


@dataclass
class Repeats:
    """Remembers what a file said of each time, property by property."""

    _said: dict[tuple[str, str], dict[int, tuple[_Said, ...]]] = field(default_factory=dict)

    def look(self, one: Taken) -> Known:
        """Tell what the file said before of the same times, and remember this."""
        found = set()
        for name, said in _parts(one.reading):
            times = self._said.setdefault((one.code, name), {})
            before = times.get(one.reading.ts or 0, ())
            if said in before:
                found.add(Known.SAME)
                continue
            times[one.reading.ts or 0] = (*before, said)
            # The same under another number of the device is news, but contradicts nothing.
            clash = before and not any(other[0] == said[0] for other in before)
            found.add(Known.OTHER if clash else Known.NOT)
        return _of_all(found)


def stored_already(settings: Settings, tenant_id: int, batch: Sequence[Taken]) -> list[Known]:
    """Look what the database has of each; raises StoreError."""
    with owner_transaction(settings) as conn:
        ids = {one.code: one.device_id for one in device_catalog.devices(conn, tenant_id)}
        streams = {
            (one.device_id, one.property): one.datastream_id
            for one in datastream_catalog.datastreams(conn, tenant_id)
        }
        measured = [
            (i, streams[ids[one.code], name], one.reading.ts or 0, value, one.reading.seq)
            for i, one in enumerate(batch)
            for name, value in (one.reading.m or {}).items()
        ]
        fixes = [(i, ids[one.code], one.reading) for i, one in enumerate(batch) if one.reading.fix]
        found: list[set[Known]] = [set() for _ in batch]
        if measured:
            where, stream, time_ms, values, seq = zip(*measured, strict=True)
            _fold(found, where, _values_known(conn, stream, time_ms, values, seq))
        if fixes:
            own = Positions.of([_position(device, reading) for _, device, reading in fixes])
            _fold(found, [i for i, _, _ in fixes], _fixes_known(conn, own))
    return [_of_all(one) for one in found]


def _values_known(
    conn: Connection,
    stream: Sequence[int],
    time_ms: Sequence[int],
    values: Sequence[float | None],
    numbers: Sequence[int | None],
) -> list[Known]:
    places, there, known_seq = known_values(
        conn, np.array(stream, np.int32), np.array(time_ms, np.int64)
    )
    value = np.array([math.nan if one is None else one for one in values], np.float64)[places]
    same = (value == there) | (np.isnan(value) & np.isnan(there))
    seq = np.array([-1 if one is None else one for one in numbers], np.int64)[places]
    return _compared(len(values), places, same, seq > known_seq)


def _fixes_known(conn: Connection, fixes: Positions) -> list[Known]:
    places, there = known_positions(conn, fixes.device_id, fixes.time_ms)
    own = fixes.take(places)
    same = equal_content(own.content(), there.content())
    return _compared(len(fixes), places, same, own.seq > there.seq)


def _compared(
    n: int, places: NDArray[np.intp], same: NDArray[np.bool_], higher: NDArray[np.bool_]
) -> list[Known]:
    """Tell of n, those at `places` are stored; the same under a higher number is news."""
    known = [Known.NOT] * n
    for place, equal, news in zip(places.tolist(), same.tolist(), higher.tolist(), strict=True):
        if not (equal and news):
            known[place] = Known.SAME if equal else Known.OTHER
    return known


def _fold(found: list[set[Known]], where: Sequence[int], known: list[Known]) -> None:
    for i, one in zip(where, known, strict=True):
        found[i].add(one)


def _of_all(parts: set[Known]) -> Known:
    if Known.OTHER in parts:
        return Known.OTHER
    return Known.SAME if parts == {Known.SAME} else Known.NOT


def _parts(reading: Reading) -> Iterator[tuple[str, _Said]]:
    """Yield what a reading says, property by property."""
    seq = -1 if reading.seq is None else reading.seq
    for name, value in (reading.m or {}).items():
        yield name, (struct.pack("<d", math.nan if value is None else value + 0.0), seq)
    if (fix := reading.fix) is not None:
        numbers = (fix.lat, fix.lon, fix.speed_kmh, fix.course_deg, fix.hdop)
        said = (math.nan if number is None else number + 0.0 for number in numbers)
        blade = -1 if fix.blade is None else int(fix.blade)
        yield "", (struct.pack(_FIX, *said, blade), seq)


def _position(device: int, reading: Reading) -> Position:
    fix, seq = reading.fix or Fix(), -1 if reading.seq is None else reading.seq
    return Position(
        device, 0, reading.ts or 0, 0, fix.lat, fix.lon, fix.speed_kmh, fix.course_deg, fix.hdop,
        fix.blade, seq, 0,
    )  # fmt: skip
