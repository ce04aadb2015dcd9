"""What is ahead of the flood sensors, for a page that asks again and again."""

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.ahead import NOTHING, CrewItem, ForecastItem
from api.desk import desk
from api.errors import Kind
from api.lookout import HasLookout, Lookout
from api.problems import responses
from api.town import HasTown, TownAccess

router = APIRouter(tags=["map"])


class AheadItem(BaseModel):
    """A sensor of which something may be said."""

    device: str
    forecast: ForecastItem | None
    crew: CrewItem | None
    under_water: bool = Field(
        description="A silent beacon that may be under water: its network gateway hears others"
    )


@router.get("/{tenant}/ahead", responses=responses(Kind.UNKNOWN_TOWN))
def what_is_ahead(here: HasTown, lookout: HasLookout) -> list[AheadItem]:
    """List the flood sensors of which something may be said: in a dry town none."""
    return lookout.together((here.town.tenant_id, "ahead"), lambda: _look(here, lookout))


def _look(here: TownAccess, lookout: Lookout) -> list[AheadItem]:
    with here.transaction() as conn:
        now = desk(conn, here.town, datetime.now(UTC), ("flood_level", "flood_contact"))
        said = lookout.ahead(conn, here.town.tenant_id, now)
    items = []
    for each in now.devices:
        found = said.get(each.device.device_id, NOTHING)
        drowned = each.standing.unknown_reason == "under_water"
        if drowned or found != NOTHING:
            items.append(
                AheadItem(
                    device=each.device.code,
                    forecast=found.forecast,
                    crew=found.crew,
                    under_water=drowned,
                )
            )
    return items
