"""`mizumori token`: who may write sites, devices and rules through the API."""

from datetime import timedelta
from typing import Annotated

import typer

from deploy.cli_options import ConfigOption, OnlyTownArgument, TownArgument

app = typer.Typer(
    help="Tokens with which programs write sites, devices and rules through the API.",
    no_args_is_help=True,
)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Who uses it: each change is written down under it.")
]


@app.command("add")
def add(
    town: TownArgument,
    name: NameArgument,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How long it is valid.")] = 365,
    config: ConfigOption = None,
) -> None:
    """Make a token, and print it once."""
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import provisioning_tokens

    settings = load_settings(config)
    tenant = find_town(settings, town)
    token = provisioning_tokens.new_token()
    with writing(settings) as connection:
        provisioning_tokens.add(connection, tenant.tenant_id, name, token, timedelta(days=days))
    typer.echo(f"Token  {token}   (shown once; only its hash is kept)")
    typer.echo(f"It writes sites, devices and rules of {town} for {days} days, as:")
    typer.echo("  Authorization: Bearer TOKEN")


@app.command("list")
def list_tokens(
    town: OnlyTownArgument = None,
    config: ConfigOption = None,
) -> None:
    """List tokens, with when each last wrote something."""
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import provisioning_tokens, town_catalog

    settings = load_settings(config)
    only = find_town(settings, town).tenant_id if town else None
    with owner_transaction(settings) as connection:
        codes = {found.tenant_id: found.code for found in town_catalog.tenants(connection)}
        tokens = provisioning_tokens.tokens(connection, only)
    for token in tokens:
        state = "valid" if token.valid else "revoked" if token.revoked_at else "expired"
        wrote = (
            f"last wrote {token.last_write:%Y-%m-%d %H:%M}" if token.last_write else "never used"
        )
        typer.echo(
            f"{codes[token.tenant_id]:20} {token.name:24} {state:8} "
            f"until {token.expires_at:%Y-%m-%d}  {wrote}"
        )
    if not tokens:
        typer.echo("There are no tokens: the API writes nothing.", err=True)


@app.command("revoke")
def revoke(town: TownArgument, name: NameArgument, config: ConfigOption = None) -> None:
    """Let a token in no more, at once."""
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import provisioning_tokens

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with writing(settings) as connection:
        provisioning_tokens.revoke(connection, tenant.tenant_id, name)
    typer.echo(f"The token {name!r} of {town} lets nobody in any more.")
