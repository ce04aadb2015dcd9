"""JSON of any shape: what a device or an operator's callback says in words of its own.

Nested names are joined by dots: ``{"AM2301": {"Temperature": 18.2}}`` is AM2301.Temperature. Which
of them is the time and which the number of the message, the device's mapping says: `msg.time`,
`msg.time_s`, `msg.time_ms`, `msg.seq`.
"""

from typing import Any

import msgspec

from gateway.codecs import lorawan
from gateway.codecs.report import Report
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

_decoder: msgspec.json.Decoder[dict[str, Any] | list[dict[str, Any]]] = msgspec.json.Decoder(
    dict[str, Any] | list[dict[str, Any]]
)


def decode(payload: bytes) -> list[Report]:
    """Decode one object, or an array of them; raises RefusedReadingError.

    Examples
    --------
    >>> decode(b'{"AM2301": {"Temperature": 18.2}}')[0].measures[0].name
    'AM2301.Temperature'
    """
    try:
        found = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, str(error)[:500]) from error
    objects = found if isinstance(found, list) else [found]
    if not objects:
        raise RefusedReadingError(Reason.EMPTY, "an empty array")
    return [Report(lorawan.flat(one)) for one in objects]
