"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

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
LifelineOption = Annotated[
    int | None,
    typer.Option("--lifeline", hidden=True, callback=_hold, help="Given by `mizumori up`."),
]
