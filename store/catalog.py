"""Towns, their sites, devices and datastreams.

Every function works in the caller's transaction. What gateway, jobs and broker must know of is
announced on the channel `mizumori_config` and arrives with the commit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from store import queries
from store.database import Connection
from store.errors import RefusedError

ConfigKind = Literal["device", "rule", "tenant", "broker"]

T = TypeVar("T")
_SQL = queries.load("catalog")
_ALLOWED = {
    "code": "letters, digits, '-' and '_', at most 63; a town's code is in lower case",
    "kind": (
        "a site is street, underpass, river, pond or depot; a device is flood_contact, "
        "flood_level, pond_probe or plow"
    ),
    "state": "active, maintenance, out_of_season, quarantined or retired",
    "lat": "degrees from -90 to 90",
    "lon": "degrees from -180 to 180",
    "property": "lower-case letters, digits and '_', beginning with a letter",
    "expected_interval_s": "seconds, more than 0",
}

# The datastreams that a device of a kind has unless it is added with others: (property, unit).
USUAL_DATASTREAMS: dict[str, tuple[tuple[str, str], ...]] = {
    "flood_contact": (("depth_m", "m"), ("battery_v", "V")),
    "flood_level": (("depth_m", "m"), ("battery_v", "V")),
    "pond_probe": (
        ("water_temp_c", "degC"),
        ("ph", "pH"),
        ("dissolved_oxygen_mg_l", "mg/L"),
        ("battery_v", "V"),
    ),
    "plow": (),
}


@dataclass(frozen=True)
class Tenant:
    """A town. `training` marks everything of it as an exercise (訓練)."""

    tenant_id: int
    code: str
    name_ja: str
    name_en: str
    time_zone: str
    training: bool
    map_lat: float
    map_lon: float
    map_zoom: float


@dataclass(frozen=True)
class Site:
    """A place that people know; `close_at_m` is the depth at which a street is closed."""

    site_id: int
    tenant_id: int
    code: str
    kind: str
    name_ja: str
    name_en: str
    lat: float | None
    lon: float | None
    close_at_m: float | None
    crew_minutes: float | None


@dataclass(frozen=True)
class Device:
    """A device, without its secret."""

    device_id: int
    tenant_id: int
    site_id: int | None
    code: str
    kind: str
    name_ja: str
    name_en: str
    lat: float | None
    lon: float | None
    expected_interval_s: float
    state: str
    codec: str
    codec_params: dict[str, Any]


@dataclass(frozen=True)
class Datastream:
    """One device, one observed property, one unit."""

    datastream_id: int
    tenant_id: int
    device_id: int
    property: str
    unit: str


@dataclass(frozen=True)
class NewDevice:
    """A device to add. `datastreams` are (property, unit); None takes the usual ones."""

    code: str
    kind: str
    name_ja: str
    name_en: str
    expected_interval_s: float
    site: str | None = None
    lat: float | None = None
    lon: float | None = None
    state: str = "active"
    codec: str = "native"
    codec_params: Mapping[str, Any] = field(default_factory=dict)
    secret_hash: str | None = field(default=None, repr=False)
    datastreams: tuple[tuple[str, str], ...] | None = None

    @property
    def streams(self) -> tuple[tuple[str, str], ...]:
        """The datastreams that will be made."""
        if self.datastreams is None:
            return USUAL_DATASTREAMS.get(self.kind, ())
        return self.datastreams


def add_tenant(
    conn: Connection,
    *,
    code: str,
    name_ja: str,
    name_en: str,
    time_zone: str = "Asia/Tokyo",
    training: bool = False,
    map_lat: float = 38.0,
    map_lon: float = 140.0,
    map_zoom: float = 12.0,
) -> Tenant:
    """Add a town; `store.rules.add_defaults` gives it its rules.

    Raises
    ------
    RefusedError
        If the code is taken or not of lower-case letters, digits and '-'.
    """
    parameters = {
        "code": code,
        "name_ja": name_ja,
        "name_en": name_en,
        "time_zone": time_zone,
        "training": training,
        "map_lat": map_lat,
        "map_lon": map_lon,
        "map_zoom": map_zoom,
    }

    def add() -> Tenant:
        with conn.cursor(row_factory=class_row(Tenant)) as cursor:
            [tenant] = cursor.execute(_SQL["add_tenant"], parameters).fetchall()
        return tenant

    tenant = _checked(conn, f"The town {code!r}", add)
    notify(conn, "tenant")
    return tenant


def tenants(conn: Connection) -> list[Tenant]:
    """List the towns by code."""
    with conn.cursor(row_factory=class_row(Tenant)) as cursor:
        return cursor.execute(_SQL["tenants"], {"code": None}).fetchall()


def tenant(conn: Connection, code: str) -> Tenant | None:
    """Find a town by its code."""
    with conn.cursor(row_factory=class_row(Tenant)) as cursor:
        return cursor.execute(_SQL["tenants"], {"code": code}).fetchone()


def set_training(conn: Connection, tenant_id: int, training: bool) -> None:
    """Begin or end an exercise (訓練) of a town."""
    conn.execute(_SQL["set_training"], {"tenant_id": tenant_id, "training": training})
    notify(conn, "tenant")


def add_site(
    conn: Connection,
    tenant_id: int,
    *,
    code: str,
    kind: str,
    name_ja: str,
    name_en: str,
    lat: float | None = None,
    lon: float | None = None,
    close_at_m: float | None = None,
    crew_minutes: float | None = None,
) -> Site:
    """Add a site.

    Raises
    ------
    RefusedError
        If the code is taken, or a value is outside what the catalog allows.
    """
    parameters = {
        "tenant_id": tenant_id,
        "code": code,
        "kind": kind,
        "name_ja": name_ja,
        "name_en": name_en,
        "lat": lat,
        "lon": lon,
        "close_at_m": close_at_m,
        "crew_minutes": crew_minutes,
    }

    def add() -> Site:
        with conn.cursor(row_factory=class_row(Site)) as cursor:
            [site] = cursor.execute(_SQL["add_site"], parameters).fetchall()
        return site

    added = _checked(conn, f"The site {code!r}", add)
    notify(conn, "device")
    return added


def sites(conn: Connection, tenant_id: int) -> list[Site]:
    """List a town's sites by code."""
    with conn.cursor(row_factory=class_row(Site)) as cursor:
        return cursor.execute(_SQL["sites"], {"tenant_id": tenant_id, "code": None}).fetchall()


def site(conn: Connection, tenant_id: int, code: str) -> Site | None:
    """Find a site by its code."""
    with conn.cursor(row_factory=class_row(Site)) as cursor:
        return cursor.execute(_SQL["sites"], {"tenant_id": tenant_id, "code": code}).fetchone()


def add_devices(conn: Connection, tenant_id: int, new: Sequence[NewDevice]) -> list[Device]:
    """Add devices with their datastreams and their link records: all or none.

    Raises
    ------
    RefusedError
        If a code is taken or doubled, a site is not there, or a value is refused.
    """
    known = {found.code for found in sites(conn, tenant_id)}
    for device in new:
        if device.site is not None and device.site not in known:
            raise RefusedError(
                f"The device {device.code!r} is to stand at the site {device.site!r}, which this "
                "town does not have; add the site first."
            )
    codes = [device.code for device in new]
    rows = [{**asdict(device), "tenant_id": tenant_id} for device in new]
    streams = [
        {"tenant_id": tenant_id, "device": device.code, "property": name, "unit": unit}
        for device in new
        for name, unit in device.streams
    ]

    def add() -> None:
        for row in rows:
            row.pop("datastreams")
            row["codec_params"] = Jsonb(row["codec_params"])
        with conn.cursor() as cursor:
            cursor.executemany(_SQL["add_device"], rows)
            cursor.executemany(_SQL["add_datastream"], streams)
        conn.execute(_SQL["add_link"], {"tenant_id": tenant_id, "codes": codes})
        conn.execute(_SQL["add_link_event"], {"tenant_id": tenant_id, "codes": codes})

    _checked(conn, f"The device {codes[0]!r}" if len(codes) == 1 else "One of the devices", add)
    notify(conn, "device")
    return devices(conn, tenant_id, codes)


def devices(
    conn: Connection, tenant_id: int | None = None, codes: Sequence[str] | None = None
) -> list[Device]:
    """List devices by code, of one town or (None) of all, with these codes or (None) with any."""
    parameters = {"tenant_id": tenant_id, "codes": None if codes is None else list(codes)}
    with conn.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute(_SQL["devices"], parameters).fetchall()


def device(conn: Connection, tenant_id: int, code: str) -> Device | None:
    """Find a device by its code."""
    found = devices(conn, tenant_id, [code])
    return found[0] if found else None


def set_device_state(conn: Connection, tenant_id: int, code: str, state: str) -> None:
    """Put a device into maintenance, out of season, or back to active.

    Raises
    ------
    RefusedError
        If there is no such device or no such state.
    """

    def change() -> int:
        parameters = {"tenant_id": tenant_id, "code": code, "state": state}
        return conn.execute(_SQL["set_state"], parameters).rowcount

    if not _checked(conn, f"The device {code!r}", change):
        raise RefusedError(f"This town has no device {code!r}.")
    notify(conn, "device")


def set_device_codec(
    conn: Connection, tenant_id: int, code: str, codec: str, codec_params: Mapping[str, Any]
) -> None:
    """Change how a device's messages are read, from the next one on.

    Raises
    ------
    RefusedError
        If there is no such device.
    """
    parameters = {
        "tenant_id": tenant_id,
        "code": code,
        "codec": codec,
        "codec_params": Jsonb(codec_params),
    }
    if not conn.execute(_SQL["set_codec"], parameters).rowcount:
        raise RefusedError(f"This town has no device {code!r}.")
    notify(conn, "device")


def set_device_secret(conn: Connection, tenant_id: int, code: str, secret_hash: str | None) -> None:
    """Let a device in with a new secret (its bcrypt hash), or (None) not at all.

    Raises
    ------
    RefusedError
        If there is no such device.
    """
    parameters = {"tenant_id": tenant_id, "code": code, "secret_hash": secret_hash}
    if not conn.execute(_SQL["set_secret"], parameters).rowcount:
        raise RefusedError(f"This town has no device {code!r}.")
    notify(conn, "broker")


def add_datastream(
    conn: Connection, tenant_id: int, device_code: str, observed_property: str, unit: str
) -> None:
    """Add a datastream to a device.

    Raises
    ------
    RefusedError
        If there is no such device, or it has the property already.
    """
    parameters = {
        "tenant_id": tenant_id,
        "device": device_code,
        "property": observed_property,
        "unit": unit,
    }

    def add() -> int:
        return conn.execute(_SQL["add_datastream"], parameters).rowcount

    if not _checked(conn, f"The datastream {observed_property!r} of {device_code!r}", add):
        raise RefusedError(f"This town has no device {device_code!r}.")
    notify(conn, "device")


def datastreams(
    conn: Connection, tenant_id: int | None = None, device_ids: Sequence[int] | None = None
) -> list[Datastream]:
    """List datastreams by device, of one town or (None) of all."""
    parameters = {
        "tenant_id": tenant_id,
        "device_ids": None if device_ids is None else list(device_ids),
    }
    with conn.cursor(row_factory=class_row(Datastream)) as cursor:
        return cursor.execute(_SQL["datastreams"], parameters).fetchall()


def notify(conn: Connection, kind: ConfigKind) -> None:
    """Tell gateway, jobs and supervisor to read the catalog anew; sent with the commit."""
    conn.execute(_SQL["notify_config"], {"kind": kind})


def _checked(conn: Connection, what: str, work: Callable[[], T]) -> T:
    """Run `work` under a savepoint and say in words what the database refused."""
    try:
        with conn.transaction():
            return work()
    except psycopg.errors.UniqueViolation as error:
        raise RefusedError(f"{what} is there already: {error.diag.message_detail}") from error
    except psycopg.errors.CheckViolation as error:
        column = str(error.diag.constraint_name).removesuffix("_check").split("_", 1)[-1]
        raise RefusedError(
            f"{what} has a {column} that is not allowed; {_ALLOWED.get(column, '')}".rstrip("; ")
        ) from error
