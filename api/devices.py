"""Devices and datastreams as the API shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from api.words import Name, finite
from store import map as town_map

# A clock of a network or of GPS is right within a second or two; one that is ahead by more than
# this was not set by either.
AHEAD_S = 10.0
# A reading on its way for so long, every one of six hours, is worth a look.
BEHIND_S = 120.0
# A quartz that is 20 ppm off, a usual one, gains or loses 1.7 s a day; networks' delays differ by
# seconds from day to day.
DRIFTING_S_PER_DAY = 10.0

LinkState = Literal["online", "offline", "silent", "unknown"]
LinkReason = Literal["silence", "router_outage", "gateway_outage"]


class Link(BaseModel):
    """Whether the device is heard: judged on received times, never part of an alert."""

    state: LinkState = Field(description="unknown: nothing was ever heard of it")
    since: datetime | None
    last_received: datetime | None
    reason: LinkReason | None = Field(
        description="Why it is silent or unknown: it alone says nothing; the network gateway "
        "(`router`) is out, with all devices behind it; ours was, and may be. null: it is heard, "
        "has said that it goes, or never was heard"
    )
    router: str | None = Field(description="The network gateway that is out; else null")

    @classmethod
    def of(cls, row: town_map.Device) -> Self:
        """Read the link from a device's row; without a link record it is unknown."""
        return cls.model_validate(
            {
                "state": row.link_state or "unknown",
                "since": row.link_since,
                "last_received": row.last_received,
                "reason": _link_reason(row),
                "router": row.link_router,
            }
        )


def _link_reason(row: town_map.Device) -> LinkReason | None:
    if row.link_state == "silent":
        return "silence" if row.link_router is None else "router_outage"
    return "gateway_outage" if row.link_state == "unknown" and row.last_received else None


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
    revised_flag: Literal[1, 2, 3, 4, 9] | None = Field(
        description="What stands since; null: nothing else was said"
    )
    rate_per_h: float | None = Field(description="Unit per hour; null: not evaluated")

    @classmethod
    def of(cls, row: town_map.Latest) -> Self | None:
        """Read it from a datastream's row, or None where there never was a reading."""
        return None if row.time is None else cls.model_validate(fields_of(row))


def fields_of(row: town_map.Latest) -> dict[str, Any]:
    """Return the fields of a datastream's `LatestReading`."""
    return {
        "time": row.time,
        "received": row.received,
        "value": row.value,
        "flag": row.flag,
        "revised_flag": row.revised_flag,
        "rate_per_h": finite(row.rate_per_h),
    }


class DatastreamItem(BaseModel):
    """One observed property of a device in one unit."""

    id: int
    property: str = Field(examples=["depth_m"])
    unit: str = Field(examples=["m"])
    derived: bool = Field(description="Computed here from other readings; no device sends it")
    latest: LatestReading | None = Field(description="null: there never was a reading")


class Clock(BaseModel):
    """How far the device's clock is ahead, and what it did wrong since the device was added."""

    state: Literal["right", "ahead", "behind_or_delayed", "drifting"] = Field(
        description="ahead: certain; behind_or_delayed: a delay on the way looks the same; "
        "drifting: it gains or loses evenly, and offset_s says how far it is off"
    )
    offset_s: float | None = Field(
        description="How far it is ahead at least, by the least delayed reading of the last six to "
        "twelve hours; negative: behind, or delayed by so much; null: it never sent a time"
    )
    drift_s_per_day: float | None = Field(
        description="How much it gains every day, negative: loses; null: not evenly, or not for a "
        "day yet"
    )
    refused_early: int = Field(description="Messages refused: a time before gateway.earliest_time")
    refused_future: int = Field(description="Messages refused: too far in the future")
    suspect: int = Field(description="Readings stored, but ahead of ours or stepping back")
    last: datetime | None = Field(
        description="When the newest of these was received; null: there was none"
    )
    ahead_s: float | None = Field(
        description="How far that one was ahead, negative behind; null: it was refused"
    )

    @classmethod
    def of(cls, row: town_map.Device) -> Self | None:
        """Read it from a device's row, or None where nothing was ever heard of it."""
        if row.clock_last is None and row.clock_offset_s is None:
            return None
        return cls.model_validate(
            {
                "state": _clock_state(row.clock_offset_s, row.clock_drift_s_per_day),
                "offset_s": row.clock_offset_s,
                "drift_s_per_day": row.clock_drift_s_per_day,
                "refused_early": row.clock_too_early or 0,
                "refused_future": row.clock_in_future or 0,
                "suspect": row.clock_suspect or 0,
                "last": row.clock_last,
                "ahead_s": row.clock_ahead_s,
            }
        )


def _clock_state(offset_s: float | None, drift_s_per_day: float | None) -> str:
    if abs(drift_s_per_day or 0.0) >= DRIFTING_S_PER_DAY:
        return "drifting"
    if (offset_s or 0.0) >= AHEAD_S:
        return "ahead"
    return "behind_or_delayed" if (offset_s or 0.0) <= -BEHIND_S else "right"


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
    clock: Clock | None = Field(description="null: no message of it ever had a time")
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
                        derived=each.derived,
                        latest=LatestReading.of(each),
                    )
                    for each in latest
                ],
            }
        )
