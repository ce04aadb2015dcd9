"""The rules in force."""

# ruff: noqa: FAST003 (the dependency HasTown reads {tenant})

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.errors import Kind
from api.problems import responses
from api.town import HasTown
from api.words import Name
from store import rules as rule_book

router = APIRouter(tags=["rules"])


class LevelItem(BaseModel):
    """What a level is called now, and how it is drawn."""

    level: int
    label: Name
    colour: str
    symbol: str


class RuleItem(BaseModel):
    """The version of a rule that applies now in one scope; null does not restrict it."""

    code: str = Field(examples=["street-depth"])
    version: int
    kind: str = Field(examples=["threshold"])
    property: str = Field(
        description="The datastreams it applies to; link: the device itself", examples=["depth_m"]
    )
    device_kind: str | None
    site_kinds: list[str] | None
    site: str | None
    device: str | None
    params: dict[str, Any]
    enabled: bool = Field(description="false: this scope is left out of a wider one")
    label_scheme: str
    valid_from: datetime
    labels: list[LevelItem]


@router.get("/{tenant}/rules", responses=responses(Kind.UNKNOWN_TOWN))
def rules(here: HasTown) -> list[RuleItem]:
    """List the rules in force with their parameters; a narrower scope overrides a wider one."""
    now = datetime.now(UTC)
    with here.transaction() as conn:
        rows = rule_book.in_scopes(conn, here.town.tenant_id, now)
        labels = rule_book.labels(conn, now).values()
    levels: dict[str, list[LevelItem]] = {}
    for label in labels:
        levels.setdefault(label.scheme, []).append(
            LevelItem(
                level=label.level,
                label=Name(ja=label.label_ja, en=label.label_en),
                colour=label.colour,
                symbol=label.symbol,
            )
        )
    return [RuleItem(**vars(row), labels=levels.get(row.label_scheme, [])) for row in rows]
