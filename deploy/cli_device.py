"""`mizumori device`: the devices of a town."""

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deploy.cli_options import (
    ConfigOption,
    NameEnOption,
    NameJaOption,
    OnlyTownArgument,
    TownArgument,
)

if TYPE_CHECKING:
    from store.device_catalog import NewDevice

app = typer.Typer(help="Devices: flood sensors, pond probes, plows.", no_args_is_help=True)

Kind = Literal["flood_contact", "flood_level", "pond_probe", "plow"]
EXAMPLE_VALUES = {"depth_m": 0.05, "water_temp_c": 18.2, "ph": 7.4, "dissolved_oxygen_mg_l": 6.8}
CodecOption = Annotated[
    str,
    typer.Option(
        help="Payload format: native, senml-json, senml-cbor, json, chirpstack, tts, loriot, "
        "thingpark, sparkplug-b or nmea."
    ),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="NAME=PROPERTY[*SCALE][+OFFSET][:WORD=NUMBER…], such as water_level=depth_m*0.01; "
        "NAME= leaves a value out; again for more.",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(help="Sensor model for undecoded LoRaWAN bytes, such as milesight/em500-swl."),
]
CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="Code of the device.")]


@app.command("add")
def add(
    town: TownArgument,
    code: CodeArgument,
    kind: Annotated[Kind, typer.Option(help="What it is.")],
    name_ja: NameJaOption = None,
    name_en: NameEnOption = None,
    site: Annotated[str | None, typer.Option(help="Code of the site it stands at.")] = None,
    lat: Annotated[float | None, typer.Option(min=-90, max=90, help="Latitude.")] = None,
    lon: Annotated[float | None, typer.Option(min=-180, max=180, help="Longitude.")] = None,
    interval_s: Annotated[
        float | None, typer.Option(min=1, help="How often it reports; silence counts from this.")
    ] = None,
    datastream: Annotated[
        list[str] | None,
        typer.Option(help="PROPERTY:UNIT, such as depth_m:m; again for more. Else the usual ones."),
    ] = None,
    codec: CodecOption = "native",
    mapping: MapOption = None,
    model: ModelOption = "",
    config: ConfigOption = None,
) -> None:
    """Add a device, print its secret once, and prove that its messages arrive."""
    from deploy.device_codec import codec_params
    from deploy.devices import add_device, prove_device
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import device_catalog
    from store.device_catalog import NewDevice

    settings = load_settings(config)
    tenant = find_town(settings, town)
    new = NewDevice(
        code=code,
        kind=kind,
        name_ja=name_ja or name_en or code,
        name_en=name_en or name_ja or code,
        expected_interval_s=interval_s or device_catalog.USUAL_INTERVAL_S[kind],
        site=site,
        lat=lat,
        lon=lon,
        codec=codec,
        datastreams=parse_streams(datastream) if datastream else None,
    )
    params = codec_params(codec, mapping or [], model, [name for name, _ in new.streams])
    device, secret = add_device(settings, tenant, replace(new, codec_params=params))
    user = f"{town}/{device.code}"
    typer.echo(f"User name  {user}")
    typer.echo(f"Secret     {secret}   (shown once; only its hash is kept)")
    streams = ", ".join(f"{name} ({unit})" for name, unit in new.streams) or "positions"
    typer.echo(f"Readings   {streams}, every {device.expected_interval_s:g} s")
    if codec == "native":
        typer.echo("\nTry it:")
        typer.echo(_publish_line(settings.broker.host, settings.broker.port, user, secret, new))
    else:
        typer.echo(f"Topic      mz/v1/{user.replace('/', '/d/')}/up, payloads as {codec}")
    if settings.broker.kind == "mosquitto":
        typer.echo("\nNext, let it in: mizumori broker-config FOLDER (docs/broker.md)")
        typer.echo(f"Then try it: mizumori device test {town} {code}")
        return
    typer.echo("\nWaiting for a test message to arrive …", err=True)
    problem = prove_device(settings, user, secret)
    if problem:
        typer.echo(f"The device is added, but {problem}.", err=True)
        raise typer.Exit(1)
    typer.echo("A test message of the device has arrived.")


@app.command("codec")
def codec(
    town: TownArgument,
    code: CodeArgument,
    codec: CodecOption = "native",
    mapping: MapOption = None,
    model: ModelOption = "",
    config: ConfigOption = None,
) -> None:
    """Change how a device's messages are read; what was refused before can then be replayed."""
    from deploy.device_codec import codec_params
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import datastream_catalog, device_catalog
    from store.errors import RefusedError

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with writing(settings) as connection:
        device = device_catalog.device(connection, tenant.tenant_id, code)
        if device is None:
            raise RefusedError(f"{town} has no device {code}; see `mizumori device list {town}`.")
        streams = datastream_catalog.datastreams(connection, tenant.tenant_id, [device.device_id])
        params = codec_params(codec, mapping or [], model, [s.property for s in streams])
        device_catalog.set_device_codec(connection, tenant.tenant_id, code, codec, params)
    typer.echo(f"{town}/{code} is read as {codec}. Refused messages of it:")
    typer.echo(f"  mizumori quarantine list {town} --device {code}")


@app.command("list")
def list_devices(
    town: OnlyTownArgument = None,
    config: ConfigOption = None,
) -> None:
    """List devices with their state."""
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import device_catalog, town_catalog

    settings = load_settings(config)
    only = find_town(settings, town).tenant_id if town else None
    with owner_transaction(settings) as connection:
        codes = {found.tenant_id: found.code for found in town_catalog.tenants(connection)}
        devices = device_catalog.devices(connection, only)
    for device in devices:
        typer.echo(
            f"{codes[device.tenant_id] + '/' + device.code:40} {device.kind:14} {device.state:14} "
            f"{device.name_ja} / {device.name_en}"
        )
    if not devices:
        typer.echo("There are no devices yet: mizumori device add TOWN CODE --kind …", err=True)


@app.command("show")
def show(town: TownArgument, code: CodeArgument, config: ConfigOption = None) -> None:
    """Show one device with its datastreams."""
    from deploy.compose_database import owner_transaction
    from deploy.device_codec import mapping_lines
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import datastream_catalog, device_catalog
    from store.errors import RefusedError

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with owner_transaction(settings) as connection:
        device = device_catalog.device(connection, tenant.tenant_id, code)
        if device is None:
            raise RefusedError(f"{town} has no device {code}; see `mizumori device list {town}`.")
        streams = datastream_catalog.datastreams(connection, tenant.tenant_id, [device.device_id])
    place = "-" if device.lat is None else f"{device.lat}, {device.lon}"
    for label, value in (
        ("User name", f"{town}/{device.code}"),
        ("Name", f"{device.name_ja} / {device.name_en}"),
        ("Kind", device.kind),
        ("State", device.state),
        ("Place", place),
        ("Interval", f"{device.expected_interval_s:g} s"),
        ("Codec", device.codec),
        ("Topic", f"mz/v1/{town}/d/{device.code}/up"),
        ("Readings", ", ".join(f"{s.property} ({s.unit})" for s in streams) or "positions"),
    ):
        typer.echo(f"{label:10} {value}")
    for line in mapping_lines(device.codec_params):
        typer.echo(f"{'':10} {line}")


def parse_streams(given: list[str]) -> tuple[tuple[str, str], ...]:
    """Read PROPERTY:UNIT, each."""
    streams = []
    for text in given:
        name, colon, unit = text.partition(":")
        if not (name and colon and unit):
            raise typer.BadParameter(f"{text!r} is not PROPERTY:UNIT, such as depth_m:m")
        streams.append((name, unit))
    return tuple(streams)


def _publish_line(host: str, port: int, user: str, secret: str, new: "NewDevice") -> str:
    town, device = user.split("/")
    if new.kind == "plow":
        reading: dict[str, object] = {
            "fix": {"lat": new.lat or 38.25, "lon": new.lon or 140.34, "blade": True}
        }
    else:
        reading = {"m": {name: EXAMPLE_VALUES.get(name, 1.0) for name, _ in new.streams[:1]}}
    words = ["mosquitto_pub", "-h", host, "-p", str(port), "-q", "1", "-u", user, "-P", secret]
    words += ["-t", f"mz/v1/{town}/d/{device}/up", "-m", json.dumps(reading)]
    return shlex.join(words)
