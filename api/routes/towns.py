"""Which towns there are, and what a desk sees first."""

from datetime import UTC, datetime
from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.desk import desk
from api.devices import Link
from api.errors import Kind
from api.problems import responses
from api.standing import Standing
from api.town import HasAccess, HasTown
from api.words import Name
from store import routers, town_catalog

router = APIRouter(tags=["towns"])


class View(BaseModel):
    """Where the map opens."""

    lat: float
    lon: float
    zoom: float


class TownItem(BaseModel):
    """One town."""

    code: str = Field(examples=["sakata"])
    name: Name
    time_zone: str = Field(examples=["Asia/Tokyo"])
    training: bool = Field(description="訓練: the whole town is in an exercise")
    map: View

    @classmethod
    def of(cls, row: town_catalog.Tenant) -> Self:
        """Build the item from a row of the directory."""
        return cls(
            code=row.code,
            name=Name(ja=row.name_ja, en=row.name_en),
            time_zone=row.time_zone,
            training=row.training,
            map=View(lat=row.map_lat, lon=row.map_lon, zoom=row.map_zoom),
        )


class Counts(BaseModel):
    """How many devices stand at what."""

    total: int = 0
    normal: int = 0
    alert: int = 0
    unknown: int = 0
    maintenance: int = 0
    out_of_season: int = 0

    @classmethod
    def of(cls, standings: list[Standing]) -> Self:
        """Count them."""
        counts = cls(total=len(standings))
        for standing in standings:
            setattr(counts, standing.state, getattr(counts, standing.state) + 1)
        return counts


class SilentDevice(BaseModel):
    """An active device that is not heard."""

    device: str
    name: Name
    link: Link


class RouterOut(BaseModel):
    """A network gateway (LoRaWAN router) that is out, with the devices that it leaves silent."""

    router: str
    since: datetime = Field(description="When something was last heard through it")
    devices: list[str]


class Overview(BaseModel):
    """What a desk sees first."""

    time: datetime = Field(description="The server's clock")
    training: bool
    flood: Counts
    pond: Counts
    plow: Counts
    open_alerts: int
    silent_devices: list[SilentDevice]
    routers_out: list[RouterOut] = Field(
        description="One outage each, instead of one of each device; these are among "
        "silent_devices too, with the router in their link"
    )


@router.get("/towns", responses=responses())
def towns(access: HasAccess) -> list[TownItem]:
    """List the towns."""
    with access.transaction(None) as conn:
        return [TownItem.of(row) for row in town_catalog.tenants(conn)]


@router.get("/{tenant}/overview", responses=responses(Kind.UNKNOWN_TOWN))
def overview(here: HasTown) -> Overview:
    """Count devices per desk by state; list open alerts and active devices that are not heard."""
    with here.transaction() as conn:
        now = desk(conn, here.town, datetime.now(UTC))
        out = routers.out(conn)
    return Overview(
        time=now.snapshot.now,
        training=here.town.training,
        flood=Counts.of([each.standing for each in now.of("flood_contact", "flood_level")]),
        pond=Counts.of([each.standing for each in now.of("pond_probe")]),
        plow=Counts.of([each.standing for each in now.of("plow")]),
        open_alerts=sum(len(each) for each in now.snapshot.alerts.values()),
        silent_devices=[
            SilentDevice(
                device=each.device.code,
                name=Name(ja=each.device.name_ja, en=each.device.name_en),
                link=Link.of(each.device),
            )
            for each in now.devices
            if each.device.state == "active" and each.device.link_state != "online"
        ],
        routers_out=[
            RouterOut(
                router=router,
                since=since,
                devices=[e.device.code for e in now.devices if e.device.link_router == router],
            )
            for router, since in out
        ],
    )
