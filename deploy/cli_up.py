"""`mizumori up`: everything on one machine."""

from typing import Annotated

import typer

from deploy.cli_options import ConfigOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    demo: Annotated[
        bool, typer.Option("--demo", help="With a demo town and its simulated devices.")
    ] = False,
    gateways: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="How many gateway processes share the work; one per core at most."
        ),
    ] = 1,
    config: ConfigOption = None,
) -> None:
    """Run everything on this machine: database, broker, gateway, jobs, API, console.

    The database and the broker are our own unless the settings name others. Ctrl-C stops all.
    """
    from deploy.supervisor.up import Supervisor

    Supervisor(config, demo=demo, gateways=gateways).run()
