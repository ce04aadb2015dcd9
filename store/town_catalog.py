"""Towns: each is apart from the others in broker, database and API."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from detectors.sentence import Sentence
from store import audit, mistakes, queries
from store.config_channel import notify
from store.database import Connection
from store.errors import RefusedError
from store.mistakes import TakenError

_SQL = queries.load("town_catalog")


@dataclass(frozen=True)
class NewTenant:
    """A town to add. `training` marks everything of it as an exercise (訓練)."""

    code: str
    name_ja: str
    name_en: str
    time_zone: str = "Asia/Tokyo"
    training: bool = False
    map_lat: float = 38.0
    map_lon: float = 140.0
    map_zoom: float = 12.0


@dataclass(frozen=True)
class Tenant(NewTenant):
    """A town."""

    tenant_id: int = field(kw_only=True)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The town's time zone.

        Raises
        ------
        RefusedError
            In words, if it was stored before the catalog looked at it and does not exist.
        """
        try:
            return ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError) as error:
            raise RefusedError(
                Sentence(
                    "The time zone of {code} is {zone!r}, which does not exist: `mizumori tenant "
                    "set {code} --time-zone Asia/Tokyo` mends it.",
                    code=self.code,
                    zone=self.time_zone,
                )
            ) from error


def add_tenant(conn: Connection, new: NewTenant) -> Tenant:
    """Add a town; `store.rules.add_defaults` gives it its rules.

    Raises
    ------
    TakenError
        If the code is somebody else's.
    MistakesError
        If a value is not allowed.
    """
    what = f"The town {new.code!r}"
    mistakes.refuse(what, mistakes.of_town(asdict(new)))
    try:
        with conn.transaction(), conn.cursor(row_factory=class_row(Tenant)) as cursor:
            [added] = cursor.execute(_SQL["add"], asdict(new)).fetchall()
    except psycopg.errors.UniqueViolation as error:
        raise TakenError(what, new.code) from error
    audit.record(conn, added.tenant_id, "town.add", [(added.code, asdict(new))])
    notify(conn, "tenant")
    return added


def tenants(conn: Connection) -> list[Tenant]:
    """List the towns by code; also the API may, before it has chosen one."""
    with conn.cursor(row_factory=class_row(Tenant)) as cursor:
        return cursor.execute(_SQL["towns"], {"code": None}).fetchall()


def tenant(conn: Connection, code: str) -> Tenant | None:
    """Find a town by its code."""
    with conn.cursor(row_factory=class_row(Tenant)) as cursor:
        return cursor.execute(_SQL["towns"], {"code": code}).fetchone()


def set_tenant(conn: Connection, tenant_id: int, changes: Mapping[str, Any]) -> bool:
    """Change some of a town's values: those of `NewTenant` but its code, and `register_per_day`.

    `register_per_day` is how many unknown devices it takes down in a day; 0: none.

    Returns
    -------
    bool
        Whether anything is different now.

    Raises
    ------
    MistakesError
        If a value is not allowed.
    """
    [[code, before]] = conn.execute(_SQL["lock"], {"tenant_id": tenant_id}).fetchall()
    mistakes.refuse(f"The town {code!r}", mistakes.of_town(changes))
    changed = {name: value for name, value in changes.items() if before[name] != value}
    if not changed:
        return False
    conn.execute(_SQL["set"], {**before, **changed, "tenant_id": tenant_id})
    audit.record(conn, tenant_id, "town.set", [(code, changed)])
    notify(conn, "tenant")
    return True


def register_per_day(conn: Connection, tenant_id: int) -> int:
    """Tell how many unknown devices a town takes down in a day."""
    [[number]] = conn.execute(_SQL["register_per_day"], {"tenant_id": tenant_id}).fetchall()
    return int(number)
