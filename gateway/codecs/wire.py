"""The wire format of protocol buffers, as far as a reader of small messages needs it.

Written by hand: the format is a page long (https://protobuf.dev/programming-guides/encoding/),
and the runtime would bring generated code, made from a schema that is not ours to carry along.
"""

import struct
from collections.abc import Iterator

from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MASK_64 = (1 << 64) - 1

Value = int | bytes


def fields(message: bytes) -> Iterator[tuple[int, int, Value]]:
    """Take a message apart: yields (field number, wire type, value).

    A varint is an unsigned integer of 64 bits; the others are their bytes, as they stand.

    Raises
    ------
    RefusedReadingError
        If it ends in the middle of a field, or is no such message.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise _refused("a field has the number 0")
        if kind == VARINT:
            value, at = varint(message, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = varint(message, at)
        elif kind == FIXED64:
            length = 8
        elif kind == FIXED32:
            length = 4
        else:
            raise _refused(f"a field has the wire type {kind}")
        if length > end - at:
            raise _refused("it ends in the middle of a field")
        yield number, kind, message[at : at + length]
        at += length


def varint(message: bytes, at: int) -> tuple[int, int]:
    """Read an integer of up to 64 bits; return it and where it ends.

    Raises
    ------
    RefusedReadingError
        If it does not end.

    Examples
    --------
    >>> varint(bytes([0x96, 0x01]), 0)
    (150, 2)
    """
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & _MASK_64, at + place + 1
    raise _refused("an integer does not end")


def put_varint(value: int) -> bytes:
    """Write an unsigned integer.

    Examples
    --------
    >>> put_varint(150).hex()
    '9601'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put(number: int, value: int | bytes) -> bytes:
    """Write a field: an integer as a varint, bytes with their length."""
    if isinstance(value, int):
        return put_varint(number << 3 | VARINT) + put_varint(value)
    return put_varint(number << 3 | BYTES) + put_varint(len(value)) + value


def text(value: Value) -> str:
    """Return a field's text; raises RefusedReadingError."""
    if not isinstance(value, bytes):
        raise _refused("a text is a number")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _refused("a text is not UTF-8") from error


def whole(value: Value) -> int:
    """Return a field's integer; raises RefusedReadingError."""
    if not isinstance(value, int):
        raise _refused("an integer is no varint")
    return value


def real(value: Value) -> float:
    """Return a field's float or double; raises RefusedReadingError."""
    if not isinstance(value, bytes) or len(value) not in (4, 8):
        raise _refused("a float has another length")
    return float(struct.unpack("<f" if len(value) == 4 else "<d", value)[0])


def _refused(detail: str) -> RefusedReadingError:
    return RefusedReadingError(Reason.BAD_PAYLOAD, f"no protocol buffer: {detail}")
