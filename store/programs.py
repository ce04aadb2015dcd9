"""Which of our programs run: each has sessions at the database, and those end when it ends."""

from typing import Final

from store import queries
from store.database import Connection

# What they call their sessions; a gateway's id stands behind its name.
UP: Final = "mizumori-up"
BROKER: Final = "mizumori-broker"
GATEWAY: Final = "mizumori-gateway"
JOBS: Final = "mizumori-jobs"
_SQL = queries.load("programs")


def at_work(conn: Connection) -> frozenset[str]:
    """Read the names of the programs that are connected now, wherever they run."""
    return frozenset(name for (name,) in conn.execute(_SQL["at_work"]).fetchall())
