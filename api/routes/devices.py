"""Devices with their links and newest readings."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path

from api.desk import streams_by_device, unknown_after_s
from api.devices import DeviceItem
from api.errors import ApiError, Kind
from api.problems import responses
from api.town import CODE, HasTown, TownAccess
from detectors.sentence import Sentence
from store import map as town_map
from store.database import Connection

router = APIRouter(tags=["devices"])


def _items(conn: Connection, rows: list[town_map.Device]) -> list[DeviceItem]:
    streams = streams_by_device(conn, rows)
    limits = unknown_after_s(conn, rows, datetime.now(UTC))
    return [DeviceItem.of(row, streams[row.device_id], limits[row.device_id]) for row in rows]


@router.get("/{tenant}/devices", responses=responses(Kind.UNKNOWN_TOWN))
def devices(here: HasTown) -> list[DeviceItem]:
    """List the town's devices by code, without retired ones."""
    with here.transaction() as conn:
        return _items(conn, town_map.devices(conn))


@router.get("/{tenant}/devices/{code}", responses=responses(Kind.UNKNOWN_TOWN, Kind.UNKNOWN_DEVICE))
def device(
    here: HasTown, code: Annotated[str, Path(description="The device's code")]
) -> DeviceItem:
    """Show one device, also a retired one."""
    if CODE.fullmatch(code):
        with here.transaction() as conn:
            for item in _items(conn, town_map.devices(conn, code=code)):
                return item
    raise unknown(here, code)


def one_device(conn: Connection, code: str) -> DeviceItem:
    """Show a device that is there, as it stands in this transaction."""
    [item] = _items(conn, town_map.devices(conn, code=code))
    return item


def unknown(here: TownAccess, code: str) -> ApiError:
    """Build the error for a device that is not there."""
    detail = Sentence(
        "{town} has no device {code!r}. GET /api/v1/{town}/devices lists those it has.",
        town=here.town.code,
        code=code[:63],
    )
    return ApiError(Kind.UNKNOWN_DEVICE, detail)
