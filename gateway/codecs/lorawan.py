"""Uplinks as LoRaWAN network servers hand them over, and what is inside.

ChirpStack v4 (and the JSON of v3), The Things Stack v3, LORIOT and ThingPark. ChirpStack and The
Things Stack leave out what is zero or empty: an absent frame counter is frame 0.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from gateway.codecs import decentlab, milesight
from gateway.codecs.reading import Sequence
from gateway.codecs.report import Measure, Report, Scalar
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

RAW: dict[str, Callable[[str, bytes], list[Report]]] = {
    **dict.fromkeys(milesight.MODELS, milesight.decode),
    **dict.fromkeys(decentlab.MODELS, decentlab.decode),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of a decoded object: how deep it may be nested and how many values it may hold.
_DEPTH = 5
_VALUES = 500
# What a network gateway may be called, and how many of them are kept of one message.
_NAME = re.compile(r"[!-~]{1,64}")
_ROUTERS = 32


class _Reception(msgspec.Struct, gc=False):
    """How one network gateway heard it."""

    rssi: float = 0.0
    snr: float = 0.0
    snr_v3: float = msgspec.field(default=0.0, name="loRaSNR")
    time: datetime | None = None
    gateway_id: str = msgspec.field(default="", name="gatewayId")  # ChirpStack's
    gateway_id_v3: str = msgspec.field(default="", name="gatewayID")
    gateway_ids: dict[str, Any] | None = None  # The Things Stack's
    gweui: str = ""  # LORIOT's

    @property
    def router(self) -> str:
        """The network gateway's name; its EUI where it is given."""
        ids = self.gateway_ids or {}
        return str(
            self.gateway_id
            or self.gateway_id_v3
            or self.gweui
            or ids.get("eui")
            or ids.get("gateway_id")
            or ""
        )


class _ChirpStack(msgspec.Struct, gc=False, rename="camel"):
    device_info: dict[str, Any] | None = None
    dev_eui: str | None = msgspec.field(default=None, name="devEUI")  # v3's
    time: datetime | None = None
    f_cnt: Sequence = 0
    data: str = ""
    object: dict[str, Any] | None = None
    rx_info: list[_Reception] = []


class _TtsUplink(msgspec.Struct, gc=False):
    f_cnt: Sequence = 0
    frm_payload: str = ""
    decoded_payload: dict[str, Any] | None = None
    rx_metadata: list[_Reception] = []
    received_at: datetime | None = None


class _TheThingsStack(msgspec.Struct, gc=False):
    uplink_message: _TtsUplink
    received_at: datetime | None = None


class _Loriot(msgspec.Struct, gc=False):
    cmd: str
    ts: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    fcnt: Sequence = 0
    data: str = ""
    rssi: float | None = None
    snr: float | None = None
    gws: list[_Reception] = []


class _Lrr(msgspec.Struct, gc=False):
    Lrrid: str = ""


class _Lrrs(msgspec.Struct, gc=False):
    Lrr: list[_Lrr] = []


class _ThingParkUplink(msgspec.Struct, gc=False):
    Time: datetime
    FCntUp: Sequence = 0
    payload_hex: str = ""
    LrrRSSI: float | None = None
    LrrSNR: float | None = None
    Lrrid: str = ""
    Lrrs: _Lrrs = msgspec.field(default_factory=_Lrrs)


class _ThingPark(msgspec.Struct, gc=False):
    DevEUI_uplink: _ThingParkUplink


class Uplink(msgspec.Struct, gc=False):
    """One uplink, whichever server it came through."""

    ts_ms: int | None
    seq: int
    raw: bytes
    object: dict[str, Any] | None = None
    rssi: float | None = None
    snr: float | None = None
    routers: list[str] | None = None


_chirpstack = msgspec.json.Decoder(_ChirpStack)
_the_things_stack = msgspec.json.Decoder(_TheThingsStack)
_loriot = msgspec.json.Decoder(_Loriot)
_thingpark = msgspec.json.Decoder(_ThingPark)


def chirpstack(payload: bytes) -> Uplink:
    """Read ChirpStack's event ``up``; raises RefusedReadingError."""
    event = _read(_chirpstack, payload)
    if event.device_info is None and event.dev_eui is None:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, "no deviceInfo: not an uplink of ChirpStack")
    heard = _best(event.rx_info)
    # v3 names no time of its own: the network gateways' are the next best.
    times = [event.time] if event.time else [one.time for one in event.rx_info if one.time]
    return Uplink(
        _milliseconds(times[0]) if times else None,
        event.f_cnt,
        _base64(event.data),
        event.object,
        heard.rssi if heard else None,
        (heard.snr or heard.snr_v3) if heard else None,
        _routers(one.router for one in event.rx_info),
    )


def the_things_stack(payload: bytes) -> Uplink:
    """Read an uplink message of The Things Stack; raises RefusedReadingError."""
    message = _read(_the_things_stack, payload)
    uplink = message.uplink_message
    # The network server heard it before the application server did.
    time = uplink.received_at or message.received_at
    heard = _best(uplink.rx_metadata)
    return Uplink(
        _milliseconds(time) if time else None,
        uplink.f_cnt,
        _base64(uplink.frm_payload),
        uplink.decoded_payload,
        heard.rssi if heard else None,
        heard.snr if heard else None,
        _routers(one.router for one in uplink.rx_metadata),
    )


def loriot(payload: bytes) -> Uplink:
    """Read LORIOT's messages ``rx`` and ``gw``; raises RefusedReadingError."""
    message = _read(_loriot, payload)
    if message.cmd not in ("rx", "gw"):
        raise RefusedReadingError(Reason.BAD_PAYLOAD, f"cmd {message.cmd[:40]!r} is no uplink")
    heard = _best(message.gws)
    return Uplink(
        message.ts,
        message.fcnt,
        _hex(message.data),
        None,
        message.rssi if heard is None else heard.rssi,
        message.snr if heard is None else heard.snr,
        _routers(one.router for one in message.gws),
    )


def thingpark(payload: bytes) -> Uplink:
    """Read ThingPark's ``DevEUI_uplink``; raises RefusedReadingError."""
    uplink = _read(_thingpark, payload).DevEUI_uplink
    return Uplink(
        _milliseconds(uplink.Time),
        uplink.FCntUp,
        _hex(uplink.payload_hex),
        None,
        uplink.LrrRSSI,
        uplink.LrrSNR,
        _routers([uplink.Lrrid, *(one.Lrrid for one in uplink.Lrrs.Lrr)]),
    )


SERVERS: dict[str, Callable[[bytes], Uplink]] = {
    "chirpstack": chirpstack,
    "tts": the_things_stack,
    "loriot": loriot,
    "thingpark": thingpark,
}


def decode(server: str, model: str, payload: bytes) -> list[Report]:
    """Decode an uplink: the server's decoded object if it sent one, else the raw bytes.

    Parameters
    ----------
    server
        A name in `SERVERS`.
    model
        A name in `RAW`, or empty: only decoded objects can be read then.

    Raises
    ------
    RefusedReadingError
        If it is neither.
    """
    uplink = SERVERS[server](payload)
    if uplink.object:
        reports = [Report(flat(uplink.object))]
    elif not uplink.raw:
        reports = [Report()]  # only the network's own business: a sign of life
    elif not model:
        raise RefusedReadingError(
            Reason.BAD_PAYLOAD,
            "no decoded object: let the network server decode it, or name the device's model",
        )
    else:
        reports = RAW[model](model, uplink.raw)
    now = reports[0]
    # What the device had kept has its own time; the frame's number says nothing of its order.
    now.ts_ms, now.seq, now.routers = uplink.ts_ms, uplink.seq, uplink.routers
    if now.measures and uplink.rssi is not None:
        now.measures.append(Measure("lora_rssi", uplink.rssi))
        now.measures.append(Measure("lora_snr", uplink.snr))
    return reports


def _read(decoder: "msgspec.json.Decoder[Any]", payload: bytes) -> Any:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, str(error)[:500]) from error


def flat(nested: dict[str, Any]) -> list[Measure]:
    """Flatten a decoded object: {"water": {"level": 3}} is water.level."""
    found: list[Measure] = []

    def walk(name: str, value: Any, depth: int) -> None:
        if isinstance(value, dict | list):
            if depth == _DEPTH:
                raise RefusedReadingError(Reason.BAD_PAYLOAD, "the decoded object is too deep")
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in items:
                walk(f"{name}.{key}" if name else str(key), inner, depth + 1)
            return
        if len(found) == _VALUES:
            raise RefusedReadingError(Reason.BAD_PAYLOAD, "the decoded object is too large")
        found.append(Measure(name, _scalar(value)))

    walk("", nested, 0)
    return found


def _scalar(value: Any) -> Scalar:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**63 else str(value)
    if value is None or isinstance(value, bool | float | str):
        return value
    return str(value)


def _best(receptions: list[_Reception]) -> _Reception | None:
    return max(receptions, key=lambda one: one.rssi, default=None)


def _routers(names: Iterable[str]) -> list[str] | None:
    """Names of network gateways as we keep them: in lower case, each once."""
    found = sorted({name.lower() for name in names if _NAME.fullmatch(name)})
    return found[:_ROUTERS] or None


def _milliseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, "a time without a time zone")
    past = moment - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1000 + past.microseconds // 1000


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, f"data is not base64: {error}") from error


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise RefusedReadingError(
            Reason.BAD_PAYLOAD, f"data is not hexadecimal: {error}"
        ) from error
