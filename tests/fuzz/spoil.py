"""Spoil a message: its bytes, its text, its structure, or what is packed inside it."""

import base64
import json
import random

ODD = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**400, -1e308, 1e308, 0.1, "", "NaN",
    "\x00", "水位", "\ud800", "1e999", [], {}, [[]], {"": None}, "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59.999999999+14:00", "0001-01-01T00:00:00Z", "A" * 5000,
)  # fmt: skip
TOKENS = (
    b"null", b"true", b"1e999", b"-0", b"NaN", b"[", b"]", b"{", b"}", b'"', b"\\u0000", b",", b":",
    b"\xff", b"\x00", b"\xc5\x82\x1a\x7f\xff\xff\xff\x01", b"\xd8\x1c", b"\xd9\x01\x00", b"$GPRMC,",
    b"*00", b"\r\n", b"\x9f", b"\xbf", b"\x5f", b"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\x1b" + b"\xff" * 8,
)  # fmt: skip


def spoil(dice: random.Random, payload: bytes) -> bytes:
    """Return a message that is a little or very wrong."""
    way = dice.random()
    if way < 0.02:
        return dice.randbytes(dice.randrange(200))
    if way < 0.55 and payload[:1] in b"[{":
        try:
            value = json.loads(payload)
        except ValueError:
            return scramble(dice, payload)
        for _ in range(dice.randrange(1, 4)):
            value = _value(dice, value)
        text = json.dumps(value)
        return text.encode("utf-8", "surrogatepass")
    return scramble(dice, payload)


def scramble(dice: random.Random, payload: bytes) -> bytes:
    """Return bytes of which some are others, gone, doubled, or between tokens of the formats."""
    data = bytearray(payload)
    for _ in range(dice.randrange(1, 6)):
        place = dice.randrange(len(data) + 1)
        way = dice.randrange(5)
        if way == 0 and data:
            data[place % len(data)] = dice.randrange(256)
        elif way == 1:
            del data[place : place + dice.randrange(1, 20)]
        elif way == 2:
            data[place:place] = dice.choice(TOKENS)
        elif way == 3:
            end = place + dice.randrange(1, 30)
            data[place:place] = data[place:end] * dice.randrange(1, 4)
        else:
            del data[place:]
    return bytes(data)


def _value(dice: random.Random, value: object) -> object:
    if isinstance(value, dict) and value and dice.random() < 0.85:
        changed = dict(value)
        key = dice.choice(list(changed))
        way = dice.randrange(6)
        if way == 0:
            del changed[key]
        elif way == 1:
            changed[dice.choice(("", "b_", "t", "v", "n", "\x00", "object", key + "_"))] = changed[
                key
            ]
        else:
            changed[key] = _value(dice, changed[key])
        return changed
    if isinstance(value, list) and value and dice.random() < 0.85:
        changed = list(value)
        place = dice.randrange(len(changed))
        if dice.random() < 0.3:
            return changed * dice.randrange(4)
        changed[place] = _value(dice, changed[place])
        return changed
    if isinstance(value, str) and dice.random() < 0.6:
        return _packed(dice, value)
    return dice.choice(ODD)


def _packed(dice: random.Random, text: str) -> str:
    """Spoil bytes that are packed as base64 or hexadecimal, and pack them again."""
    try:
        return base64.b64encode(scramble(dice, base64.b64decode(text, validate=True))).decode()
    except ValueError:
        pass
    try:
        return scramble(dice, bytes.fromhex(text)).hex()
    except ValueError:
        return text[: dice.randrange(len(text) + 1)] + dice.choice(("", "Z", "\x00", "-"))
