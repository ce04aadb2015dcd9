"""`mizumori broker-config`: the configuration of a broker that somebody else starts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli_options import ConfigOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploy.settings import Settings
    from store.database import Database

FileArgument = Annotated[
    Path, typer.Argument(help="NATS: file to write. Mosquitto: folder of its files. Mode 0600.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("broker-config")(write_config)


def write_config(
    file: FileArgument,
    start: Annotated[
        bool,
        typer.Option("--start", help="The broker is not running yet: let no device in for now."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Write the configuration of a broker of your own, and prepare the towns that it knows already.

    Run it with --start, start the broker, then run it and have the broker reload until it says
    that it is up to date.
    """
    from deploy.compose_database import open_database
    from deploy.settings import load_settings
    from store import programs

    settings = load_settings(config)
    with open_database(settings, "owner", name=programs.BROKER, max_size=1) as database:
        if settings.broker.kind == "nats":
            _nats(settings, database, file, start=start)
        else:
            _mosquitto(settings, database, file, start=start)


def _nats(settings: "Settings", database: "Database", file: Path, *, start: bool) -> None:
    from deploy.broker.town_accounts import TownAccounts
    from deploy.supervisor.broker_keeper import mqtt_address

    accounts = TownAccounts(database, settings.nats, file, mqtt_address(settings))
    if start:
        accounts.close_doors()
        typer.echo(f"{file} is written. Start NATS with it, then: mizumori broker-config {file}")
        return
    renewal = accounts.renew()
    _tell(renewal.admitted, renewal.refused)
    if renewal.reload_needed:
        typer.echo(
            "Have NATS read the file again (nats-server --signal reload=PID, or systemctl reload), "
            "then run this command once more."
        )
    elif renewal.refused:
        raise typer.Exit(1)
    else:
        typer.echo("NATS is up to date.")


def _mosquitto(settings: "Settings", database: "Database", folder: Path, *, start: bool) -> None:
    from deploy.broker.mosquitto_files import CONFIG, PASSWORDS, MosquittoFiles
    from deploy.supervisor.broker_keeper import mqtt_address

    files = MosquittoFiles(database, settings.nats, folder, mqtt_address(settings))
    renewal = files.renew(start=start)
    if start:
        typer.echo(
            f"{folder} is written. Start Mosquitto with {folder / CONFIG}, then: mizumori "
            f"broker-config {folder}"
        )
        return
    _tell(renewal.admitted, renewal.refused)
    for user in renewal.without_password:
        typer.echo(
            f"{user} has no password there yet: mosquitto_passwd -b {folder / PASSWORDS} {user} "
            "SECRET, with the secret that it was given.",
            err=True,
        )
    if renewal.changed:
        typer.echo(
            "Have Mosquitto read its files again (systemctl reload mosquitto, or kill -HUP), then "
            "run this command once more."
        )
    elif renewal.refused:
        raise typer.Exit(1)
    else:
        typer.echo("Mosquitto is up to date.")


def _tell(admitted: tuple[str, ...], refused: "Mapping[str, str]") -> None:
    if admitted:
        typer.echo(f"Devices are let in: {', '.join(admitted)}.")
    for town, reason in refused.items():
        typer.echo(f"{town}: not let in: {reason}.", err=True)
