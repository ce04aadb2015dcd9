"""A sensor's state as bytes: a few tens of them while nothing is going on.

Layout, version 1: the version, the number of readings in the ring, then variable-length integers.
Times are written as milliseconds before a later time that is already known.

Version 2 is version 1 with the beginning of the series after the number. It is written only of a
series that began beside older stored readings, so that nearly all dumps are of version 1, which
every release reads. One that does not know version 2 refuses it, as it does a damaged dump: its
sensor begins anew, and a settlement makes its state and alerts from the stored readings.
"""

import struct
from dataclasses import dataclass
from typing import Final

from detectors.arrays import NEVER
from detectors.errors import StateError

_PLAIN: Final = 1
_BEGUN: Final = 2
_HEAD_ON, _HEAD_RUNS, _TAIL_ON, _TAIL_RUNS = 1, 2, 4, 8


@dataclass(frozen=True)
class Unpacked:
    """What was in a dump.

    Attributes
    ----------
    count : int
        Readings in the ring, from `oldest_ms` to `newest_ms`.
    tail_ms : int
        Time of the last reading before the ring; `begin_ms`: there was none.
    head_flat_ms, tail_flat_ms : int
    lanes : dict
        Lane id to (on, timer) after the ring and (on, timer) before it; lanes at rest are absent.
    begin_ms : int
        The series began after this time, beside stored readings that it never saw; NEVER: there
        were none, or the dump is of a release that did not say so.
    """

    count: int
    oldest_ms: int
    newest_ms: int
    tail_ms: int
    head_flat_ms: int
    tail_flat_ms: int
    lanes: dict[int, tuple[bool, int, bool, int]]
    begin_ms: int


def _put(out: bytearray, number: int) -> None:
    """Append a non-negative integer, seven bits a byte, lowest first."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def nothing_since(begin_ms: int) -> bytes:
    """Write the state of a sensor that begins from nothing after a time.

    Parameters
    ----------
    begin_ms : int
        Of the newest reading that is stored already.
    """
    return struct.pack("<BBq", _BEGUN, 0, begin_ms)


def pack(
    count: int,
    oldest_ms: int,
    newest_ms: int,
    tail_ms: int,
    begin_ms: int,
    ids: list[int],
    bits: tuple[int, int],
    timers: tuple[list[int], list[int]],
    flats: tuple[int, int],
) -> bytes:
    """Write one sensor's state; `ids` names the lanes.

    The last three are of the state machine after the ring and before it: bits, timers per lane,
    start of the flat run.
    """
    if begin_ms == NEVER:
        out = bytearray((_PLAIN, count))
    else:
        out = bytearray(struct.pack("<BBq", _BEGUN, count, begin_ms))
    if not count:
        return bytes(out)
    out += struct.pack("<q", newest_ms)
    _put(out, newest_ms - oldest_ms)
    _put(out, newest_ms - flats[0])
    _put(out, 0 if tail_ms == begin_ms else newest_ms - tail_ms + 1)
    if tail_ms != begin_ms:
        _put(out, newest_ms - flats[1])
    head, tail = bits
    if not (head or tail) and timers[0].count(NEVER) == timers[1].count(NEVER) == len(ids):
        return bytes(out)  # at rest, as nearly always
    for lane, name in enumerate(ids):
        runs = (timers[0][lane], timers[1][lane])
        state = (head >> lane & 1) * _HEAD_ON | (tail >> lane & 1) * _TAIL_ON
        state |= (runs[0] != NEVER) * _HEAD_RUNS | (runs[1] != NEVER) * _TAIL_RUNS
        if state:
            out += struct.pack("<IB", name, state)
            for run in runs:
                if run != NEVER:
                    _put(out, newest_ms - run)
    return bytes(out)


class _Reader:
    def __init__(self, blob: bytes) -> None:
        self.blob, self.at = blob, 0

    def take(self, form: str) -> tuple[int, ...]:
        fields = struct.unpack_from(form, self.blob, self.at)
        self.at += struct.calcsize(form)
        return fields

    def number(self) -> int:
        number = shift = 0
        while True:
            byte = self.blob[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7


def unpack(blob: bytes) -> Unpacked:
    """Read what `pack` wrote.

    Raises
    ------
    StateError
        Cut short, or written by another version.
    """
    try:
        return _unpack(_Reader(bytes(blob)))
    except (IndexError, struct.error) as error:
        raise StateError("a stored detector state is cut short or damaged") from error


def _unpack(reader: _Reader) -> Unpacked:
    version, count = reader.take("<BB")
    if version not in (_PLAIN, _BEGUN):
        raise StateError(
            f"a stored detector state is of version {version}, this program reads {_PLAIN} and "
            f"{_BEGUN}: it was written by another release"
        )
    (begin_ms,) = reader.take("<q") if version == _BEGUN else (NEVER,)
    if not count:
        return Unpacked(0, NEVER, NEVER, begin_ms, NEVER, NEVER, {}, begin_ms)
    (newest_ms,) = reader.take("<q")
    oldest_ms = newest_ms - reader.number()
    head_flat_ms = newest_ms - reader.number()
    before = reader.number()
    tail_ms = newest_ms - before + 1 if before else begin_ms
    tail_flat_ms = newest_ms - reader.number() if before else NEVER
    lanes = {}
    while reader.at < len(reader.blob):
        name, state = reader.take("<IB")
        head_ms = newest_ms - reader.number() if state & _HEAD_RUNS else NEVER
        tail_run_ms = newest_ms - reader.number() if state & _TAIL_RUNS else NEVER
        lanes[name] = (bool(state & _HEAD_ON), head_ms, bool(state & _TAIL_ON), tail_run_ms)
    return Unpacked(
        count, oldest_ms, newest_ms, tail_ms, head_flat_ms, tail_flat_ms, lanes, begin_ms
    )
