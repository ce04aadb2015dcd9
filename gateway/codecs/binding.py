"""A device's codec: its payload format and its own mapping, put together once."""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from detectors.sentence import Sentence
from gateway import metrics
from gateway.codecs import lorawan, native, nmea, plain_json, senml, sparkplug
from gateway.codecs.mapping import CodecParams
from gateway.codecs.mapping import Mapping as NameMapping
from gateway.codecs.reading import Reading
from gateway.codecs.report import Report
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

Decode = Callable[[bytes], list[Reading]]


def _nmea(payload: bytes) -> list[Report]:
    log = nmea.decode(payload)
    for reason, count in log.reasons.items():
        metrics.LINES_SKIPPED.labels(reason).inc(count)
    return [epoch.report() for epoch in log.epochs]


# Test publishes, and what imports and replays of the quarantine say.
_OWN = (b'{"probe":', native.OWN)
# Formats of which a message says everything by itself. The network servers' take a model too.
_PLAIN: Mapping[str, Callable[[bytes], list[Report]]] = MappingProxyType(
    {
        "senml-json": senml.decode_json,
        "senml-cbor": senml.decode_cbor,
        "json": plain_json.decode,
        "nmea": _nmea,
        "sparkplug-b": sparkplug.decode,
    }
)
CODECS = ("native", *_PLAIN, *lorawan.SERVERS)
MODELS = tuple(lorawan.RAW)


def read_params(codec: str, stored: Mapping[str, Any]) -> CodecParams:
    """Read what is in `device.codec_params`.

    Raises
    ------
    ValueError
        With a sentence that says what cannot be.
    """
    if codec not in CODECS:
        raise ValueError(
            Sentence(
                "there is no codec {codec!r}; there are {known}",
                codec=codec,
                known=", ".join(CODECS),
            )
        )
    try:
        params = msgspec.convert(stored, CodecParams)
    except msgspec.ValidationError as error:
        raise ValueError(
            Sentence("the codec's parameters cannot be read: {error}", error=error)
        ) from error
    if params.model and codec not in lorawan.SERVERS:
        raise ValueError(
            Sentence("a model goes with a LoRaWAN network server, not with {codec!r}", codec=codec)
        )
    if params.model and params.model not in lorawan.RAW:
        raise ValueError(
            Sentence(
                "there is no model {model!r}; there are {known}",
                model=params.model,
                known=", ".join(MODELS),
            )
        )
    return params


def bind(
    codec: str, stored: Mapping[str, Any], properties: Collection[str], *, moves: bool
) -> Decode:
    """Return the function that decodes a device's messages.

    Parameters
    ----------
    codec, stored
        The columns `device.codec` and `device.codec_params`.
    properties
        What the device has datastreams for.
    moves
        Whether it reports positions.

    Returns
    -------
    Callable
        From bytes to readings, none for a sign of life; raises RefusedReadingError, and with
        parameters that cannot be read for every message.
    """
    try:
        params = read_params(codec, stored)
    except ValueError as error:
        return _refuse(str(error))
    if codec == "native" and not params.map:
        return native.decode
    mapping = NameMapping(params, properties, moves=moves)
    if codec == "native":
        return _own(lambda payload: mapping.native(native.decode(payload)))
    if codec in lorawan.SERVERS:
        model = params.model
        return _own(lambda payload: mapping.readings(lorawan.decode(codec, model, payload)))
    read = _PLAIN[codec]
    return _own(lambda payload: mapping.readings(read(payload)))


def _own(read: Decode) -> Decode:
    """Let through what we say ourselves, whatever the device speaks."""
    return lambda payload: native.decode(payload) if payload.startswith(_OWN) else read(payload)


def _refuse(detail: str) -> Decode:
    def decode(_payload: bytes) -> list[Reading]:
        raise RefusedReadingError(Reason.UNKNOWN_CODEC, detail[:500])

    return decode
