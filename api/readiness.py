"""Whether the API can do its work now, in words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import psycopg
from pydantic import BaseModel, Field

from api.live import LiveFeed
from store.database import Database
from store.errors import DatabaseAwayError
from store.migrate import schema_version

# Says in a sentence what is wrong with something outside of this process, or None if it is well.
# `deploy` hands them in: the API itself knows no broker.
Check: TypeAlias = Callable[[], str | None]


class Part(BaseModel):
    """One thing that the API needs."""

    state: Literal["ok", "away"]
    detail: str = Field(examples=["The database answers; its schema has version 5."])


class Readiness(BaseModel):
    """Whether the API can do its work, part by part."""

    state: Literal["ready", "not_ready"]
    parts: dict[str, Part] = Field(description="database, live_feed, and what else is watched")


@dataclass(frozen=True)
class Watch:
    """What has to be well for the API to be ready."""

    database: Database
    feed: LiveFeed
    checks: Mapping[str, Check]

    def look(self) -> Readiness:
        """Ask every part now."""
        parts = {"database": self._database(), "live_feed": self._live_feed()}
        for name, check in self.checks.items():
            wrong = check()
            parts[name] = Part(
                state="ok" if wrong is None else "away", detail=wrong or f"The {name} answers."
            )
        ready = all(part.state == "ok" for part in parts.values())
        return Readiness(state="ready" if ready else "not_ready", parts=parts)

    def _database(self) -> Part:
        try:
            with self.database.transaction() as conn:
                found = schema_version(conn)
        except DatabaseAwayError:
            return Part(
                state="away",
                detail="The database does not answer: is it running? `mizumori doctor` tells more.",
            )
        except psycopg.Error:  # the schema of something else, or no right to look
            found = 0
        if not found:
            return Part(
                state="away", detail="The database has no schema yet: run `mizumori migrate`."
            )
        return Part(state="ok", detail=f"The database answers; its schema has version {found}.")

    def _live_feed(self) -> Part:
        if self.feed.connected:
            return Part(state="ok", detail="The live feed listens for new readings.")
        return Part(
            state="away", detail="The live feed has lost the database and tries every second."
        )
