"""`mizumori site`: places that people know."""

from typing import Annotated, Literal

import typer

from deploy.cli_options import ConfigOption, NameEnOption, NameJaOption, TownArgument

app = typer.Typer(help="Sites: streets, underpasses, rivers, ponds, depots.", no_args_is_help=True)

Kind = Literal["street", "underpass", "river", "pond", "depot"]
CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="Code of the site.")]
LatOption = Annotated[float | None, typer.Option(help="Latitude.")]
LonOption = Annotated[float | None, typer.Option(help="Longitude.")]
CloseOption = Annotated[
    float | None, typer.Option(help="Depth in metres at which the street is closed.")
]
CrewOption = Annotated[float | None, typer.Option(help="Minutes until a crew is there.")]
GroundOption = Annotated[
    float | None,
    typer.Option(help="Elevation of its lowest point in metres: who lies lower is flooded first."),
]


@app.command("add")
def add(
    town: TownArgument,
    code: CodeArgument,
    kind: Annotated[Kind, typer.Option(help="What it is.")],
    name_ja: NameJaOption = None,
    name_en: NameEnOption = None,
    lat: LatOption = None,
    lon: LonOption = None,
    close_at_m: CloseOption = None,
    crew_minutes: CrewOption = None,
    ground_m: GroundOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a site."""
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import site_catalog
    from store.site_catalog import NewSite

    settings = load_settings(config)
    tenant = find_town(settings, town)
    new = NewSite(
        code=code,
        kind=kind,
        name_ja=name_ja or name_en or code,
        name_en=name_en or name_ja or code,
        lat=lat,
        lon=lon,
        close_at_m=close_at_m,
        crew_minutes=crew_minutes,
        ground_m=ground_m,
    )
    with writing(settings) as connection:
        site_catalog.add_site(connection, tenant.tenant_id, new)
    typer.echo(f"The site {code} is there.")


@app.command("set")
def set_site(
    town: TownArgument,
    code: CodeArgument,
    kind: Annotated[Kind | None, typer.Option(help="What it is.")] = None,
    name_ja: NameJaOption = None,
    name_en: NameEnOption = None,
    lat: LatOption = None,
    lon: LonOption = None,
    close_at_m: CloseOption = None,
    crew_minutes: CrewOption = None,
    ground_m: GroundOption = None,
    config: ConfigOption = None,
) -> None:
    """Change a site; what is not said stays."""
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import site_catalog

    settings = load_settings(config)
    tenant = find_town(settings, town)
    given = {
        "kind": kind,
        "name_ja": name_ja,
        "name_en": name_en,
        "lat": lat,
        "lon": lon,
        "close_at_m": close_at_m,
        "crew_minutes": crew_minutes,
        "ground_m": ground_m,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    with writing(settings) as connection:
        changed = site_catalog.set_site(connection, tenant.tenant_id, code, changes)
    typer.echo(f"The site {code} is {'changed' if changed else 'as it was'}.")


@app.command("list")
def list_sites(town: TownArgument, config: ConfigOption = None) -> None:
    """List a town's sites."""
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import site_catalog

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with owner_transaction(settings) as connection:
        sites = site_catalog.sites(connection, tenant.tenant_id)
    for site in sites:
        place = "-" if site.lat is None else f"{site.lat}, {site.lon}"
        typer.echo(f"{site.code:24} {site.kind:10} {place:22} {site.name_ja} / {site.name_en}")
    if not sites:
        typer.echo(f"There are no sites yet: mizumori site add {town} CODE --kind …", err=True)
