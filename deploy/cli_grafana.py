"""`mizumori grafana`: dashboards in a Grafana of the city's."""

import typer

from deploy.cli_options import ConfigOption

app = typer.Typer(help="Dashboards in Grafana.", no_args_is_help=True)


@app.callback()
def _grafana() -> None:
    """Keep `sync` a command of its own, although it is the only one."""


@app.command("sync")
def sync(config: ConfigOption = None) -> None:
    """Make or renew data source, folder and dashboards through Grafana's HTTP API."""
    from deploy.grafana.sync import sync_grafana
    from deploy.settings import load_settings

    for line in sync_grafana(load_settings(config)):
        typer.echo(line)
