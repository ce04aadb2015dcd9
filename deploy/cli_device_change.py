"""`mizumori device set`, `secret`, `test`, `approve`, `history`: what becomes of a device."""

from typing import Annotated, Literal

import typer

from deploy.cli_device import CodeArgument, Kind, MapOption, parse_streams
from deploy.cli_options import ConfigOption, NameEnOption, NameJaOption, TownArgument

State = Literal["active", "maintenance", "out_of_season", "quarantined", "retired"]
SiteOption = Annotated[
    str | None, typer.Option(help="Code of the site it stands at; '-' takes it away.")
]
LatOption = Annotated[float | None, typer.Option(help="Latitude.")]
LonOption = Annotated[float | None, typer.Option(help="Longitude.")]
IntervalOption = Annotated[
    float | None, typer.Option(help="How often it reports; silence counts from this.")
]
NO_SITE = "-"


def set_device(
    town: TownArgument,
    code: CodeArgument,
    state: Annotated[
        State | None,
        typer.Option(
            help="maintenance and out_of_season: readings are stored, silence is no alarm; "
            "quarantined: what it sends is kept and not believed; retired: it may not connect."
        ),
    ] = None,
    site: SiteOption = None,
    name_ja: NameJaOption = None,
    name_en: NameEnOption = None,
    interval_s: IntervalOption = None,
    lat: LatOption = None,
    lon: LonOption = None,
    no_position: Annotated[
        bool, typer.Option("--no-position", help="Take its position away: that of its site counts.")
    ] = False,
    datastream: Annotated[
        list[str] | None,
        typer.Option(help="PROPERTY:UNIT that it has from now on as well; again for more."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Change a device; what is not said stays."""
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import datastream_catalog, device_catalog, quarantine

    if no_position and (lat is not None or lon is not None):
        raise typer.BadParameter("--no-position goes with neither --lat nor --lon")
    settings = load_settings(config)
    tenant = find_town(settings, town)
    changes = _changes(site, name_ja, name_en, interval_s, lat, lon)
    if state is not None:
        changes["state"] = state
    if no_position:
        changes |= {"lat": None, "lon": None}
    streams = [(code, name, unit) for name, unit in parse_streams(datastream or [])]
    with writing(settings) as connection:
        changed = device_catalog.set_device(connection, tenant.tenant_id, code, changes)
        if streams:
            datastream_catalog.add_datastreams(connection, tenant.tenant_id, streams)
        waiting = quarantine.waiting(connection, tenant.tenant_id, code) if streams else 0
    typer.echo(f"{town}/{code} is {'changed' if changed or streams else 'as it was'}.")
    if waiting:
        typer.echo(f"Messages of it were refused before ({waiting}). To bring them in:")
        typer.echo(f"  mizumori quarantine replay {town} --device {code}")


def new_secret(town: TownArgument, code: CodeArgument, config: ConfigOption = None) -> None:
    """Give a device a new secret, and print it once; the old one ends."""
    from deploy.broker.secrets import hash_secret
    from deploy.broker.secrets import new_secret as made
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import device_catalog

    settings = load_settings(config)
    tenant = find_town(settings, town)
    secret = made()
    with writing(settings) as connection:
        device_catalog.set_device_secret(connection, tenant.tenant_id, code, hash_secret(secret))
    typer.echo(f"User name  {town}/{code}")
    typer.echo(f"Secret     {secret}   (shown once; only its hash is kept)")


def prove(
    town: TownArgument,
    code: CodeArgument,
    config: ConfigOption = None,
) -> None:
    """Publish a test message as the device, and wait until a gateway has seen it."""
    from deploy.devices import prove_device
    from deploy.settings import load_settings
    from deploy.towns import find_town

    settings = load_settings(config)
    find_town(settings, town)
    secret = typer.prompt("Secret of the device", hide_input=True, err=True)
    problem = prove_device(settings, f"{town}/{code}", secret.strip())
    if problem:
        typer.echo(f"It did not arrive: {problem}.", err=True)
        raise typer.Exit(1)
    typer.echo("A test message of the device has arrived.")


def approve(
    town: TownArgument,
    code: CodeArgument,
    kind: Annotated[Kind | None, typer.Option(help="What it is, if not what was guessed.")] = None,
    datastream: Annotated[
        list[str] | None,
        typer.Option(help="PROPERTY:UNIT; again for more. Else what it was heard to send."),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="Payload format, as for `device add`. Else native.")
    ] = None,
    mapping: MapOption = None,
    model: Annotated[
        str | None, typer.Option(help="Sensor model for undecoded LoRaWAN bytes.")
    ] = None,
    site: SiteOption = None,
    name_ja: NameJaOption = None,
    name_en: NameEnOption = None,
    interval_s: IntervalOption = None,
    lat: LatOption = None,
    lon: LonOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a device out of quarantine; its refused messages come again, once each."""
    from deploy.approval import ReadAs, approve_device
    from deploy.settings import load_settings
    from deploy.towns import find_town

    settings = load_settings(config)
    tenant = find_town(settings, town)
    changes = _changes(site, name_ja, name_en, interval_s, lat, lon)
    if kind is not None:
        changes["kind"] = kind
    streams = parse_streams(datastream) if datastream else None
    read_as = ReadAs(codec, mapping or None, model)
    outcome = approve_device(settings, tenant, code, changes, streams, read_as)
    typer.echo(f"{town}/{code} is active.")
    if outcome.made:
        made = ", ".join(f"{name} ({unit})" for name, unit in outcome.made)
        typer.echo(f"Readings   {made}")
    typer.echo(outcome.sentence)


def history(
    town: TownArgument,
    code: Annotated[
        str | None,
        typer.Argument(metavar="[CODE]", help="Only of this town, site, device or rule."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    config: ConfigOption = None,
) -> None:
    """Say who changed what of a town, its sites, devices and rules, the newest first."""
    import json

    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import audit

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with owner_transaction(settings) as connection:
        entries = audit.entries(connection, tenant.tenant_id, code, limit)
    for entry in entries:
        writer = f"token {entry.writer}" if entry.by_token else entry.writer
        change = json.dumps(entry.change, ensure_ascii=False)
        typer.echo(
            f"{entry.at:%Y-%m-%d %H:%M:%S}  {writer:24} {entry.action:16} {entry.subject:20} "
            f"{change}"
        )
    if not entries:
        typer.echo("Nothing was changed yet.", err=True)


def _changes(
    site: str | None,
    name_ja: str | None,
    name_en: str | None,
    interval_s: float | None,
    lat: float | None,
    lon: float | None,
) -> dict[str, object]:
    given = {
        "site": site,
        "name_ja": name_ja,
        "name_en": name_en,
        "expected_interval_s": interval_s,
        "lat": lat,
        "lon": lon,
    }
    said: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if said.get("site") == NO_SITE:
        said["site"] = None
    return said


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("set")(set_device)
    app.command("secret")(new_secret)
    app.command("test")(prove)
    app.command("approve")(approve)
    app.command("history")(history)
