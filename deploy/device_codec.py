"""How a device's messages are read, as a person says it at the terminal."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from detectors.sentence import Sentence
from gateway.codecs.binding import read_params
from gateway.codecs.mapping import CodecParams, Target, parse_entry
from store.errors import RefusedError


def codec_params(
    codec: str, entries: Sequence[str], model: str, properties: Collection[str]
) -> dict[str, Any]:
    """Check codec, mapping and model; return what `device.codec_params` holds.

    Parameters
    ----------
    entries
        ``NAME=PROPERTY[*SCALE][+OFFSET][:WORD=NUMBER…]`` each.
    properties
        What the device has datastreams for.

    Raises
    ------
    RefusedError
        In words, if something of it cannot be.
    """
    targets: dict[str, Target] = {}
    try:
        for entry in entries:
            name, target = parse_entry(entry)
            if name in targets:
                raise RefusedError(Sentence("{name!r} is mapped twice.", name=name))
            targets[name] = target
        stored = msgspec.to_builtins(CodecParams(map=targets, model=model))
        read_params(codec, stored)
    except ValueError as error:
        said = Sentence("This mapping cannot be: {error}.", error=error.args[0])
        raise RefusedError(said) from error
    for name, target in targets.items():
        known = not target.property or target.property.startswith(("fix.", "msg."))
        if not known and target.property not in properties:
            raise RefusedError(
                Sentence(
                    "{name!r} is mapped to {property!r}, but the device has no such datastream; it "
                    "has {known}. Add it first, with its unit.",
                    name=name,
                    property=target.property,
                    known=", ".join(sorted(properties)) or "-",
                )
            )
    return dict(stored)


def changed_codec(
    before: tuple[str, dict[str, Any]],
    codec: str | None,
    entries: Sequence[str] | None,
    model: str | None,
    properties: Collection[str],
) -> tuple[str, dict[str, Any]]:
    """Return codec and `device.codec_params` after a change; None stays as it was.

    Mapping and model of one codec mean nothing to another: they go with it unless they are said.

    Parameters
    ----------
    before
        The device's codec, and its `codec_params`.

    Raises
    ------
    RefusedError
        As `codec_params` does.
    """
    new = before[0] if codec is None else codec
    kept = before[1] if new == before[0] else {}
    return new, codec_params(
        new,
        mapping_entries(kept) if entries is None else entries,
        kept.get("model", "") if model is None else model,
        properties,
    )


def mapping_lines(stored: dict[str, Any]) -> list[str]:
    """Describe a mapping, a line each."""
    params = msgspec.convert(stored, CodecParams)
    lines = [f"model {params.model}"] if params.model else []
    for name, target in params.map.items():
        if not target.property:
            lines.append(f"{name}: left out")
            continue
        scale = f" * {target.scale:g}" if target.scale != 1 else ""
        offset = f" {target.offset:+g}" if target.offset else ""
        words = ", ".join(f"{word} = {number:g}" for word, number in target.words.items())
        lines.append(f"{name} -> {target.property}{scale}{offset}{f' ({words})' if words else ''}")
    return lines


def mapping_entries(stored: dict[str, Any]) -> tuple[str, ...]:
    """Write a mapping as `codec_params` takes it, entry by entry."""
    entries = []
    for name, target in msgspec.convert(stored, CodecParams).map.items():
        scale = f"*{target.scale!r}" if target.scale != 1 else ""
        sign = "" if target.offset < 0 else "+"
        offset = f"{sign}{target.offset!r}" if target.offset else ""
        words = "".join(f":{word}={number!r}" for word, number in target.words.items())
        entries.append(f"{name}={target.property}{scale}{offset}{words}")
    return tuple(entries)
