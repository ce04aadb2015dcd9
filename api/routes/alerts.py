"""The ledger of alerts."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from api import cursors
from api.ahead import NOTHING, Ahead, ahead
from api.alerts import AlertItem, AlertPage, AlertWithTransitions
from api.desk import desk
from api.errors import ApiError, Kind
from api.problems import responses
from api.town import HasTown, TownAccess
from detectors.sentence import Sentence
from store import alerts as ledger
from store import journal
from store.database import Connection
from store.doubts import doubts
from store.unconfirmed import unconfirmed

router = APIRouter(tags=["alerts"])
STATES = {"open": True, "ended": False, "all": None}


@router.get("/{tenant}/alerts", responses=responses(Kind.UNKNOWN_TOWN))
def alerts(
    here: HasTown,
    state: Annotated[
        Literal["open", "ended", "all"], Query(description="Under way, ended, or both")
    ] = "open",
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items of a page")] = 100,
    cursor: Annotated[str | None, Query(max_length=40, description="`next` of a page")] = None,
) -> AlertPage:
    """List alerts, newest onset first, without what was withdrawn or merged into another."""
    before = cursors.place(cursor) if cursor else None
    with here.transaction() as conn:
        rows = ledger.alerts(conn, is_open=STATES[state], before=before, limit=limit + 1)
        ids = [row.alert_id for row in rows]
        against, rests_on = doubts(conn, ids), unconfirmed(conn, ids)
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = cursors.of_place(ledger.Place(rows[-1].onset, rows[-1].alert_id))
    return AlertPage(
        items=[
            AlertItem.of(row, against.get(row.alert_id, ()), rests_on.get(row.alert_id))
            for row in rows
        ],
        next=following,
    )


@router.get(
    "/{tenant}/alerts/{alert_id}", responses=responses(Kind.UNKNOWN_TOWN, Kind.UNKNOWN_ALERT)
)
def alert(
    here: HasTown, alert_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> AlertWithTransitions:
    """Show one alert with its transitions, also one that was withdrawn or merged.

    With what is ahead of it, as long as it is open.
    """
    with here.transaction() as conn:
        for row in ledger.alerts_by_id(conn, [alert_id]):
            is_open = row.clear is None and not row.withdrawn and row.merged_into is None
            return AlertWithTransitions.whole(
                row,
                ledger.transitions(conn, alert_id),
                journal.corrections(conn, here.town.tenant_id, alert_id),
                doubts(conn, [alert_id]).get(alert_id, ()),
                unconfirmed(conn, [alert_id]).get(alert_id),
                _ahead(conn, here, row) if is_open else NOTHING,
            )
    detail = Sentence(
        "{town} has no alert {code}. It may belong to another town.",
        town=here.town.code,
        code=alert_id,
    )
    raise ApiError(Kind.UNKNOWN_ALERT, detail)


def _ahead(conn: Connection, here: TownAccess, row: ledger.Alert) -> Ahead:
    now = desk(conn, here.town, datetime.now(UTC), ("flood_level",), row.device)
    said = ahead(conn, now)
    # Only of the datastream that the alert is about: a device may have several.
    return next(
        (
            said.get(placed.device.device_id, NOTHING)
            for placed in now.devices
            if placed.standing.shown and placed.standing.shown.datastream_id == row.datastream_id
        ),
        NOTHING,
    )
