"""Which towns there are, as the API may know it before it has chosen one."""

from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

from psycopg.rows import class_row

from store import queries
from store.database import Connection


@dataclass(frozen=True)
class Town:
    """One town of the directory."""

    tenant_id: int
    code: str
    name_ja: str
    name_en: str
    time_zone: str
    training: bool
    map_lat: float
    map_lon: float
    map_zoom: float

    @cached_property
    def zone(self) -> ZoneInfo:
        """The town's time zone."""
        return ZoneInfo(self.time_zone)


def towns(conn: Connection) -> list[Town]:
    """List every town, by code."""
    with conn.cursor(row_factory=class_row(Town)) as cursor:
        return cursor.execute(queries.load("directory")["towns"]).fetchall()


def town(conn: Connection, code: str) -> Town | None:
    """Find a town by its code."""
    with conn.cursor(row_factory=class_row(Town)) as cursor:
        return cursor.execute(queries.load("directory")["town"], {"code": code}).fetchone()
