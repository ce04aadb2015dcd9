"""Map layers as GeoJSON."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api import tracks as ways
from api.ahead import NOTHING
from api.base_map import BaseMap
from api.desk import desk
from api.errors import Kind
from api.features import (
    BaseLayer,
    DeviceFeature,
    DeviceLayer,
    FloodFeature,
    FloodLayer,
    PlowFeature,
    PlowLayer,
    TrackFeature,
    TrackLayer,
)
from api.lookout import HasLookout, Lookout
from api.problems import responses
from api.town import HasTown, TownAccess
from api.town_lines import TownLines
from api.words import Name
from store import map as town_map
from store.doubts import doubts

router = APIRouter(tags=["map"])
GEOJSON = "application/geo+json"
MOST_POINTS = 200_000  # 100 plows, 2 hours, a fix each 4 s; about 5 MB of answer


@router.get(
    "/{tenant}/map/flood", response_model=FloodLayer, responses=responses(Kind.UNKNOWN_TOWN)
)
def flood(here: HasTown, lookout: HasLookout) -> Response:
    """Show flood sensors with what they stand at, what is ahead of them, and what is doubted."""
    # Written once too: thousands of sensors take as long to write as to judge.
    question = here.town.tenant_id, "flood"
    body = lookout.together(question, lambda: _flood(here, lookout).model_dump_json())
    return Response(body, media_type="application/json")


def _flood(here: TownAccess, lookout: Lookout) -> FloodLayer:
    with here.transaction() as conn:
        now = desk(conn, here.town, datetime.now(UTC), ("flood_contact", "flood_level"))
        said = lookout.ahead(conn, here.town.tenant_id, now)
        shown = [p.standing.alert.alert_id for p in now.devices if p.standing.alert]
        against = doubts(conn, shown)
    return FloodLayer(
        features=[
            FloodFeature.of(
                p.device,
                p.standing,
                p.streams,
                said.get(p.device.device_id, NOTHING),
                against.get(p.standing.alert.alert_id, ()) if p.standing.alert else (),
            )
            for p in now.devices
        ]
    )


@router.get("/{tenant}/map/ponds", responses=responses(Kind.UNKNOWN_TOWN))
def ponds(here: HasTown) -> DeviceLayer:
    """Show pond probes with what they stand at."""
    with here.transaction() as conn:
        now = desk(conn, here.town, datetime.now(UTC), ("pond_probe",))
    return DeviceLayer(
        features=[DeviceFeature.of(p.device, p.standing, p.streams) for p in now.devices]
    )


@router.get("/{tenant}/map/plows", responses=responses(Kind.UNKNOWN_TOWN))
def plows(here: HasTown) -> PlowLayer:
    """Show plows where they were last seen."""
    with here.transaction() as conn:
        now = desk(conn, here.town, datetime.now(UTC), ("plow",))
    return PlowLayer(
        features=[PlowFeature.of(p.device, p.standing, p.streams) for p in now.devices]
    )


@router.get("/{tenant}/map/plows/tracks", responses=responses(Kind.UNKNOWN_TOWN))
def tracks(
    here: HasTown,
    minutes: Annotated[int, Query(ge=1, le=1440, description="How far back")] = 120,
) -> TrackLayer:
    """Show the ways of plows: lines split where fixes are missing and where the blade moved."""
    now = datetime.now(UTC)
    with here.transaction() as conn:
        found = {row.device_id: row for row in town_map.devices(conn, kinds=["plow"])}
        points = town_map.track_points(
            conn, list(found), now - timedelta(minutes=minutes), now, MOST_POINTS + 1
        )
    truncated = len(points) > MOST_POINTS
    features = []
    for device_id, own in groupby(points[:MOST_POINTS], key=lambda each: each.device_id):
        device = found[device_id]
        parts = ways.split(list(own), device.expected_interval_s)
        features += [TrackFeature.of(device.code, part) for part in parts]
    return TrackLayer(features=features, truncated=truncated)


@router.get(
    "/{tenant}/map/base",
    response_model=BaseLayer,
    responses={304: {"description": "Unchanged"}, **responses(Kind.UNKNOWN_TOWN)},
)
def base(request: Request, here: HasTown) -> Response:
    """Show the offline base map around the town. It hardly ever changes, so it has an ETag."""
    base_map = request.app.state.base_map
    assert isinstance(base_map, BaseMap)
    own = TownLines.read(request.app.state.settings.town_maps, here.town.code)
    credits_ = {
        language: " / ".join(filter(None, (said, own.attribution.get(language))))
        for language, said in base_map.attribution.items()
    }
    layer = BaseLayer(
        attribution=Name(**credits_),
        features=[*base_map.around(here.town.map_lat, here.town.map_lon), *own.features],
    )
    body = layer.model_dump_json().encode()
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=GEOJSON, headers=headers)
