"""The native payload: one JSON object, or an array of them.

``{"ts": 1763760000123, "seq": 12345, "m": {"depth_m": 0.123}}``, with ``fix`` instead of or
beside ``m`` for a position; ``{"probe": "nonce"}`` is a test publish. A device without a clock
leaves ``ts`` out, or says with ``age_ms`` how long ago it measured.

``{"mizumori": [...]}`` holds the same and is understood for every device, whatever it speaks
itself: imports and replays of the quarantine say what they have found in this form.
"""

import msgspec

from gateway.codecs.reading import Reading
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

OWN = b'{"mizumori":'


class _Own(msgspec.Struct, forbid_unknown_fields=True):
    mizumori: list[Reading]


_own = msgspec.json.Decoder(_Own)
_decoder: msgspec.json.Decoder[Reading | list[Reading]] = msgspec.json.Decoder(
    Reading | list[Reading]
)


def decode(payload: bytes) -> list[Reading]:
    """Decode one message.

    Raises
    ------
    RefusedReadingError
        If it is not this format, or an empty array. Nothing of a message is taken if part of it
        is wrong.

    Examples
    --------
    >>> decode(b'{"seq": 7, "m": {"depth_m": null}}')[0].m
    {'depth_m': None}
    """
    try:
        decoded = (
            _own.decode(payload).mizumori if payload.startswith(OWN) else _decoder.decode(payload)
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, str(error)[:500]) from error
    if not isinstance(decoded, list):
        return [decoded]
    if not decoded:
        raise RefusedReadingError(Reason.EMPTY, "an empty array")
    return decoded


def encode_own(readings: list[Reading]) -> bytes:
    """Return the payload that says these readings for any device.

    Examples
    --------
    >>> decode(encode_own([Reading(ts=1, m={"ph": 7.0})]))[0].m
    {'ph': 7.0}
    """
    return msgspec.json.encode(_Own(readings))
