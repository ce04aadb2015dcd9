"""The native payload: one JSON object, or an array of them.

``{"ts": 1763760000123, "seq": 12345, "m": {"depth_m": 0.123}}``, with ``fix`` instead of or
beside ``m`` for a position; ``{"probe": "nonce"}`` is a test publish.
"""

from typing import Annotated

import msgspec

from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

# What fits into a bigint; a sequence number counts up from 0.
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
# Within what a timestamptz and our arithmetic hold; the settings draw the narrower bounds.
Milliseconds = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


# Wide enough for any fault worth keeping (a flag tells), narrow enough for a `real` column.
Measure = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]


class Fix(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A position. What is absent or null was not measured."""

    lat: Measure | None = None
    lon: Measure | None = None
    speed_kmh: Measure | None = None
    course_deg: Measure | None = None
    hdop: Measure | None = None
    blade: bool | None = None


class Reading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a device measured at one time, property by property."""

    ts: Milliseconds | None = None
    seq: Sequence | None = None
    m: dict[str, float | None] | None = None
    fix: Fix | None = None
    probe: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[!-~]+$")] | None = None


_decoder: msgspec.json.Decoder[Reading | list[Reading]] = msgspec.json.Decoder(
    Reading | list[Reading]
)


def decode(payload: bytes) -> list[Reading]:
    """Decode one message.

    Raises
    ------
    RefusedReadingError
        If it is not this format. Nothing of a message is taken if part of it is wrong.

    Examples
    --------
    >>> decode(b'{"seq": 7, "m": {"depth_m": null}}')[0].m
    {'depth_m': None}
    """
    try:
        decoded = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, str(error)[:500]) from error
    return decoded if isinstance(decoded, list) else [decoded]
