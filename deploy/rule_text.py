"""Rules as a person reads and writes them in a line at the terminal."""

import contextlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import typer

from detectors.rules import RateOfRise, Threshold

TRIED = (Threshold.kind, RateOfRise.kind)  # what `mizumori backtest` can run
_LEVEL = re.compile(r"(\d+)=([^/]+)/(.+)")
_HIDDEN = (None, False)


def scope(site: str | None, device: str | None) -> str:
    """Name a scope."""
    return f"device {device}" if device else f"site {site}" if site else "town"


def since(moment: datetime, zone: ZoneInfo) -> str:
    """Write from when on a version holds, in the town's time."""
    if moment.timestamp() <= 0:
        return "the beginning"
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def levels(kind: str, params: Mapping[str, Any]) -> str:
    """Say in words what a rule watches for; of other kinds, its parameters."""
    if kind == Threshold.kind:
        return ", ".join(
            f"{number} from {level['on']:g} to {level['off']:g}"
            for number, level in enumerate(params["levels"], 1)
        )
    if kind == RateOfRise.kind:
        limits = enumerate(params["limits_per_h"], 1)
        return ", ".join(f"{number} from {limit:g} per hour" for number, limit in limits)
    return ", ".join(
        f"{name} {json.dumps(value, ensure_ascii=False)}"
        for name, value in params.items()
        if value not in _HIDDEN
    )


def with_levels(kind: str, standing: Sequence[Any], given: Sequence[str]) -> list[Any]:
    """Put levels such as ``3=0.25/0.20`` (number, on, off) in the place of those of a rule.

    What else a level has (delays) stays; the one after the last is added, as the last one is.

    Raises
    ------
    typer.BadParameter
        If one cannot be read, or the rule has no such levels.
    """
    if kind != Threshold.kind:
        raise typer.BadParameter(
            f"Only rules of kind {Threshold.kind} have such levels; write --params for {kind}.",
            param_hint="--level",
        )
    changed = list(standing)
    for text in given:
        found = _LEVEL.fullmatch(text.strip())
        number, on, off = 0, 0.0, 0.0
        if found:
            with contextlib.suppress(ValueError):
                on, off, number = float(found[2]), float(found[3]), int(found[1])
        if not 1 <= number <= len(changed) + 1:
            raise typer.BadParameter(
                f"{text!r} is no level: write NUMBER=ON/OFF such as 2=0.12/0.08, with a number "
                f"from 1 to {len(changed) + 1}.",
                param_hint="--level",
            )
        like = changed[min(number, len(changed)) - 1] if changed else {}
        delays = like if isinstance(like, Mapping) else {}
        changed[number - 1 : number] = [{**delays, "on": on, "off": off}]
    return changed


def trial(
    town: str, code: str, params: Mapping[str, Any], site: str | None, device: str | None
) -> str:
    """Write the command that tries parameters on the stored readings."""
    words = ["mizumori", "backtest", town, "--rule", code]
    for name, value in (("--site", site), ("--device", device)):
        words += [name, value] if value else []
    return shlex.join([*words, "--params", json.dumps(params, ensure_ascii=False)])
