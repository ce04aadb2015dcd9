"""Devices and datastreams: added, changed, approved, proven. Each needs a token of the town."""

import secrets
import time
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.devices import DeviceItem
from api.errors import Kind
from api.language import HasLanguage, spoken_in
from api.problems import responses
from api.routes.devices import one_device, unknown
from api.town import CODE
from api.translation import in_language
from api.words import Name
from api.writer import HasWriter, Writer
from detectors.sentence import Sentence
from store import broker_accounts, datastream_catalog, device_catalog, newcomers
from store.database import Connection
from store.device_catalog import USUAL_INTERVAL_S, Device, NewDevice

router = APIRouter(tags=["provisioning"])

DeviceKind = Literal["flood_contact", "flood_level", "pond_probe", "plow"]
Code = Annotated[str, Path(description="The device's code")]
SEEN_WITHIN_S: Final = 5.0
POLL_S: Final = 0.2
_PROBLEMS = (Kind.UNKNOWN_TOWN, Kind.UNKNOWN_DEVICE, Kind.TOKEN, Kind.TOO_LARGE)


class StreamRequest(BaseModel):
    """An observed property and its unit."""

    model_config = ConfigDict(extra="forbid")

    property: str = Field(examples=["depth_m"], description="The key in a payload")
    unit: str = Field(examples=["m"])


class DeviceChange(BaseModel):
    """What is to be different; what is left out stays, null takes a site or a position away."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    site: str | None = Field(default=None, description="Code of the site it stands at")
    lat: float | None = Field(default=None, description="WGS 84")
    lon: float | None = None
    expected_interval_s: float | None = Field(
        default=None, description="How often it reports; silence counts from this"
    )
    state: Literal["active", "maintenance", "out_of_season", "quarantined", "retired"] | None = None
    codec: str | None = Field(default=None, description="How its messages are read")
    map: list[str] | None = Field(
        default=None, max_length=200, examples=[["water_level=depth_m*0.01"]]
    )
    model: str | None = Field(default=None, description="Sensor model of undecoded LoRaWAN bytes")


class DeviceRequest(DeviceChange):
    """A device to add."""

    code: str = Field(description="Letters, digits, '-' and '_'; it never changes")
    kind: DeviceKind
    name: Name
    state: Literal["active", "maintenance", "out_of_season"] | None = None
    datastreams: list[StreamRequest] | None = Field(
        default=None, max_length=200, description="null: the usual ones of its kind"
    )


class ApprovalRequest(DeviceChange):
    """What is known better of a device than it said itself."""

    kind: DeviceKind | None = None
    state: None = None
    datastreams: list[StreamRequest] | None = Field(
        default=None, max_length=200, description="null: what it was heard to send"
    )


class Secret(BaseModel):
    """How a device connects; the secret is shown this once, only its hash is kept."""

    user: str = Field(examples=["sakata/ekimae-1"])
    secret: str
    topic: str = Field(examples=["mz/v1/sakata/d/ekimae-1/up"])


class NewDeviceItem(BaseModel):
    """A device that was added, with its secret."""

    device: DeviceItem
    access: Secret


class ProofRequest(BaseModel):
    """With what the device connects."""

    model_config = ConfigDict(extra="forbid")

    secret: str = Field(max_length=200)


class Proof(BaseModel):
    """Whether a test message of the device has come all the way."""

    arrived: bool
    detail: str = Field(description="How far it came, if it did not arrive")


@router.post(
    "/{tenant}/devices",
    status_code=201,
    responses=responses(Kind.UNKNOWN_TOWN, Kind.TOKEN, Kind.TAKEN, Kind.TOO_LARGE),
)
def add_device(writer: HasWriter, wanted: DeviceRequest) -> NewDeviceItem:
    """Add a device with its datastreams; the answer shows its secret once."""
    secret, secret_hash = writer.provisioning.new_secret()
    new = NewDevice(
        **{
            "expected_interval_s": USUAL_INTERVAL_S[wanted.kind],
            **_values(wanted, wanted.code),
            "code": wanted.code,
            "kind": wanted.kind,
            "datastreams": _streams(wanted.datastreams),
            "secret_hash": secret_hash,
        }
    )
    codec = wanted.codec or "native"
    params = writer.provisioning.codec_params(
        codec, wanted.map or (), wanted.model or "", [name for name, _ in new.streams]
    )
    row = NewDevice(**{**vars(new), "codec": codec, "codec_params": params})
    with writer.transaction() as conn:
        device_catalog.add_devices(conn, writer.town.tenant_id, [row])
        return NewDeviceItem(
            device=one_device(conn, wanted.code), access=_access(writer, wanted.code, secret)
        )


@router.patch("/{tenant}/devices/{code}", responses=responses(*_PROBLEMS))
def change_device(writer: HasWriter, code: Code, wanted: DeviceChange) -> DeviceItem:
    """Change some of a device's values."""
    with writer.transaction() as conn:
        found = _known(conn, writer, code)
        changes = _values(wanted, code) | _reading(conn, writer, found, wanted)
        device_catalog.set_device(conn, writer.town.tenant_id, code, changes)
        return one_device(conn, code)


@router.post(
    "/{tenant}/devices/{code}/datastreams", status_code=201, responses=responses(*_PROBLEMS)
)
def add_datastream(writer: HasWriter, code: Code, wanted: StreamRequest) -> DeviceItem:
    """Add a datastream to a device; its unit never changes."""
    with writer.transaction() as conn:
        _known(conn, writer, code)
        datastream_catalog.add_datastream(
            conn, writer.town.tenant_id, code, wanted.property, wanted.unit
        )
        return one_device(conn, code)


@router.post("/{tenant}/devices/{code}/secret", responses=responses(*_PROBLEMS))
def renew_secret(writer: HasWriter, code: Code) -> Secret:
    """Give a device a new secret, shown once; the old one ends."""
    secret, secret_hash = writer.provisioning.new_secret()
    with writer.transaction() as conn:
        _known(conn, writer, code)
        device_catalog.set_device_secret(conn, writer.town.tenant_id, code, secret_hash)
    return _access(writer, code, secret)


@router.post("/{tenant}/devices/{code}/approve", responses=responses(*_PROBLEMS))
def approve(writer: HasWriter, code: Code, wanted: ApprovalRequest) -> DeviceItem:
    """Let a device out of quarantine; its refused messages come again within seconds."""
    with writer.transaction() as conn:
        found = _known(conn, writer, code)
        streams = _streams(wanted.datastreams)
        made = newcomers.to_make(
            conn, found, wanted.kind or found.kind, wanted.codec or found.codec, streams
        )
        changes = _values(wanted, code) | _reading(conn, writer, found, wanted, made)
        if wanted.kind is not None:
            changes["kind"] = wanted.kind
        newcomers.approve(conn, writer.town.tenant_id, code, changes, streams)
        return one_device(conn, code)


@router.post("/{tenant}/devices/{code}/test", responses=responses(*_PROBLEMS))
def prove(
    writer: HasWriter, code: Code, wanted: ProofRequest, language: HasLanguage, answer: Response
) -> Proof:
    """Publish a test message as the device, and say whether a gateway has seen it."""
    answer.headers.update(spoken_in(language))
    with writer.transaction() as conn:
        _known(conn, writer, code)
    nonce = secrets.token_hex(16)
    user = f"{writer.town.code}/{code}"
    refusal = writer.provisioning.publish_probe(user, wanted.secret, nonce)
    if refusal:
        return Proof(arrived=False, detail=in_language(refusal, language))
    deadline = time.monotonic() + SEEN_WITHIN_S
    while time.monotonic() < deadline:
        with writer.transaction() as conn:
            if broker_accounts.town_probe_seen(conn, nonce):
                return Proof(arrived=True, detail="")
        time.sleep(POLL_S)
    said = Sentence(
        "The broker took the test message, but no gateway has seen it: does one run? GET /ready "
        "says more."
    )
    return Proof(arrived=False, detail=in_language(said, language))


def _known(conn: Connection, writer: Writer, code: str) -> Device:
    found = None
    if CODE.fullmatch(code):
        found = device_catalog.device(conn, writer.town.tenant_id, code)
    if found is None:
        raise unknown(writer.here, code)
    return found


def _values(wanted: DeviceChange, code: str) -> dict[str, Any]:
    """Return what a request says of a device, by the names of the catalog."""
    own = {"site", "lat", "lon", "expected_interval_s", "state"}
    said = {name: getattr(wanted, name) for name in wanted.model_fields_set & own}
    for needed in ("expected_interval_s", "state"):
        if said.get(needed, 0) is None:
            del said[needed]  # a device always has one
    if wanted.name is not None:
        said |= wanted.name.columns(code)
    return said


def _reading(
    conn: Connection,
    writer: Writer,
    found: Device,
    wanted: DeviceChange,
    made: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    """Return how its messages are read from now on, if the request says anything of it.

    `made` are datastreams that the same request makes.
    """
    said = wanted.model_fields_set & {"codec", "map", "model"}
    if not said:
        return {}
    streams = datastream_catalog.datastreams(conn, writer.town.tenant_id, [found.device_id])
    codec, params = writer.provisioning.changed_codec(
        (found.codec, found.codec_params),
        wanted.codec,
        (wanted.map or ()) if "map" in said else None,
        (wanted.model or "") if "model" in said else None,
        [*(one.property for one in streams), *(name for name, _ in made)],
    )
    return {"codec": codec, "codec_params": params}


def _streams(given: list[StreamRequest] | None) -> tuple[tuple[str, str], ...] | None:
    return None if given is None else tuple((one.property, one.unit) for one in given)


def _access(writer: Writer, code: str, secret: str) -> Secret:
    town = writer.town.code
    return Secret(user=f"{town}/{code}", secret=secret, topic=f"mz/v1/{town}/d/{code}/up")
