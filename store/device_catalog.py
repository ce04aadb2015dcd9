"""Devices: adding them, looking them up, changing them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from detectors.sentence import Sentence
from store import audit, mistakes, queries
from store.config_channel import notify
from store.database import Connection
from store.datastream_catalog import USUAL_DATASTREAMS
from store.mistakes import Mistake, NotThereError, TakenError
from store.site_catalog import sites

_SQL = queries.load("device_catalog")
# What the audit keeps of a device that was added; the secret's hash is not among it.
_AUDITED = (
    "kind", "name_ja", "name_en", "site", "lat", "lon", "expected_interval_s", "state", "codec",
    "codec_params",
)  # fmt: skip
# How often a device of a kind reports unless somebody says otherwise, in seconds.
USUAL_INTERVAL_S = {"flood_contact": 600.0, "flood_level": 60.0, "pond_probe": 600.0, "plow": 10.0}


@dataclass(frozen=True)
class Device:
    """A device, without its secret. `learned`: what is known of one that registered itself."""

    device_id: int
    tenant_id: int
    site_id: int | None
    site: str | None
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
    learned: dict[str, Any] | None
    created_at: datetime


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


def add_devices(conn: Connection, tenant_id: int, new: Sequence[NewDevice]) -> list[Device]:
    """Add devices with their datastreams and their link records: all or none.

    Raises
    ------
    TakenError
        If a code is somebody else's, or doubled.
    MistakesError
        If a site is not there, or a value is not allowed.
    """
    known = {found.code for found in sites(conn, tenant_id)}
    for device in new:
        found = mistakes.of_device({**vars(device), "datastreams": device.streams})
        if device.site is not None and device.site not in known:
            found.append(mistakes.no_such_site(device.site))
        mistakes.refuse(f"The device {device.code!r}", found)
    codes = [device.code for device in new]
    streams = [
        {"tenant_id": tenant_id, "device": device.code, "property": name, "unit": unit}
        for device in new
        for name, unit in device.streams
    ]
    try:
        with conn.transaction(), conn.cursor() as cursor:
            cursor.executemany(_SQL["add"], [_row(tenant_id, device) for device in new])
            cursor.executemany(queries.load("datastream_catalog")["add"], streams)
            conn.execute(_SQL["add_link"], {"tenant_id": tenant_id, "codes": codes})
            conn.execute(_SQL["add_link_event"], {"tenant_id": tenant_id, "codes": codes})
    except psycopg.errors.UniqueViolation as error:
        taken = sorted(device.code for device in devices(conn, tenant_id, codes))
        code = taken[0] if taken else next(c for c in codes if codes.count(c) > 1)
        raise TakenError(f"The device {code!r}", code) from error
    audit.record(conn, tenant_id, "device.add", [(one.code, _audited(one)) for one in new])
    notify(conn, "device")
    return devices(conn, tenant_id, codes)


def _row(tenant_id: int, device: NewDevice) -> dict[str, Any]:
    row = {**vars(device), "tenant_id": tenant_id}
    row["codec_params"] = Jsonb(row["codec_params"])
    del row["datastreams"]
    return row


def _audited(device: NewDevice) -> dict[str, Any]:
    return {name: getattr(device, name) for name in _AUDITED} | {"datastreams": device.streams}


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


def set_device(
    conn: Connection,
    tenant_id: int,
    code: str,
    changes: Mapping[str, Any],
    *,
    approving: bool = False,
) -> bool:
    """Change some of a device's values: those of `NewDevice` but code, secret and datastreams.

    Parameters
    ----------
    approving
        Whether this lets a device out of quarantine (`store.newcomers.approve`).

    Returns
    -------
    bool
        Whether anything is different now.

    Raises
    ------
    NotThereError
        If there is no such device.
    MistakesError
        If a value is not allowed, or the device was not approved.
    """
    if not conn.execute(_SQL["lock"], {"tenant_id": tenant_id, "code": code}).fetchone():
        raise NotThereError(f"This town has no device {code!r}.")
    [before] = devices(conn, tenant_id, [code])
    row = asdict(before)
    found = mistakes.of_device({**row, **changes})
    site = changes.get("site")
    if site is not None and site not in {one.code for one in sites(conn, tenant_id)}:
        found.append(mistakes.no_such_site(site))
    state = changes.get("state", before.state)
    if before.state == "quarantined" and state not in ("quarantined", "retired") and not approving:
        said = Sentence("cannot change: the device is in quarantine until it is approved")
        found.append(Mistake("state", said))
    mistakes.refuse(f"The device {code!r}", found)
    changed = {name: value for name, value in changes.items() if row[name] != value}
    if not changed:
        return False
    after = {**row, **changed}
    after["codec_params"] = Jsonb(after["codec_params"])
    conn.execute(_SQL["set"], after)
    action = "device.approve" if approving else "device.set"
    audit.record(conn, tenant_id, action, [(code, changed)])
    notify(conn, "device")
    return True


def set_device_codec(
    conn: Connection, tenant_id: int, code: str, codec: str, codec_params: Mapping[str, Any]
) -> None:
    """Change how a device's messages are read, from the next one on; raises as `set_device`."""
    set_device(conn, tenant_id, code, {"codec": codec, "codec_params": dict(codec_params)})


def set_device_secret(conn: Connection, tenant_id: int, code: str, secret_hash: str | None) -> None:
    """Let a device in with a new secret (its bcrypt hash), or (None) not at all.

    Raises
    ------
    NotThereError
        If there is no such device.
    """
    parameters = {"tenant_id": tenant_id, "code": code, "secret_hash": secret_hash}
    if not conn.execute(_SQL["set_secret"], parameters).rowcount:
        raise NotThereError(f"This town has no device {code!r}.")
    audit.record(conn, tenant_id, "device.secret", [(code, {"withdrawn": secret_hash is None})])
    notify(conn, "broker")
