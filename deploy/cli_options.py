"""Options that several commands share, and how they are read."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from deploy.supervisor.lifeline import hold_on


def _hold(descriptor: int | None) -> int | None:
    if descriptor is not None:
        hold_on(descriptor)
    return descriptor


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Settings file. Without: MIZUMORI_CONFIG, else mizumori.toml here.",
    ),
]
TownArgument = Annotated[str, typer.Argument(metavar="TOWN", help="Code of the town.")]
OnlyTownArgument = Annotated[str | None, typer.Argument(metavar="[TOWN]", help="Only this town's.")]
NameJaOption = Annotated[str | None, typer.Option("--name-ja", help="Name in Japanese.")]
NameEnOption = Annotated[str | None, typer.Option("--name-en", help="Name in English.")]
LifelineOption = Annotated[
    int | None,
    typer.Option("--lifeline", hidden=True, callback=_hold, help="Given by `mizumori up`."),
]


def read_params(given: str) -> dict[str, Any]:
    """Read the parameters of a rule: a JSON object, or the file that holds it."""
    text = given
    if not given.lstrip().startswith("{"):
        try:
            text = Path(given).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(
                f"{given} is neither a JSON object nor a file that can be read.",
                param_hint="--params",
            ) from error
    try:
        read = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"This is no JSON: {error}.", param_hint="--params") from error
    if not isinstance(read, dict):
        raise typer.BadParameter(
            'An object is needed, such as {"levels": […]}.', param_hint="--params"
        )
    return read


def read_time(option: str, text: str, zone: ZoneInfo) -> datetime:
    """Read a time that a person wrote; without an offset it is the town's."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-11-22 or 2026-11-22T18:00.", param_hint=option
        ) from error
