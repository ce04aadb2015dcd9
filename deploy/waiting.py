"""Waiting until the running system has done what a command asked for, if there is one."""

import time
from collections.abc import Callable, Collection
from typing import TypeVar

from deploy.compose_database import open_database
from deploy.settings import Settings
from store import programs
from store.database import Connection

POLL_S = 0.2
# A program that is started again, or has lost its database for a moment, is back by then.
ABSENT_FOR_S = 3.0
Answer = TypeVar("Answer")


class NobodyError(Exception):
    """None of the programs runs that would do it."""


class Attendance:
    """Looks whether one of some programs runs: to wait for none of them is in vain.

    Parameters
    ----------
    anyof
        Their names, as `store.programs` has them.
    """

    def __init__(self, anyof: Collection[str]) -> None:
        self._anyof = frozenset(anyof)
        self._missed_since_s: float | None = None

    def look(self, conn: Connection) -> None:
        """Look once.

        Raises
        ------
        NobodyError
            None of them has been there for a while.
        """
        if programs.at_work(conn) & self._anyof:
            self._missed_since_s = None
            return
        now_s = time.monotonic()
        if self._missed_since_s is None:
            self._missed_since_s = now_s
        elif now_s - self._missed_since_s >= ABSENT_FOR_S:
            raise NobodyError


def wait_for(
    settings: Settings,
    question: Callable[[Connection], Answer | None],
    within_s: float,
    anyof: Collection[str],
) -> Answer | None:
    """Put a question to the database until there is an answer; None: there was none in time.

    Parameters
    ----------
    anyof
        The programs that may bring the answer about, each by itself.

    Raises
    ------
    NobodyError
        There is no answer, and none of these programs runs.
    StoreError
        The database refuses or does not answer.
    """
    deadline = time.monotonic() + within_s
    attendance = Attendance(anyof)
    with open_database(settings, "owner", name="mizumori-cli", max_size=1) as database:
        while time.monotonic() < deadline:
            with database.transaction() as conn:
                answer = question(conn)
                if answer is not None:
                    return answer
                attendance.look(conn)
            time.sleep(POLL_S)
    return None
