"""`mizumori operator`: network operators and network servers that speak for many devices."""

from typing import Annotated

import typer

from deploy.cli_options import ConfigOption, OnlyTownArgument, TownArgument

app = typer.Typer(
    help="Operators that speak for many devices: by HTTP push, or under topics of their own.",
    no_args_is_help=True,
)
CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="Short name of the operator.")]


@app.command("add")
def add(
    town: TownArgument,
    code: CodeArgument,
    codec: Annotated[
        str,
        typer.Option(
            help="Payload format, as of `mizumori device add`; it may push for devices of this "
            "codec only."
        ),
    ],
    device_field: Annotated[
        str,
        typer.Option(
            help="Where a pushed body names its device, such as deviceInfo.devEui. Without: the "
            "address does, /push/TOWN/DEVICE."
        ),
    ] = "",
    topic: Annotated[
        str,
        typer.Option(
            help="Its own MQTT topics, with {device} where they name the device, such as "
            "application/+/device/{device}/event/up. Without: it does not use MQTT."
        ),
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Add an operator and print its secret once."""
    from deploy.broker.nats_config import operator_user
    from deploy.operators import add_operator
    from deploy.settings import load_settings
    from deploy.towns import find_town

    settings = load_settings(config)
    tenant = find_town(settings, town)
    secret = add_operator(settings, tenant, code, codec, device_field, topic)
    typer.echo(f"Secret     {secret}   (shown once; only its hash is kept)")
    port = settings.gateway.push_port
    address = f"http://{settings.gateway.push_host}:{port}/push/{town}"
    typer.echo(f"HTTP       POST {address}{'' if device_field else '/DEVICE'}")
    typer.echo("           with the header Authorization: Bearer SECRET")
    if not port:
        typer.echo("           once gateway.push_port is set: nobody listens there now", err=True)
    if topic:
        typer.echo(f"MQTT user  {operator_user(town, code)}, the secret is its password")
        typer.echo(f"Topic      {topic}")
    typer.echo(f"Its devices: mizumori device add {town} DEVICE --codec {codec} …")


@app.command("list")
def list_operators(
    town: OnlyTownArgument = None,
    config: ConfigOption = None,
) -> None:
    """List the operators that are not revoked."""
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import operators

    settings = load_settings(config)
    only = find_town(settings, town).tenant_id if town else None
    with owner_transaction(settings) as connection:
        found = operators.operators(connection, only)
    for one in found:
        how = one.topic or (
            f"pushes, device in {one.device_field}" if one.device_field else "pushes"
        )
        typer.echo(f"{one.tenant_code + '/' + one.code:30} {one.codec:12} {how}")
    if not found:
        typer.echo("There are no operators: mizumori operator add TOWN CODE --codec …", err=True)


@app.command("revoke")
def revoke(town: TownArgument, code: CodeArgument, config: ConfigOption = None) -> None:
    """Take an operator's secret away: at once for HTTP, and when the broker has heard for MQTT."""
    from deploy.operators import revoke_operator
    from deploy.settings import load_settings
    from deploy.towns import find_town

    settings = load_settings(config)
    revoke_operator(settings, find_town(settings, town), code)
    typer.echo(f"{town}/{code} is revoked; its devices stay.")
