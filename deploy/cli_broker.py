"""`mizumori broker-config`: the configuration of a NATS server that somebody else starts."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli_options import ConfigOption

FileArgument = Annotated[Path, typer.Argument(help="File to write, mode 0600.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("broker-config")(write_config)


def write_config(
    file: FileArgument,
    start: Annotated[
        bool,
        typer.Option("--start", help="NATS is not running yet: let no device in for now."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Write the configuration of a NATS of your own, and prepare the towns that NATS already knows.

    Run it with --start, start NATS, then run it and have NATS reload until it says that all
    towns are let in.
    """
    from deploy.broker.town_accounts import TownAccounts
    from deploy.compose_database import open_database
    from deploy.settings import load_settings
    from deploy.supervisor.broker_keeper import mqtt_address

    settings = load_settings(config)
    with open_database(settings, "owner", name="mizumori-broker", max_size=1) as database:
        accounts = TownAccounts(database, settings.nats, file, mqtt_address(settings))
        if start:
            accounts.close_doors()
            typer.echo(
                f"{file} is written. Start NATS with it, then: mizumori broker-config {file}"
            )
            return
        renewal = accounts.renew()
    if renewal.admitted:
        typer.echo(f"Devices are let in: {', '.join(renewal.admitted)}.")
    for town, reason in renewal.refused.items():
        typer.echo(f"{town}: not let in: {reason}.", err=True)
    if renewal.reload_needed:
        typer.echo(
            "Have NATS read the file again (nats-server --signal reload=PID, or systemctl reload), "
            "then run this command once more."
        )
    elif renewal.refused:
        raise typer.Exit(1)
    else:
        typer.echo("NATS is up to date.")
