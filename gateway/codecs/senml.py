"""SenML in JSON and in CBOR: RFC 8428.

A pack is resolved as section 4.6 says: base name, time, unit, value and sum are folded into the
records. Times below 2**28 are relative to the time of reception; those and records without a
time become an age.
"""

import io
import math
from collections.abc import Iterator
from typing import Any

import cbor2
import msgspec

from gateway.codecs.report import Measure, Report
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

# RFC 8428, 4.5.3: a smaller time is relative to now.
ABSOLUTE_FROM_S = 2**28
# RFC 8428, 4.4: the version described there.
VERSION = 10
# Beyond what a timestamptz holds.
_LATEST_S = 2**43
_DEPTH = 4

# RFC 8428, 6: CBOR labels.
_LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip


class Record(msgspec.Struct, gc=False):
    """One record as it stands in a pack; labels that are not here are of no interest."""

    bn: str = ""
    bt: float = 0.0
    bu: str | None = None
    bv: float = 0.0
    bs: float = 0.0
    bver: int | None = None
    n: str = ""
    u: str | None = None
    v: float | None = None
    vs: str | None = None
    vb: bool | None = None
    s: float | None = None
    t: float = 0.0


_pack = msgspec.json.Decoder(list[dict[str, Any]])


def decode_json(payload: bytes) -> list[Report]:
    """Decode ``application/senml+json``; raises RefusedReadingError.

    Examples
    --------
    >>> decode_json(b'[{"n": "depth_m", "bt": 1763760000, "v": 0.1}]')[0].ts_ms
    1763760000000
    """
    try:
        pack = _pack.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, str(error)[:500]) from error
    return _reports(pack)


def decode_cbor(payload: bytes) -> list[Report]:
    """Decode ``application/senml+cbor``; raises RefusedReadingError."""
    try:
        # Read byte by byte, the stream tells where the pack ended.
        stream = io.BytesIO(payload)
        decoder = cbor2.CBORDecoder(stream, max_depth=_DEPTH, semantic_decoders=_TAGS, read_size=1)
        pack = decoder.decode()
    except (cbor2.CBORDecodeError, ValueError, OverflowError, RecursionError) as error:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, str(error)[:500]) from error
    if stream.tell() != len(payload):
        raise RefusedReadingError(Reason.BAD_PAYLOAD, "something follows the pack")
    if not isinstance(pack, list) or not all(isinstance(record, dict) for record in pack):
        raise RefusedReadingError(Reason.BAD_PAYLOAD, "not an array of maps")
    return _reports([_labelled(record) for record in pack])


def _labelled(record: dict[Any, Any]) -> dict[str, Any]:
    """Name a record's labels; numbers that CBOR alone has become floats."""
    named: dict[str, Any] = {}
    for label, value in record.items():
        name = label if isinstance(label, str) else _LABELS.get(label, "")
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
            raise RefusedReadingError(Reason.BAD_PAYLOAD, f"{name!r} is too large a number")
        named[name] = value
    return named


def _refuse_tag(*_: Any) -> Any:
    raise ValueError("a tag that SenML does not use")


# RFC 8428, 6 allows decimal fractions (tag 4) beside CBOR's own numbers; the others that the
# library would build objects from (dates, patterns, shared values) have no business here.
_TAGS = dict.fromkeys(
    (
        0,
        1,
        2,
        3,
        5,
        25,
        28,
        29,
        30,
        35,
        36,
        37,
        43000,
        52,
        54,
        100,
        256,
        258,
        260,
        261,
        1004,
        55799,
    ),
    _refuse_tag,
)


def _reports(pack: list[dict[str, Any]]) -> list[Report]:
    """Group a pack's values by time."""
    reports: dict[tuple[bool, int], Report] = {}
    for time_s, measure in _resolved(pack):
        absolute = time_s >= ABSOLUTE_FROM_S
        if not -ABSOLUTE_FROM_S <= time_s < _LATEST_S:
            raise RefusedReadingError(Reason.BAD_PAYLOAD, f"the time {time_s!r} is out of range")
        time_ms = round(time_s * 1000)
        key = (absolute, time_ms)
        if key not in reports:
            reports[key] = Report(
                ts_ms=time_ms if absolute else None,
                # Without any time: when it came, to the millisecond a number apart.
                age_ms=None if absolute or not time_ms else -time_ms,
            )
        reports[key].measures.append(measure)
    return list(reports.values())


def _resolved(pack: list[dict[str, Any]]) -> Iterator[tuple[float, Measure]]:
    """Fold base fields in; yields (time in seconds, measure)."""
    base = Record()
    for fields in pack:
        for label in fields:
            # RFC 8428, 4.4: who does not understand such a label must not guess.
            if label.endswith("_"):
                raise RefusedReadingError(
                    Reason.BAD_PAYLOAD, f"must-understand label {label[:60]!r}"
                )
        try:
            record = msgspec.convert(fields, Record, strict=True)
        except msgspec.ValidationError as error:
            raise RefusedReadingError(Reason.BAD_PAYLOAD, str(error)[:500]) from error
        if record.bver is not None and not 0 < record.bver <= VERSION:
            raise RefusedReadingError(Reason.BAD_PAYLOAD, f"SenML version {record.bver}")
        for label in ("bn", "bt", "bu", "bv", "bs"):
            if label in fields:
                setattr(base, label, getattr(record, label))
        yield from _values(record, base)


def _values(record: Record, base: Record) -> Iterator[tuple[float, Measure]]:
    name, time_s = base.bn + record.n, base.bt + record.t
    unit = (record.u if record.u is not None else base.bu) or ""
    if math.isnan(time_s):
        raise RefusedReadingError(Reason.BAD_PAYLOAD, "the time is not a number")
    found: list[Measure] = []
    if record.v is not None:
        found.append(Measure(name, base.bv + record.v, unit))
    elif record.vb is not None:
        found.append(Measure(name, record.vb, unit))
    elif record.vs is not None:
        found.append(Measure(name, record.vs, unit))
    if record.s is not None:
        found.append(Measure(f"{name}.sum", base.bs + record.s, unit))
    if found and not name:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, "a record without a name")
    for measure in found:
        if isinstance(measure.value, float) and math.isinf(measure.value):
            raise RefusedReadingError(Reason.BAD_PAYLOAD, f"{name[:60]!r} is infinite")
        yield time_s, measure
