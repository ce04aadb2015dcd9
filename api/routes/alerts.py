"""The ledger of alerts."""

# ruff: noqa: FAST003 (the dependency HasTown reads {tenant})

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from api import cursors
from api.alerts import AlertItem, AlertPage, AlertWithTransitions
from api.errors import ApiError, Kind
from api.problems import responses
from api.town import HasTown
from store import alerts as ledger

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
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = cursors.of_place(ledger.Place(rows[-1].onset, rows[-1].alert_id))
    return AlertPage(items=[AlertItem.of(row) for row in rows], next=following)


@router.get(
    "/{tenant}/alerts/{alert_id}", responses=responses(Kind.UNKNOWN_TOWN, Kind.UNKNOWN_ALERT)
)
def alert(
    here: HasTown, alert_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> AlertWithTransitions:
    """Show one alert with its transitions, also one that was withdrawn or merged."""
    with here.transaction() as conn:
        for row in ledger.alerts_by_id(conn, [alert_id]):
            return AlertWithTransitions.whole(row, ledger.transitions(conn, alert_id))
    detail = f"{here.town.code} has no alert {alert_id}. It may belong to another town."
    raise ApiError(Kind.UNKNOWN_ALERT, detail)
