"""The command `mizumori`: its nouns, and one sentence for whatever goes wrong."""

import importlib.metadata
import logging
import os
import sys
import traceback
from typing import Annotated

import typer

from deploy import (
    cli_backtest,
    cli_broker,
    cli_config,
    cli_doctor,
    cli_import,
    cli_replay,
    cli_service,
    cli_up,
)
from deploy.cli_device import app as device_app
from deploy.cli_device_change import register as register_changes
from deploy.cli_device_sheet import register as register_sheets
from deploy.cli_grafana import app as grafana_app
from deploy.cli_operator import app as operator_app
from deploy.cli_quarantine import app as quarantine_app
from deploy.cli_rule import app as rule_app
from deploy.cli_sim import app as sim_app
from deploy.cli_site import app as site_app
from deploy.cli_tenant import app as tenant_app
from deploy.cli_token import app as token_app
from deploy.failure import sentence

FAILURE = 1

app = typer.Typer(
    name="mizumori",
    help=(
        "Mizumori (水守) keeps watch over a town's water: street floods, carp ponds, snow.\n\n"
        "Try it with `mizumori up --demo`. Exit codes: 0 done, 1 failed, 2 wrong usage."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mizumori {importlib.metadata.version('mizumori')}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Hold what all commands share."""


cli_up.register(app)
cli_service.register(app)
cli_broker.register(app)
cli_config.register(app)
cli_doctor.register(app)
cli_replay.register(app)
cli_backtest.register(app)
cli_import.register(app)
register_changes(device_app)
register_sheets(device_app)
app.add_typer(tenant_app, name="tenant")
app.add_typer(site_app, name="site")
app.add_typer(token_app, name="token")
app.add_typer(device_app, name="device")
app.add_typer(rule_app, name="rule")
app.add_typer(operator_app, name="operator")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(sim_app, name="sim")
app.add_typer(grafana_app, name="grafana")


def main() -> None:
    """Run the command line; errors become one sentence on standard error and exit code 1."""
    # What a library logs is no answer to a person; services set their own logs up.
    logging.basicConfig(handlers=[logging.NullHandler()])
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone: `mizumori device list | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILURE)
    except Exception as error:  # noqa: BLE001 - the last door: nobody gets a stack trace
        said = sentence(error)
        if said is None:
            said = f"Something unforeseen went wrong: {type(error).__name__}: {error}."
            if os.environ.get("MIZUMORI_LOG__LEVEL", "").lower() == "debug":
                traceback.print_exc()
            else:
                said += " With MIZUMORI_LOG__LEVEL=debug the command says where."
        typer.echo(said, err=True)
        sys.exit(FAILURE)


if __name__ == "__main__":
    main()
