"""Datastreams: one device, one observed property, one unit."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from detectors.sentence import Sentence
from store import audit, mistakes, queries
from store.config_channel import notify
from store.database import Connection
from store.mistakes import Mistake, MistakesError, NotThereError

_SQL = queries.load("datastream_catalog")

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
class Datastream:
    """One observed property of a device; a derived one is computed, no device sends it."""

    datastream_id: int
    tenant_id: int
    device_id: int
    property: str
    unit: str
    derived: bool = False


def add_datastreams(
    conn: Connection, tenant_id: int, streams: Sequence[tuple[str, str, str]]
) -> None:
    """Add datastreams: (device's code, property, unit) each; all or none.

    Raises
    ------
    NotThereError
        If there is no such device.
    MistakesError
        If a device has the property already, or property or unit are not allowed.
    """
    for device, name, unit in streams:
        mistakes.refuse(
            f"The datastream {name!r} of {device!r}", mistakes.of_datastream(name, unit)
        )
    with conn.transaction():
        for device, name, unit in streams:
            row = {"tenant_id": tenant_id, "device": device, "property": name, "unit": unit}
            try:
                with conn.transaction():
                    added = conn.execute(_SQL["add"], row).rowcount
            except psycopg.errors.UniqueViolation as error:
                said = Sentence("{name!r} is there already", name=name)
                raise MistakesError(
                    f"The device {device!r}", [Mistake("property", said)]
                ) from error
            if not added:
                raise NotThereError(f"This town has no device {device!r}.")
        changes = [(device, {"property": name, "unit": unit}) for device, name, unit in streams]
        audit.record(conn, tenant_id, "datastream.add", changes)
    notify(conn, "device")


def add_datastream(
    conn: Connection, tenant_id: int, device_code: str, observed_property: str, unit: str
) -> None:
    """Add one datastream; raises as `add_datastreams`."""
    add_datastreams(conn, tenant_id, [(device_code, observed_property, unit)])


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
