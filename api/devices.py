"""Devices and datastreams as the API shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from api.words import Name, finite
from store import map as town_map

LinkState = Literal["online", "offline", "silent", "unknown"]


class Link(BaseModel):
    """Whether the device is heard: judged on received times, never part of an alert."""

    state: LinkState = Field(description="unknown: nothing was ever heard of it")
    since: datetime | None
    last_received: datetime | None

    @classmethod
    def of(cls, row: town_map.Device) -> Self:
        """Read the link from a device's row; without a link record it is unknown."""
        return cls.model_validate(
            {
                "state": row.link_state or "unknown",
                "since": row.link_since,
                "last_received": row.last_received,
            }
        )


class Site(BaseModel):
    """The place that people know."""

    code: str = Field(examples=["ekimae-underpass"])
    kind: Literal["street", "underpass", "river", "pond", "depot"]
    name: Name
    close_at_m: float | None = Field(description="Depth at which the street is closed, metres")
    crew_minutes: float | None = Field(description="How long a crew needs to get there")

    @classmethod
    def of(cls, row: town_map.Device) -> Self | None:
        """Read the site from a device's row, or None where it belongs to none."""
        if row.site_code is None:
            return None
        return cls.model_validate(
            {
                "code": row.site_code,
                "kind": row.site_kind,
                "name": Name.of(row.site_name_ja, row.site_name_en),
                "close_at_m": row.close_at_m,
                "crew_minutes": row.crew_minutes,
            }
        )


class LatestReading(BaseModel):
    """The newest reading of a datastream, newest by phenomenon time."""

    time: datetime = Field(description="When it was measured")
    received: datetime = Field(description="When it arrived")
    value: float | None = Field(description="null: the device reported none, or not a number")
    flag: Literal[1, 2, 3, 4, 9] = Field(
        description="QARTOD: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing"
    )
    rate_per_h: float | None = Field(description="Unit per hour; null: not evaluated")

    @classmethod
    def of(cls, row: town_map.Latest) -> Self | None:
        """Read it from a datastream's row, or None where there never was a reading."""
        if row.time is None:
            return None
        return cls.model_validate(
            {
                "time": row.time,
                "received": row.received,
                "value": row.value,
                "flag": row.flag,
                "rate_per_h": finite(row.rate_per_h),
            }
        )


class DatastreamItem(BaseModel):
    """One observed property of a device in one unit."""

    id: int
    property: str = Field(examples=["depth_m"])
    unit: str = Field(examples=["m"])
    latest: LatestReading | None = Field(description="null: there never was a reading")


class Clock(BaseModel):
    """What the device's clock did wrong, counted since the device was added."""

    refused_early: int = Field(description="Messages refused: a time before gateway.earliest_time")
    refused_future: int = Field(description="Messages refused: too far in the future")
    suspect: int = Field(description="Readings stored, but ahead of ours or stepping back")
    last: datetime = Field(description="When the newest of them was received")
    ahead_s: float | None = Field(
        description="How far that one was ahead, negative behind; null: it was refused"
    )

    @classmethod
    def of(cls, row: town_map.Device) -> Self | None:
        """Read it from a device's row, or None where nothing was ever wrong."""
        if row.clock_last is None:
            return None
        return cls.model_validate(
            {
                "refused_early": row.clock_too_early,
                "refused_future": row.clock_in_future,
                "suspect": row.clock_suspect,
                "last": row.clock_last,
                "ahead_s": row.clock_ahead_s,
            }
        )


class DeviceItem(BaseModel):
    """A device with its site, its link and the newest reading of each datastream."""

    code: str = Field(examples=["ekimae-1"])
    kind: Literal["flood_contact", "flood_level", "pond_probe", "plow"]
    state: Literal["active", "maintenance", "out_of_season", "quarantined", "retired"]
    name: Name
    site: Site | None
    lat: float | None = Field(description="WGS 84; its site's where it has none itself")
    lon: float | None
    expected_interval_s: float
    unknown_after_s: float = Field(
        description="A reading older than this says nothing about the present: show unknown"
    )
    link: Link
    clock: Clock | None = Field(description="null: nothing was ever wrong with its clock")
    datastreams: list[DatastreamItem]

    @classmethod
    def of(
        cls, row: town_map.Device, latest: Sequence[town_map.Latest], unknown_after_s: float
    ) -> Self:
        """Build the item from a device's row and those of its datastreams."""
        return cls.model_validate(
            {
                "code": row.code,
                "kind": row.kind,
                "state": row.state,
                "name": Name(ja=row.name_ja, en=row.name_en),
                "site": Site.of(row),
                "lat": row.lat,
                "lon": row.lon,
                "expected_interval_s": row.expected_interval_s,
                "unknown_after_s": unknown_after_s,
                "link": Link.of(row),
                "clock": Clock.of(row),
                "datastreams": [
                    DatastreamItem(
                        id=each.datastream_id,
                        property=each.property,
                        unit=each.unit,
                        latest=LatestReading.of(each),
                    )
                    for each in latest
                ],
            }
        )
