"""Brings a simulated town into the database: what is missing is added, the rest stays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.broker.secrets import hash_secret, new_secret
from deploy.demo.device_secrets import DeviceSecrets
from detectors.profiles import river_threshold
from store import (
    broker_accounts,
    datastream_catalog,
    device_catalog,
    rules,
    site_catalog,
    town_catalog,
)
from store.database import Connection, Database
from store.device_catalog import NewDevice
from store.site_catalog import NewSite, Site
from store.town_catalog import NewTenant


@dataclass(frozen=True)
class EnrolledTown:
    """A town to be in the database.

    Parameters
    ----------
    tenant
        Arguments of `store.town_catalog.add_tenant`.
    sites
        Arguments of `store.site_catalog.add_site`, one mapping a site; a river may have `stages_m`,
        the stages of its levels in ascending order.
    devices
        Devices with their datastreams, without secrets.
    """

    tenant: Mapping[str, Any]
    sites: Sequence[Mapping[str, Any]] = ()
    devices: Sequence[NewDevice] = field(default=())


def enrol(database: Database, town: EnrolledTown, secrets: DeviceSecrets) -> None:
    """Add what is missing of a town: itself, sites, devices, datastreams, default rules, secrets.

    May be repeated. Secrets are kept in the file before their hashes are committed: after a kill
    in between a secret that nobody knows the hash of does no harm, and the next call renews it.

    Parameters
    ----------
    database
        As the owner.
    town
        What to have.
    secrets
        Where the devices' secrets are kept.

    Raises
    ------
    RefusedError
        The catalog does not take a value.
    EmbeddedError
        The secrets cannot be kept.
    """
    code = str(town.tenant["code"])
    with database.transaction() as conn:
        tenant = town_catalog.tenant(conn, code) or town_catalog.add_tenant(
            conn, NewTenant(**town.tenant)
        )
        tenant_id = tenant.tenant_id
        rules.add_defaults(conn, tenant_id)
        known_sites = {site.code for site in site_catalog.sites(conn, tenant_id)}
        for site in town.sites:
            if site["code"] not in known_sites:
                columns = {name: value for name, value in site.items() if name != "stages_m"}
                added = site_catalog.add_site(conn, tenant_id, NewSite(**columns))
                if "stages_m" in site:
                    _add_river_rule(conn, added, site["stages_m"])
        _add_devices(conn, tenant_id, town.devices)
        kept = secrets.read(code)
        made = _unknown_secrets(conn, code, town.devices, kept)
        if made:
            secrets.add(code, made)
            for device, secret in made.items():
                device_catalog.set_device_secret(conn, tenant_id, device, hash_secret(secret))


def _add_devices(conn: Connection, tenant_id: int, devices: Iterable[NewDevice]) -> None:
    wanted = {device.code: device for device in devices}
    present = device_catalog.devices(conn, tenant_id, list(wanted))
    new = [wanted[code] for code in wanted.keys() - {device.code for device in present}]
    if new:
        device_catalog.add_devices(conn, tenant_id, sorted(new, key=lambda device: device.code))
    streams = datastream_catalog.datastreams(
        conn, tenant_id, [device.device_id for device in present]
    )
    for device in present:
        has = {stream.property for stream in streams if stream.device_id == device.device_id}
        for name, unit in wanted[device.code].streams:
            if name not in has:
                datastream_catalog.add_datastream(conn, tenant_id, device.code, name, unit)


def _add_river_rule(conn: Connection, site: Site, stages_m: Sequence[float]) -> None:
    """Give a new river gauge the rule of its own stages, which no default can know."""
    threshold = river_threshold(stages_m)
    rules.save(
        conn,
        site.tenant_id,
        f"river-stage-{site.code}".lower().replace("_", "-"),
        kind=threshold.kind,
        observed_property="stage_m",
        params=threshold.to_params(),
        device_kind="flood_level",
        site_id=site.site_id,
        label_scheme="river",
        from_the_beginning=True,  # nothing stands there yet that could have been decided on
    )


def _unknown_secrets(
    conn: Connection, tenant: str, devices: Iterable[NewDevice], kept: Mapping[str, str]
) -> dict[str, str]:
    hashed = {
        device.code for device in broker_accounts.list_devices(conn) if device.tenant_code == tenant
    }
    return {
        device.code: new_secret()
        for device in devices
        if device.code not in kept or device.code not in hashed
    }
