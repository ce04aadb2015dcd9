"""The channel on which gateway, jobs and supervisor hear that the catalog has changed."""

from typing import Literal

from store import queries
from store.database import Connection

ConfigKind = Literal["device", "rule", "tenant", "broker"]


def notify(conn: Connection, kind: ConfigKind) -> None:
    """Tell gateway, jobs and supervisor to read the catalog anew; sent with the commit."""
    conn.execute(queries.load("config_channel")["notify"], {"kind": kind})
