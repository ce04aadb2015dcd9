"""Writing from the command line: as the owner, and under the name of who sits there."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.compose_database import owner_transaction
from deploy.settings import Settings
from store import audit
from store.database import Connection


def at_the_terminal() -> str:
    """Name the person at the terminal for the audit, as far as the machine knows."""
    try:
        return f"terminal:{getpass.getuser()}"
    except (KeyError, OSError):
        return "terminal"


@contextmanager
def writing(settings: Settings) -> Iterator[Connection]:
    """Open a transaction that writes towns, sites, devices and rules; all of it or nothing."""
    with owner_transaction(settings) as connection:
        audit.write_as(connection, at_the_terminal())
        yield connection
