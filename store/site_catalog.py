"""Sites: places that people know."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg.rows import class_row

from store import audit, mistakes, queries
from store.config_channel import notify
from store.database import Connection
from store.mistakes import NotThereError, TakenError

_SQL = queries.load("site_catalog")


@dataclass(frozen=True)
class NewSite:
    """A site to add.

    `close_at_m` is the depth at which a street is closed, `ground_m` the elevation of the lowest
    point where water can stand, above sea level.
    """

    code: str
    kind: str
    name_ja: str
    name_en: str
    lat: float | None = None
    lon: float | None = None
    close_at_m: float | None = None
    crew_minutes: float | None = None
    ground_m: float | None = None


@dataclass(frozen=True)
class Site(NewSite):
    """A site of a town."""

    site_id: int = field(kw_only=True)
    tenant_id: int = field(kw_only=True)


def add_site(conn: Connection, tenant_id: int, new: NewSite) -> Site:
    """Add a site.

    Raises
    ------
    TakenError
        If the code is somebody else's.
    MistakesError
        If a value is not allowed.
    """
    what, values = f"The site {new.code!r}", asdict(new)
    mistakes.refuse(what, mistakes.of_site(values))
    try:
        with conn.transaction(), conn.cursor(row_factory=class_row(Site)) as cursor:
            [added] = cursor.execute(_SQL["add"], {**values, "tenant_id": tenant_id}).fetchall()
    except psycopg.errors.UniqueViolation as error:
        raise TakenError(what, new.code) from error
    audit.record(conn, tenant_id, "site.add", [(new.code, values)])
    notify(conn, "device")
    return added


def sites(conn: Connection, tenant_id: int) -> list[Site]:
    """List a town's sites by code."""
    with conn.cursor(row_factory=class_row(Site)) as cursor:
        return cursor.execute(_SQL["sites"], {"tenant_id": tenant_id, "code": None}).fetchall()


def site(conn: Connection, tenant_id: int, code: str) -> Site | None:
    """Find a site by its code."""
    with conn.cursor(row_factory=class_row(Site)) as cursor:
        return cursor.execute(_SQL["sites"], {"tenant_id": tenant_id, "code": code}).fetchone()


def set_site(conn: Connection, tenant_id: int, code: str, changes: Mapping[str, Any]) -> bool:
    """Change some of a site's values: those of `NewSite` but its code.

    Returns
    -------
    bool
        Whether anything is different now.

    Raises
    ------
    NotThereError
        If there is no such site.
    MistakesError
        If a value is not allowed.
    """
    with conn.cursor(row_factory=class_row(Site)) as cursor:
        parameters = {"tenant_id": tenant_id, "code": code}
        before = cursor.execute(_SQL["lock"], parameters).fetchone()
    if before is None:
        raise NotThereError(f"This town has no site {code!r}.")
    row = asdict(before)
    mistakes.refuse(f"The site {code!r}", mistakes.of_site({**row, **changes}))
    changed = {name: value for name, value in changes.items() if row[name] != value}
    if not changed:
        return False
    conn.execute(_SQL["set"], {**row, **changed})
    audit.record(conn, tenant_id, "site.set", [(code, changed)])
    notify(conn, "device")
    return True
