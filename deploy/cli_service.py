"""`mizumori broker`, `gateway`, `api`, `jobs` and `migrate`: each by itself, for production."""

from typing import Annotated

import typer

from deploy.cli_options import ConfigOption, LifelineOption


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("broker")(broker)
    app.command("gateway")(gateway)
    app.command("api")(api)
    app.command("jobs")(jobs)
    app.command("migrate")(migrate)


def broker(config: ConfigOption = None) -> None:
    """Run the MQTT broker (NATS) and let the towns' devices in. Runs until Ctrl-C or SIGTERM."""
    from deploy.broker_service import run_broker
    from deploy.settings import load_settings
    from deploy.signals import stop_event

    run_broker(load_settings(config), stop_event())


def gateway(
    name: Annotated[
        str,
        typer.Option(
            help="What this gateway is called; started again under the same name it takes its "
            "place at once. Without: the machine and the process."
        ),
    ] = "",
    metrics_port: Annotated[
        int | None, typer.Option(help="Instead of gateway.metrics_port of the settings.")
    ] = None,
    config: ConfigOption = None,
    _lifeline: LifelineOption = None,
) -> None:
    """Take readings in: MQTT to database. Runs until Ctrl-C or SIGTERM.

    Several gateways share the work, on one machine or on several: start each with its own name.
    """
    from deploy.compose_gateway import run_gateway
    from deploy.settings import load_settings

    run_gateway(load_settings(config), name, metrics_port)


def api(config: ConfigOption = None, _lifeline: LifelineOption = None) -> None:
    """Serve the API and the console. Runs until Ctrl-C or SIGTERM."""
    from deploy.compose_api import run_api
    from deploy.settings import load_settings

    run_api(load_settings(config))


def jobs(config: ConfigOption = None, _lifeline: LifelineOption = None) -> None:
    """Do what nobody waits for: outbox, silence, rollups, upkeep. Runs until Ctrl-C or SIGTERM."""
    from deploy.compose_jobs import run_jobs
    from deploy.settings import load_settings

    run_jobs(load_settings(config))


def migrate(config: ConfigOption = None) -> None:
    """Make the database roles, and bring the tables to this version. Safe to run again."""
    from deploy.compose_database import bring_up_schema
    from deploy.settings import load_settings

    done = bring_up_schema(load_settings(config))
    for name in done.applied:
        typer.echo(f"applied {name}")
    typer.echo(f"Schema version {done.version}, engine {done.engine} ({done.remark}).")
