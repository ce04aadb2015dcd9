"""The events of the live feed, and how they look on the wire."""

from datetime import datetime
from typing import Literal, Self

from fastapi.sse import format_sse_event
from pydantic import BaseModel, Field

from api.alerts import AlertItem
from api.devices import LatestReading, Link, fields_of
from store import map as town_map
from store.live import News

DatabaseState = Literal["ok", "away"]
RETRY_MS = 3000


class Hello(BaseModel):
    """The first event of a connection: load everything anew, then go on with the events."""

    time: datetime = Field(description="The server's clock")
    town: str
    version: str
    heartbeat_s: float


class Heartbeat(BaseModel):
    """Comes every ten seconds, whatever else comes."""

    time: datetime
    database: DatabaseState = Field(description="away: no events come until it is back")


class Reload(BaseModel):
    """Events were missed: load everything anew. After `slow` the connection ends."""

    reason: Literal["slow", "database_back", "config"]


class ReadingEvent(LatestReading):
    """The newest reading of a datastream; after late data the same one may come again."""

    datastream: int
    device: str
    property: str

    @classmethod
    def from_row(cls, row: town_map.Latest) -> Self | None:
        """Build the event, or None where there is no reading."""
        if row.time is None:
            return None
        own = {
            "datastream": row.datastream_id,
            "device": row.device_code,
            "property": row.property,
        }
        return cls.model_validate(own | fields_of(row))


class PositionEvent(BaseModel):
    """The newest position of a plow."""

    device: str
    time: datetime | None
    received: datetime | None
    lat: float | None
    lon: float | None
    speed_kmh: float | None
    course_deg: float | None
    blade: bool | None
    flag: int | None


class LinkEvent(Link):
    """A change of a device's link."""

    device: str


def encode(event: str, data: BaseModel, event_id: str, *, retry: int | None = None) -> bytes:
    """Write one event as the browser's EventSource reads it."""
    return format_sse_event(data_str=data.model_dump_json(), event=event, id=event_id, retry=retry)


def of(news: News) -> list[tuple[str, BaseModel]]:
    """Turn what changed into events, alerts first: they must not wait behind readings."""
    found: list[tuple[str, BaseModel]] = [
        (
            "alert",
            AlertItem.of(
                row, news.doubts.get(row.alert_id, ()), news.unconfirmed.get(row.alert_id)
            ),
        )
        for row in news.alerts
    ]
    found += [("link", LinkEvent(device=row.code, **vars(Link.of(row)))) for row in news.links]
    for row in news.latest:
        if (reading := ReadingEvent.from_row(row)) is not None:
            found.append(("reading", reading))
    for device in news.positions:
        position = PositionEvent(
            device=device.code,
            time=device.fix_time,
            received=device.fix_received,
            lat=device.fix_lat,
            lon=device.fix_lon,
            speed_kmh=device.speed_kmh,
            course_deg=device.course_deg,
            blade=device.blade,
            flag=device.fix_flag,
        )
        found.append(("position", position))
    return found
