"""The rules in force, and how one is changed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api import times
from api.errors import Kind
from api.problems import responses
from api.town import HasTown
from api.words import Name
from api.writer import HasWriter
from store import level_labels, rule_change, rule_place, rules_in_force
from store import rules as rule_book
from store.database import Connection
from store.rule_change import Change
from store.rules_in_force import ScopedRule

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


class RuleRequest(BaseModel):
    """What is to be different of a rule; what is left out stays as it is in force there."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(examples=["street-depth"])
    site: str | None = Field(None, description="Only at this site")
    device: str | None = Field(None, description="Only at this device; without both: everywhere")
    params: dict[str, Any] | None = Field(
        None, description="Parameters that are to be different, each as a whole"
    )
    enabled: bool | None = Field(None, description="false: this scope is left out of a wider one")
    inherits: bool = Field(
        default=False, description="true: give the site's or device's own version up again"
    )
    kind: str | None = Field(None, description="Of a new rule, as the four below")
    property: str | None = None
    device_kind: str | None = None
    site_kinds: list[str] | None = None
    label_scheme: str | None = None
    valid_from: str | None = Field(
        None,
        max_length=40,
        description="For readings measured from then on, at most two years ahead; without: from "
        f"now on. {times.DESCRIPTION}",
        examples=["2027-06-01"],
    )


@router.get("/{tenant}/rules", responses=responses(Kind.UNKNOWN_TOWN))
def rules(
    here: HasTown,
    at: Annotated[
        str | None,
        Query(max_length=40, description=f"{times.DESCRIPTION} Default: now."),
    ] = None,
) -> list[RuleItem]:
    """List the rules in force with their parameters; a narrower scope overrides a wider one."""
    with here.transaction() as conn:
        zone = ZoneInfo(here.town.time_zone)
        when = times.parse("at", at, zone) if at else rule_book.now(conn)
        return items(conn, rules_in_force.in_scopes(conn, here.town.tenant_id, when), when)


@router.post(
    "/{tenant}/rules",
    status_code=201,
    responses=responses(Kind.UNKNOWN_TOWN, Kind.TOKEN, Kind.TOO_LARGE),
)
def change_rule(writer: HasWriter, wanted: RuleRequest) -> RuleItem:
    """Change a rule or add one, for readings measured from now or from `valid_from` on.

    Needs a token of the town. The answer is what is in force there from then on: with `inherits`
    the version of the wider scope.
    """
    town = writer.town.tenant_id
    change = Change(**wanted.model_dump(exclude={"valid_from"}))
    if wanted.valid_from is not None:
        zone = ZoneInfo(writer.town.time_zone)
        change = replace(change, valid_from=times.parse("valid_from", wanted.valid_from, zone))
    with writer.transaction() as conn:
        saved = rule_change.apply(conn, town, change)
        rows = rules_in_force.in_scopes(conn, town, saved.valid_from)
        place = rule_place.find(conn, town, wanted.site, wanted.device)
        holds = rule_place.standing(rows, place)[wanted.code]
        [item] = items(conn, [holds], saved.valid_from)
    return item


def items(conn: Connection, rows: Sequence[ScopedRule], at: datetime) -> list[RuleItem]:
    """Build what is answered of rules, with what their levels are called at a time."""
    levels: dict[str, list[LevelItem]] = {}
    for label in level_labels.in_force(conn, at).values():
        levels.setdefault(label.scheme, []).append(
            LevelItem(
                level=label.level,
                label=Name(ja=label.label_ja, en=label.label_en),
                colour=label.colour,
                symbol=label.symbol,
            )
        )
    return [RuleItem(**vars(row), labels=levels.get(row.label_scheme, [])) for row in rows]
