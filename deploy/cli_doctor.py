"""`mizumori doctor`: is everything well, and if not, what to do."""

import sys
from typing import Annotated

import typer

from deploy.cli_options import ConfigOption

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    probe: Annotated[
        bool, typer.Option(help="Send a test message through every partition of every town.")
    ] = True,
    config: ConfigOption = None,
) -> None:
    """Check database, broker, gateway, clock, disk and versions; exit code 1 if one fails."""
    from deploy.doctor.run import examine
    from deploy.settings import load_settings

    failed = 0
    for finding in examine(load_settings(config), probe=probe):
        mark = MARKS[finding.verdict]
        if sys.stdout.isatty():
            mark = typer.style(mark, fg=COLOURS[finding.verdict], bold=finding.verdict == "fail")
        typer.echo(f"{mark}  {finding.subject:10} {finding.sentence}")
        failed += finding.verdict == "fail"
    if failed:
        raise typer.Exit(1)
