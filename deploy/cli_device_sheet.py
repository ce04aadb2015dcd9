"""`mizumori device import` and `export`: sites and devices as a sheet."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from deploy.cli_options import ConfigOption, TownArgument

Language = Literal["en", "ja"]
Encoding = Literal["utf-8", "cp932"]


def import_devices(
    town: TownArgument,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, UTF-8 or CP932.")],
    secrets: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="New file for the secrets of added devices, mode 0600. Without: printed once.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Add and change sites, devices and datastreams from a sheet: all of it or nothing."""
    from deploy.device_import import import_sheet, secret_lines
    from deploy.device_sheet import read
    from deploy.settings import load_settings
    from deploy.towns import find_town

    settings = load_settings(config)
    tenant = find_town(settings, town)
    report = import_sheet(
        settings,
        tenant,
        read(file.read_bytes()),
        dry=dry_run,
        secrets_file=secrets,
        say=lambda line: typer.echo(line, err=True),
    )
    for line in report.lines(dry=dry_run):
        typer.echo(line, err=bool(report.faults))
    if report.faults:
        raise typer.Exit(1)
    if report.secrets and secrets is None:
        typer.echo("Shown once; only their hashes are kept:", err=True)
        for line in secret_lines(tenant, report.secrets):
            typer.echo(line)
    elif report.secrets:
        typer.echo(f"{len(report.secrets)} secrets are in {secrets}.")


def export_devices(
    town: TownArgument,
    file: Annotated[
        Path | None, typer.Argument(dir_okay=False, help="Without: to standard output.")
    ] = None,
    language: Annotated[Language, typer.Option(help="Of titles and choices.")] = "en",
    encoding: Annotated[
        Encoding, typer.Option(help="utf-8 (with a mark for Excel) or cp932.")
    ] = "utf-8",
    config: ConfigOption = None,
) -> None:
    """Write a town's sites and devices as a sheet; `device import` takes it back."""
    from deploy.compose_database import owner_transaction
    from deploy.device_export import export_sheet
    from deploy.settings import load_settings
    from deploy.towns import find_town

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with owner_transaction(settings) as connection:
        data = export_sheet(connection, tenant, language, encoding)
    if file is None:
        sys.stdout.buffer.write(data)
    else:
        file.write_bytes(data)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_devices)
    app.command("export")(export_devices)
