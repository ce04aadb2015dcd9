"""The demo town: put into the database, and run."""

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.compose_database import open_database
from deploy.demo.device_secrets import DeviceSecrets
from deploy.demo.enrolment import EnrolledTown, enrol
from deploy.embedded.data_dir import DataDir
from deploy.embedded.errors import EmbeddedError
from deploy.settings import Settings
from firmware_sim import town
from firmware_sim.modem import Broker
from firmware_sim.plan import TownPlan, demo_plan
from firmware_sim.radio import Tally
from store.device_catalog import NewDevice

MEMORY_FILE_NAME = "simulated_memory.json"


def provision_demo(settings: Settings) -> None:
    """Put the demo town into the database, and its devices' secrets into a file of mode 0600.

    May be repeated: what is there stays as it is.

    Raises
    ------
    SettingsError, StoreError, EmbeddedError
        In words.
    """
    plan = demo_plan()
    with open_database(settings, "owner", name="mizumori-demo", max_size=1) as database:
        enrol(database, enrolled(plan), DeviceSecrets.of(settings))
    draw_map(plan, settings.api.town_maps or DataDir(settings.embedded.data_dir).maps)


def draw_map(plan: TownPlan, folder: Path) -> None:
    """Give the console the town's streets and water, unless it has a map of its own already.

    Raises
    ------
    EmbeddedError
        The file cannot be written.
    """
    path = folder / f"{plan.code}.geojson"
    streets = [
        {
            **each,
            "properties": {
                **each["properties"],
                "kind": "road",
                "major": each["properties"]["class"] == "national",
            },
        }
        for each in plan.roads["features"]
    ]
    lines = {
        "type": "FeatureCollection",
        "attribution": {"ja": "町は架空", "en": "The town is invented"},
        "features": [*plan.surroundings["features"], *streets],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(lines, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise EmbeddedError(
            f"{path} cannot be written ({error.strerror}): give this account the right to write "
            "there, or set api.town_maps to another folder."
        ) from error


def run_demo(
    settings: Settings, stop: threading.Event, report: Callable[[str], None] | None = None
) -> Tally:
    """Run the demo town's devices until `stop` is set.

    On the first start they bring some hours of readings with them; later ones go on where the
    last one ended, with a memory that lies in the data directory.

    Raises
    ------
    TownError
        The town was not provisioned, or the memory cannot be kept: in words.
    """
    plan = demo_plan()
    return town.run(
        broker=broker_of(settings),
        secrets=DeviceSecrets.of(settings).read(plan.code),
        stop=stop,
        plan=plan,
        memory_file=settings.embedded.data_dir / MEMORY_FILE_NAME,
        report=report,
    )


def broker_of(settings: Settings) -> Broker:
    """Return where simulated devices find the broker."""
    broker = settings.broker
    return Broker(broker.host or "127.0.0.1", broker.port, broker.tls_ca)


def enrolled(plan: TownPlan) -> EnrolledTown:
    """Return what the database is to know of a simulated town."""
    place = plan.town["map"]
    return EnrolledTown(
        tenant={
            **{name: plan.town[name] for name in ("code", "name_ja", "name_en", "time_zone")},
            "training": plan.town["training"],
            "map_lat": place["lat"],
            "map_lon": place["lon"],
            "map_zoom": place["zoom"],
        },
        sites=plan.sites,
        devices=tuple(_new_device(device) for device in plan.devices),
    )


def _new_device(device: Mapping[str, Any]) -> NewDevice:
    return NewDevice(
        code=device["code"],
        kind=device["kind"],
        name_ja=device["name_ja"],
        name_en=device["name_en"],
        expected_interval_s=device["expected_interval_s"],
        site=device["site"],
        lat=device.get("lat"),
        lon=device.get("lon"),
        datastreams=tuple((stream["property"], stream["unit"]) for stream in device["datastreams"]),
    )
