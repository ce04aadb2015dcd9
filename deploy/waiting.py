"""Waiting until the running system has done what a command asked for."""

import time
from collections.abc import Callable
from typing import TypeVar

from deploy.compose_database import open_database
from deploy.settings import Settings
from store.database import Connection

POLL_S = 0.2
Answer = TypeVar("Answer")


def wait_for(
    settings: Settings, question: Callable[[Connection], Answer | None], within_s: float
) -> Answer | None:
    """Put a question to the database until there is an answer; None: there was none in time.

    Raises
    ------
    StoreError
        The database refuses or does not answer.
    """
    deadline = time.monotonic() + within_s
    with open_database(settings, "owner", name="mizumori-cli", max_size=1) as database:
        while time.monotonic() < deadline:
            with database.transaction() as conn:
                answer = question(conn)
            if answer is not None:
                return answer
            time.sleep(POLL_S)
    return None
