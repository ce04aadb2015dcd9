"""Whether the API can do its work now, in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import psycopg
from pydantic import BaseModel, Field

from api.dictionary import Language
from api.live import LiveFeed
from api.translation import in_language, together
from detectors.sentence import Sentence
from store.database import Database
from store.errors import DatabaseAwayError
from store.migrate import schema_version

# Says what is wrong with something outside of this process; empty: it is well. `deploy` hands them
# in: the API itself knows no broker.
Check: TypeAlias = Callable[[], Sequence[Sentence]]


State = Literal["ok", "away"]
_Found: TypeAlias = tuple[State, Sequence[Sentence]]


class Part(BaseModel):
    """One thing that the API needs."""

    state: State
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

    def look(self, language: Language) -> Readiness:
        """Ask every part now."""
        found = {"database": self._database(), "live_feed": self._live_feed()}
        for name, check in self.checks.items():
            wrong = check()
            well = Sentence("The {name} answers.", name=name)
            found[name] = ("away", wrong) if wrong else ("ok", [well])
        parts = {
            name: Part(
                state=state,
                detail=together([in_language(one, language) for one in said], language),
            )
            for name, (state, said) in found.items()
        }
        ready = all(part.state == "ok" for part in parts.values())
        return Readiness(state="ready" if ready else "not_ready", parts=parts)

    def _database(self) -> _Found:
        try:
            with self.database.transaction() as conn:
                found = schema_version(conn)
        except DatabaseAwayError:
            return "away", [
                Sentence(
                    "The database does not answer: is it running? `mizumori doctor` tells more."
                )
            ]
        except psycopg.Error:  # the schema of something else, or no right to look
            found = 0
        if not found:
            return "away", [Sentence("The database has no schema yet: run `mizumori migrate`.")]
        said = Sentence("The database answers; its schema has version {version}.", version=found)
        return "ok", [said]

    def _live_feed(self) -> _Found:
        if self.feed.connected:
            return "ok", [Sentence("The live feed listens for new readings.")]
        return "away", [Sentence("The live feed has lost the database and tries every second.")]
