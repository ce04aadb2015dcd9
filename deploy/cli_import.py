"""`mizumori import`: a file's readings."""

import sys
import time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from deploy.cli_options import ConfigOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_file)


def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A .csv, .gpx or .nmea file.")
    ],
    town: Annotated[str, typer.Option("--town", "-t", help="Code of the town.")],
    device: Annotated[
        str | None, typer.Option("--device", "-d", help="Whose, where the file does not say.")
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(help="Zone of times that name none, such as Asia/Tokyo."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check everything, send nothing.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Import readings or positions from a file; the running gateway takes them like live ones.

    Safe to repeat: what is stored already is recognised, and an import that was stopped goes on
    where it was.
    """
    from deploy import importing
    from deploy.settings import load_settings
    from deploy.towns import find_town

    settings = load_settings(config)
    try:
        zone = None if time_zone is None else ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise typer.BadParameter(f"there is no time zone {time_zone!r}") from None
    known = importing.find_town(settings, find_town(settings, town))
    if device is not None and device not in known.streams:
        raise typer.BadParameter(f"{town} has no device {device!r} that may send")
    watched = sys.stderr.isatty()

    def show(report: importing.Report) -> None:
        if watched:
            done = f"{report.resumed + report.sent} readings, {report.skipped.total()} skipped"
            typer.echo(f"\r\x1b[K{done}", err=True, nl=False)

    report = importing.import_file(
        settings,
        known,
        file,
        device=device,
        zone=zone,
        now_ms=time.time_ns() // 1_000_000,
        dry=dry_run,
        progress=show,
    )
    if watched:
        typer.echo("\r\x1b[K", err=True, nl=False)
    for line in report.lines(dry=dry_run):
        typer.echo(line)
    raise typer.Exit(0 if report.useful else 1)
