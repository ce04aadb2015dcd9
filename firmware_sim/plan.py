"""A town's plan: which devices it has, where, and how they behave."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from firmware_sim.chance import Chance
from firmware_sim.devices.device import Device
from firmware_sim.devices.flood import ContactSensor, LevelSensor
from firmware_sim.devices.plow import Plow
from firmware_sim.devices.pond import PondProbe, PondWater
from firmware_sim.drive import Moment, drive
from firmware_sim.errors import TownError
from firmware_sim.faults import Fault
from firmware_sim.roads import RoadNetwork
from firmware_sim.storm import Hydrograph, Weather


@dataclass(frozen=True)
class TownPlan:
    """A town as its file describes it.

    Parameters
    ----------
    town
        `code`, `name_ja`, `name_en`, `time_zone`, `training`, `map` (lat, lon, zoom).
    sites
        Places, with the columns of the schema's `site`.
    devices
        Devices, with those of `device`, their `datastreams`, their `model` and their `faults`.
    storm
        `first_after_s`: when the first storm's onset comes after the start; `period_s`.
    history_h
        How many hours the devices have recorded before they first reach the broker.
    roads
        GeoJSON lines.
    surroundings
        GeoJSON lines and areas that only the map shows: river, ponds, railway.
    """

    town: Mapping[str, Any]
    sites: tuple[Mapping[str, Any], ...]
    devices: tuple[Mapping[str, Any], ...]
    storm: Mapping[str, Any]
    history_h: float
    roads: Mapping[str, Any]
    surroundings: Mapping[str, Any]

    @property
    def code(self) -> str:
        """The town's code."""
        return str(self.town["code"])


@cache
def demo_plan() -> TownPlan:
    """Return the demo town, 水守町."""
    data = files("firmware_sim") / "data"
    town, roads, surroundings = (
        json.loads((data / name).read_text("utf-8"))
        for name in ("town.json", "roads.geojson", "surroundings.geojson")
    )
    return TownPlan(
        town=town["town"],
        sites=tuple(town["sites"]),
        devices=tuple(town["devices"]),
        storm=town["storm"],
        history_h=town["history_h"],
        roads=roads,
        surroundings=surroundings,
    )


def build_devices(plan: TownPlan, weather: Weather, *, seed: int) -> Iterator[Device]:
    """Yield the town's devices.

    Parameters
    ----------
    plan, weather
        The town and its weather.
    seed
        Same seed, same readings.

    Raises
    ------
    TownError
        If a device's model is wrong; the message names the device.
    """
    network = RoadNetwork.from_geojson(plan.roads)
    for device in plan.devices:
        try:
            yield _device(plan, device, weather, network, seed)
        except (KeyError, TypeError, ValueError) as error:
            raise TownError(f"Device {device.get('code', '?')}: {error}.") from error


def _device(
    plan: TownPlan, device: Mapping[str, Any], weather: Weather, network: RoadNetwork, seed: int
) -> Device:
    code, kind, model = device["code"], device["kind"], dict(device["model"])
    faults = tuple(Fault(**fault) for fault in device.get("faults", ()))
    if kind in ("flood_level", "flood_contact"):
        sensor = LevelSensor if kind == "flood_level" else ContactSensor
        hydrograph = Hydrograph(**model.pop("hydrograph"))
        name = device["datastreams"][0]["property"]
        return sensor(code, weather, faults, seed=seed, hydrograph=hydrograph, name=name, **model)
    if kind == "pond_probe":
        water = PondWater(**model.pop("water"))
        return PondProbe(code, weather, faults, seed=seed, water=water, **model)
    if kind == "plow":
        depot = next(site for site in plan.sites if site["code"] == device["site"])
        moments = _tour(network, model.pop("route"), depot, Chance(seed, code))
        return Plow(code, weather, faults, seed=seed, moments=moments, **model)
    raise ValueError(f"there is no kind {kind!r}")


def _tour(
    network: RoadNetwork, route: str, depot: Mapping[str, Any], chance: Chance
) -> list[Moment]:
    start = network.nearest_junction(depot["lon"], depot["lat"])
    return drive(network.tour(start, route), chance)
