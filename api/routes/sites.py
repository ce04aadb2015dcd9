"""Sites: listed, added, changed."""

from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from api.errors import ApiError, Kind
from api.problems import responses
from api.town import CODE, HasTown, TownAccess
from api.words import Name
from api.writer import HasWriter
from detectors.sentence import Sentence
from store import site_catalog
from store.site_catalog import NewSite, Site

router = APIRouter(tags=["sites"])

SiteKind = Literal["street", "underpass", "river", "pond", "depot"]
Code = Annotated[str, Path(description="The site's code")]


class SiteItem(BaseModel):
    """A place that people know."""

    code: str = Field(examples=["ekimae-underpass"])
    kind: SiteKind
    name: Name
    lat: float | None = Field(description="WGS 84")
    lon: float | None
    close_at_m: float | None = Field(description="Depth at which the street is closed, metres")
    crew_minutes: float | None = Field(description="How long a crew needs to get there")
    ground_m: float | None = Field(
        description="Elevation of its lowest point, metres above sea level: who is flooded first"
    )

    @classmethod
    def of(cls, row: Site) -> Self:
        """Take over a row."""
        return cls.model_validate({**vars(row), "name": Name(ja=row.name_ja, en=row.name_en)})


class SiteChange(BaseModel):
    """What is to be different; what is left out stays, null takes a value away."""

    model_config = ConfigDict(extra="forbid")

    kind: SiteKind | None = None
    name: Name | None = None
    lat: float | None = None
    lon: float | None = None
    close_at_m: float | None = None
    crew_minutes: float | None = None
    ground_m: float | None = None


class SiteRequest(SiteChange):
    """A site to add."""

    code: str = Field(description="Letters, digits, '-' and '_'; it never changes")
    kind: SiteKind
    name: Name


@router.get("/{tenant}/sites", responses=responses(Kind.UNKNOWN_TOWN))
def sites(here: HasTown) -> list[SiteItem]:
    """List the town's sites by code."""
    with here.transaction() as conn:
        return [SiteItem.of(row) for row in site_catalog.sites(conn, here.town.tenant_id)]


@router.post(
    "/{tenant}/sites",
    status_code=201,
    responses=responses(Kind.UNKNOWN_TOWN, Kind.TOKEN, Kind.TAKEN, Kind.TOO_LARGE),
)
def add_site(writer: HasWriter, wanted: SiteRequest) -> SiteItem:
    """Add a site; needs a token of the town."""
    new = NewSite(code=wanted.code, **values(wanted, wanted.code))
    with writer.transaction() as conn:
        return SiteItem.of(site_catalog.add_site(conn, writer.town.tenant_id, new))


@router.patch(
    "/{tenant}/sites/{code}",
    responses=responses(Kind.UNKNOWN_TOWN, Kind.UNKNOWN_SITE, Kind.TOKEN, Kind.TOO_LARGE),
)
def change_site(writer: HasWriter, code: Code, wanted: SiteChange) -> SiteItem:
    """Change some of a site's values; needs a token of the town."""
    town = writer.town.tenant_id
    with writer.transaction() as conn:
        if not CODE.fullmatch(code) or site_catalog.site(conn, town, code) is None:
            raise unknown(writer.here, code)
        site_catalog.set_site(conn, town, code, values(wanted, code))
        found = site_catalog.site(conn, town, code)
    assert found is not None, "it was there a moment ago, in this transaction"
    return SiteItem.of(found)


def values(wanted: SiteChange, code: str) -> dict[str, Any]:
    """Return what a request says of a site, by the names of the catalog."""
    said = {name: getattr(wanted, name) for name in wanted.model_fields_set - {"code", "name"}}
    if wanted.name is not None:
        said |= wanted.name.columns(code)
    if "kind" in said and said["kind"] is None:
        del said["kind"]  # a site always has one
    return said


def unknown(here: TownAccess, code: str) -> ApiError:
    """Build the error for a site that is not there."""
    town = here.town.code
    detail = Sentence(
        "{town} has no site {code!r}. GET /api/v1/{town}/sites lists those it has.",
        town=town,
        code=code[:63],
    )
    return ApiError(Kind.UNKNOWN_SITE, detail)
