"""Messages that were refused: listed, and counted by device and reason."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api import cursors
from api.errors import Kind
from api.problems import responses
from api.town import HasTown
from store import newcomers, quarantine, town_catalog
from store.quarantine import Count, Refused

router = APIRouter(tags=["quarantine"])


class RefusedItem(BaseModel):
    """A message that was not accepted."""

    id: int
    received: datetime
    topic: str
    device: str | None
    reason: str = Field(examples=["unknown_property"])
    detail: str
    size: int = Field(description="Bytes of the message")
    payload: str = Field(description="Its beginning as text; what is no text is shown as \\xNN")
    replayed: datetime | None

    @classmethod
    def of(cls, row: Refused) -> Self:
        """Take over a row."""
        return cls(
            id=row.quarantine_id,
            received=row.received_time,
            topic=row.topic,
            device=row.device_code,
            reason=row.reason,
            detail=row.detail,
            size=row.size,
            payload=row.payload.decode("utf-8", errors="backslashreplace"),
            replayed=row.replayed_at,
        )


class RefusedPage(BaseModel):
    """One page of refused messages, newest first."""

    items: list[RefusedItem]
    next: str | None = Field(description="Give it as `cursor` for the next page; null: the end")


class CountItem(BaseModel):
    """What was refused of one device for one reason."""

    device: str | None = Field(description="null: no device, or one that the town does not have")
    reason: str
    waiting: int = Field(description="Kept, and not replayed")
    replayed: int
    beyond: int = Field(description="Came faster than they are kept: counted, not kept")
    newest: datetime | None = Field(description="Of those that are kept")

    @classmethod
    def of(cls, row: Count) -> Self:
        """Take over a row."""
        return cls(**vars(row))


class Registration(BaseModel):
    """How the town takes devices down that it does not know."""

    per_day: int = Field(description="Most within 24 hours; 0: none is taken down")
    today: int = Field(description="Within the last 24 hours")
    waiting: int = Field(description="Devices that wait for approval")


class Summary(BaseModel):
    """The quarantine by device and reason, the most first."""

    waiting: int
    beyond: int
    counts: list[CountItem]
    registration: Registration


@router.get("/{tenant}/quarantine", responses=responses(Kind.UNKNOWN_TOWN))
def listed(
    here: HasTown,
    reason: Annotated[str | None, Query(max_length=40, description="Only this reason")] = None,
    device: Annotated[str | None, Query(max_length=63, description="Only this device")] = None,
    waiting: Annotated[bool, Query(description="Only those that were not replayed")] = False,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items of a page")] = 100,
    cursor: Annotated[str | None, Query(max_length=40, description="`next` of a page")] = None,
) -> RefusedPage:
    """List messages that were refused, with the reasons, newest first."""
    before = cursors.number(cursor) if cursor else None
    with here.transaction() as conn:
        rows = quarantine.newest(
            conn,
            here.town.tenant_id,
            before=before,
            reason=_text(reason),
            device=_text(device),
            waiting=waiting,
            limit=limit + 1,
        )
    following = str(rows[limit - 1].quarantine_id) if len(rows) > limit else None
    return RefusedPage(items=[RefusedItem.of(row) for row in rows[:limit]], next=following)


@router.get("/{tenant}/quarantine/summary", responses=responses(Kind.UNKNOWN_TOWN))
def summary(here: HasTown) -> Summary:
    """Count refused messages by device and reason, and devices that registered themselves."""
    town = here.town.tenant_id
    with here.transaction() as conn:
        counts = quarantine.counts(conn, town)
        registration = Registration(
            per_day=town_catalog.register_per_day(conn, town),
            today=newcomers.registered_today(conn, town),
            waiting=newcomers.waiting(conn, town),
        )
    return Summary(
        waiting=sum(count.waiting for count in counts),
        beyond=sum(count.beyond for count in counts),
        counts=[CountItem.of(count) for count in counts],
        registration=registration,
    )


def _text(given: str | None) -> str | None:
    """Leave out what no column can hold, so that it finds nothing instead of failing."""
    return None if given is None else given.replace("\0", "�")
