"""The town of a request: found by its code, and the only one its transactions can see."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request

from api.errors import ApiError, Kind, spoken
from detectors.sentence import Sentence
from store import town_catalog
from store.database import Connection, Database
from store.errors import RefusedError
from store.town_catalog import Tenant

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")  # of towns, sites and devices


@dataclass(frozen=True)
class Access:
    """How handlers reach the database.

    Attributes
    ----------
    database
        The API's database.
    statement_timeout_s
        After this time the server gives a statement up, before the request's own limit.
    """

    database: Database
    statement_timeout_s: float

    @contextmanager
    def transaction(self, tenant_id: int | None) -> Iterator[Connection]:
        """Open a transaction that sees one town; with None only the directory of towns."""
        with self.database.transaction(tenant_id=tenant_id) as conn:
            milliseconds = max(1, round(self.statement_timeout_s * 1000))
            conn.execute("select set_config('statement_timeout', %s, true)", (str(milliseconds),))
            yield conn


@dataclass(frozen=True)
class TownAccess:
    """One town, and transactions that see nothing but it."""

    town: Tenant
    access: Access

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction of the town."""
        with self.access.transaction(self.town.tenant_id) as conn:
            yield conn


def access_of(request: Request) -> Access:
    """Return how this application reaches its database."""
    access = request.app.state.access
    assert isinstance(access, Access)
    return access


def town_access(
    tenant: Annotated[str, Path(description="The town's code", examples=["sakata"])],
    access: Annotated[Access, Depends(access_of)],
) -> TownAccess:
    """Find the town that the address names.

    Raises
    ------
    ApiError
        If there is none, or what was stored of it is wrong.
    """
    found = None
    if CODE.fullmatch(tenant):
        with access.transaction(None) as conn:
            found = town_catalog.tenant(conn, tenant)
    if found is None:
        detail = Sentence(
            "There is no town {code!r}. GET /api/v1/towns lists them.", code=tenant[:63]
        )
        raise ApiError(Kind.UNKNOWN_TOWN, detail)
    try:
        found.zone  # noqa: B018 - looked at before anything is answered in its time
    except RefusedError as error:
        raise ApiError(Kind.TOWN_SETTING, spoken(error)) from error
    return TownAccess(found, access)


HasAccess = Annotated[Access, Depends(access_of)]
HasTown = Annotated[TownAccess, Depends(town_access)]
