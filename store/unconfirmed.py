"""Alerts whose level rests on one steep step that no later reading has borne out."""

from collections.abc import Collection
from datetime import datetime

from store import queries
from store.database import Connection

_SQL = queries.load("unconfirmed")


def unconfirmed(conn: Connection, alert_ids: Collection[int]) -> dict[int, datetime]:
    """Read of some alerts of the town when the step was that nothing has borne out.

    Those that are confirmed or over are absent.
    """
    if not alert_ids:
        return {}
    return dict(conn.execute(_SQL["unconfirmed"], {"alert_ids": list(alert_ids)}).fetchall())
