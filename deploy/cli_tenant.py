"""`mizumori tenant`: towns."""

from typing import Annotated

import typer

from deploy.cli_options import ConfigOption

app = typer.Typer(help="Towns: each is separate in broker, database and API.", no_args_is_help=True)


@app.command("add")
def add(
    code: Annotated[
        str, typer.Argument(help="Short name in topics and addresses: kawabe. It never changes.")
    ],
    name_ja: Annotated[str, typer.Option("--name-ja", help="Name in Japanese: 川辺町.")],
    name_en: Annotated[str, typer.Option("--name-en", help="Name in English: Kawabe Town.")],
    time_zone: Annotated[str, typer.Option(help="Time zone for people.")] = "Asia/Tokyo",
    lat: Annotated[float, typer.Option(min=-90, max=90, help="Middle of the map.")] = 38.0,
    lon: Annotated[float, typer.Option(min=-180, max=180, help="Middle of the map.")] = 140.0,
    zoom: Annotated[float, typer.Option(min=0, max=22, help="How close the map begins.")] = 12.0,
    training: Annotated[
        bool, typer.Option("--training", help="訓練: mark everything of this town as an exercise.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Add a town with the default rules, and wait until the broker has its account."""
    from deploy.settings import load_settings
    from deploy.towns import Town, add_town

    settings = load_settings(config)
    rules, has_account = add_town(
        settings, Town(code, name_ja, name_en, time_zone, training, lat, lon, zoom)
    )
    typer.echo(f"{name_en} ({code}) is there, with {rules} rules.")
    if has_account:
        typer.echo(f"Next, a device: mizumori device add {code} CODE --kind flood_level")
    else:
        typer.echo(
            "Its account at the broker is not there yet: it comes when `mizumori up` runs.",
            err=True,
        )


@app.command("list")
def list_towns(config: ConfigOption = None) -> None:
    """List the towns."""
    from deploy.compose_database import open_database
    from deploy.settings import load_settings
    from store import catalog

    settings = load_settings(config)
    with (
        open_database(settings, "owner", name="mizumori-cli", max_size=1) as database,
        database.transaction() as connection,
    ):
        towns = catalog.tenants(connection)
        counts = {town.code: len(catalog.devices(connection, town.tenant_id)) for town in towns}
    for town in towns:
        mark = "  訓練" if town.training else ""
        typer.echo(
            f"{town.code:20} {counts[town.code]:5} devices  {town.name_ja} / {town.name_en}{mark}"
        )
    if not towns:
        typer.echo(
            "There are no towns yet: mizumori tenant add CODE --name-ja … --name-en …", err=True
        )
