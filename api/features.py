"""Map layers as GeoJSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from api.ahead import Ahead, CrewItem, ForecastItem
from api.devices import LatestReading, Link, Site
from api.doubts import DoubtItem
from api.standing import Standing, State, UnknownReason
from api.tracks import Part
from api.words import Name
from store import map as town_map
from store.doubts import Doubt


class Point(BaseModel):
    """A GeoJSON point, longitude first."""

    type: Literal["Point"] = "Point"
    coordinates: tuple[float, float] = Field(examples=[(139.8365, 38.9146)])


class LineString(BaseModel):
    """A GeoJSON line, longitude first."""

    type: Literal["LineString"] = "LineString"
    coordinates: list[tuple[float, float]]


class ShownReading(LatestReading):
    """The newest reading of one datastream on the map."""

    datastream: int
    property: str
    unit: str
    derived: bool


class DeviceProperties(BaseModel):
    """What the map says about one device."""

    device: str
    kind: str
    name: Name
    site: Site | None
    state: State = Field(
        description=(
            "alert: an alert is open, also while the device is silent (see link). unknown: nothing "
            "can be said, and it is never to be drawn as safe. normal: below the first level"
        )
    )
    unknown_reason: UnknownReason | None = Field(
        description="Why nothing can be said; beside state alert: it rests on what was last seen"
    )
    level: int | None = Field(description="null unless the state is normal (0) or alert")
    label: Name | None
    colour: str | None
    symbol: str | None
    alert: int | None = Field(description="Id of the gravest open alert")
    datastream: int | None = Field(description="Whose value is shown")
    property: str | None
    value: float | None = Field(description="Last known value, also when the state is unknown")
    unit: str | None
    flag: int | None
    revised_flag: int | None = Field(description="What stands since; null: nothing else was said")
    time: datetime | None
    rate_per_h: float | None
    readings: list[ShownReading] = Field(description="The newest of each datastream")
    link: Link
    training: bool = Field(description="訓練: an exercise")

    @classmethod
    def fields_of(
        cls,
        device: town_map.Device,
        standing: Standing,
        streams: list[town_map.Latest],
    ) -> dict[str, Any]:
        """Gather the fields that every kind of device has."""
        alert = standing.alert
        shown = standing.shown
        mark = alert if standing.state == "alert" else standing.label
        reading = shown and LatestReading.of(shown)
        return {
            "device": device.code,
            "kind": device.kind,
            "name": Name(ja=device.name_ja, en=device.name_en),
            "site": Site.of(device),
            "state": standing.state,
            "unknown_reason": standing.unknown_reason,
            "level": standing.level,
            "label": mark and Name.of(mark.label_ja, mark.label_en),
            "colour": mark and mark.colour,
            "symbol": mark and mark.symbol,
            "alert": alert and alert.alert_id,
            "datastream": shown and shown.datastream_id,
            "property": shown and shown.property,
            "value": reading and reading.value,
            "unit": shown and shown.unit,
            "flag": reading and reading.flag,
            "revised_flag": reading and reading.revised_flag,
            "time": reading and reading.time,
            "rate_per_h": reading and reading.rate_per_h,
            "readings": [
                ShownReading(
                    datastream=each.datastream_id,
                    property=each.property,
                    unit=each.unit,
                    derived=each.derived,
                    **vars(latest),
                )
                for each in streams
                if (latest := LatestReading.of(each)) is not None
            ],
            "link": Link.of(device),
            "training": standing.training,
        }


class FloodProperties(DeviceProperties):
    """What the map says about one flood sensor."""

    forecast: ForecastItem | None = Field(
        description="The next level, if anything may be said; never for contact sensors"
    )
    crew: CrewItem | None = Field(description="Depth when the crew arrives; null: not known")
    doubts: list[DoubtItem] = Field(
        description="What other sensors of the place say against the alert"
    )


class PlowProperties(DeviceProperties):
    """What the map says about one plow; ``time`` is that of its position."""

    blade: bool | None = Field(description="true: down; null: no blade switch, or never seen")
    speed_kmh: float | None
    course_deg: float | None


class DeviceFeature(BaseModel):
    """A device on the map; without a known position its geometry is null."""

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: Point | None
    properties: DeviceProperties

    @classmethod
    def of(
        cls, device: town_map.Device, standing: Standing, streams: list[town_map.Latest]
    ) -> Self:
        """Build the feature of a pond probe."""
        fields = DeviceProperties.fields_of(device, standing, streams)
        return cls(
            id=device.code,
            geometry=point(device.lat, device.lon),
            properties=DeviceProperties.model_validate(fields),
        )


class DeviceLayer(BaseModel):
    """Devices as a GeoJSON collection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[DeviceFeature]


class FloodFeature(BaseModel):
    """A flood sensor on the map; without a known position its geometry is null."""

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: Point | None
    properties: FloodProperties

    @classmethod
    def of(
        cls,
        device: town_map.Device,
        standing: Standing,
        streams: list[town_map.Latest],
        ahead: Ahead,
        doubts: Sequence[Doubt],
    ) -> Self:
        """Build the feature of a flood sensor."""
        fields = DeviceProperties.fields_of(device, standing, streams) | {
            "forecast": ahead.forecast,
            "crew": ahead.crew,
            "doubts": [DoubtItem.of(doubt) for doubt in doubts],
        }
        return cls(
            id=device.code,
            geometry=point(device.lat, device.lon),
            properties=FloodProperties.model_validate(fields),
        )


class FloodLayer(BaseModel):
    """Flood sensors as a GeoJSON collection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[FloodFeature]


class PlowFeature(BaseModel):
    """A plow on the map, where it was last seen."""

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: Point | None
    properties: PlowProperties

    @classmethod
    def of(
        cls, device: town_map.Device, standing: Standing, streams: list[town_map.Latest]
    ) -> Self:
        """Build the feature of a plow."""
        fields = DeviceProperties.fields_of(device, standing, streams) | {
            "time": device.fix_time,
            "flag": device.fix_flag,
            "revised_flag": None,
            "blade": device.blade,
            "speed_kmh": device.speed_kmh,
            "course_deg": device.course_deg,
        }
        return cls(
            id=device.code,
            geometry=point(device.fix_lat, device.fix_lon),
            properties=PlowProperties.model_validate(fields),
        )


class PlowLayer(BaseModel):
    """Plows as a GeoJSON collection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[PlowFeature]


class TrackProperties(BaseModel):
    """One part of a plow's way."""

    device: str
    blade: bool | None
    start: datetime = Field(serialization_alias="from", validation_alias="from")
    stop: datetime = Field(serialization_alias="to", validation_alias="to")


class TrackFeature(BaseModel):
    """One part of a plow's way on the map."""

    type: Literal["Feature"] = "Feature"
    geometry: LineString
    properties: TrackProperties

    @classmethod
    def of(cls, device: str, part: Part) -> Self:
        """Build the feature; five decimals are about a metre."""
        line = [(round(p.lon, 5), round(p.lat, 5)) for p in part.points]
        return cls(
            geometry=LineString(coordinates=line),
            properties=TrackProperties.model_validate(
                {"device": device, "blade": part.blade, "from": part.start, "to": part.stop}
            ),
        )


class TrackLayer(BaseModel):
    """Ways of plows as a GeoJSON collection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[TrackFeature]
    truncated: bool = Field(description="true: there are more positions: ask for fewer minutes")


class BaseLayer(BaseModel):
    """The offline base map as a GeoJSON collection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    attribution: Name = Field(description="To be shown on the map")
    features: list[dict[str, Any]] = Field(
        description=(
            "Properties: kind (municipality, coast, river, canal, pond, road, rail), code, name_ja"
        )
    )


def point(lat: float | None, lon: float | None) -> Point | None:
    """Build a point, or None where the position is not known."""
    return None if lat is None or lon is None else Point(coordinates=(lon, lat))
