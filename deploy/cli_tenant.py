"""`mizumori tenant`: towns."""

from typing import Annotated

import typer

from deploy.cli_options import ConfigOption, NameEnOption, NameJaOption, TownArgument

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
    from deploy.towns import add_town
    from store.town_catalog import NewTenant

    settings = load_settings(config)
    rules, has_account = add_town(
        settings, NewTenant(code, name_ja, name_en, time_zone, training, lat, lon, zoom)
    )
    typer.echo(f"{name_en} ({code}) is there, with {rules} rules.")
    if has_account:
        typer.echo(f"Next, a device: mizumori device add {code} CODE --kind flood_level")
    elif settings.broker.kind == "mosquitto":
        typer.echo("Next, its account at Mosquitto: mizumori broker-config FOLDER (docs/broker.md)")
    else:
        typer.echo(
            "Its account at the broker is not there yet: it comes when `mizumori up` or "
            "`mizumori broker` runs, and for a NATS of your own with `mizumori broker-config`.",
            err=True,
        )


@app.command("set")
def set_town(
    code: TownArgument,
    name_ja: NameJaOption = None,
    name_en: NameEnOption = None,
    time_zone: Annotated[str | None, typer.Option(help="Time zone for people.")] = None,
    lat: Annotated[float | None, typer.Option(help="Middle of the map.")] = None,
    lon: Annotated[float | None, typer.Option(help="Middle of the map.")] = None,
    zoom: Annotated[float | None, typer.Option(help="How close the map begins.")] = None,
    training: Annotated[
        bool | None,
        typer.Option("--training/--no-training", help="Begin or end an exercise (訓練)."),
    ] = None,
    register_per_day: Annotated[
        int | None,
        typer.Option(
            help="How many unknown devices are taken down in a day, each in quarantine until it "
            "is approved; 0: none."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Change a town; what is not said stays."""
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import town_catalog

    settings = load_settings(config)
    tenant = find_town(settings, code)
    given = {
        "name_ja": name_ja,
        "name_en": name_en,
        "time_zone": time_zone,
        "map_lat": lat,
        "map_lon": lon,
        "map_zoom": zoom,
        "training": training,
        "register_per_day": register_per_day,
    }
    with writing(settings) as connection:
        changed = town_catalog.set_tenant(
            connection,
            tenant.tenant_id,
            {name: value for name, value in given.items() if value is not None},
        )
    typer.echo(f"{code} is {'changed' if changed else 'as it was'}.")


@app.command("rules")
def add_rules(
    code: TownArgument,
    config: ConfigOption = None,
) -> None:
    """Give a town the default rules that came with a newer version; its own ones stay."""
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import rules

    settings = load_settings(config)
    tenant = find_town(settings, code)
    with writing(settings) as connection:
        made = rules.add_defaults(connection, tenant.tenant_id)
    for rule in made:
        typer.echo(
            f"{rule.code:24} {rule.kind}, for readings from {rule.valid_from:%Y-%m-%d %H:%M}"
        )
    typer.echo(f"{code} has {len(made)} new rules.")


@app.command("list")
def list_towns(config: ConfigOption = None) -> None:
    """List the towns."""
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from store import device_catalog, town_catalog

    settings = load_settings(config)
    with owner_transaction(settings) as connection:
        towns = town_catalog.tenants(connection)
        counts = {
            town.code: len(device_catalog.devices(connection, town.tenant_id)) for town in towns
        }
    for town in towns:
        mark = "  訓練" if town.training else ""
        typer.echo(
            f"{town.code:20} {counts[town.code]:5} devices  {town.name_ja} / {town.name_en}{mark}"
        )
    if not towns:
        typer.echo(
            "There are no towns yet: mizumori tenant add CODE --name-ja … --name-en …", err=True
        )
