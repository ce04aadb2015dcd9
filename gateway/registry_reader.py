"""Reading the registry while the worker goes on with the one that it has."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from gateway.registry import Registry, load
from store.database import Database


class RegistryReader:
    """Reads the registry in a thread of its own: half a second of work for 5,000 devices.

    Parameters
    ----------
    database
        As the role `mizumori_gateway`.
    done
        Called, in that thread, when there is something to `take`.
    """

    def __init__(self, database: Database, done: Callable[[], None]) -> None:
        self._database = database
        self._done = done
        self._under_way: Future[Registry] | None = None
        self._began_s = 0.0
        self._rested_s = 0.0

    @property
    def rested(self) -> bool:
        """Whether it may be read again: as long has passed since as the last time took.

        A program that changes one device after the other would keep us at it otherwise.
        """
        return time.monotonic() >= self._rested_s

    @property
    def under_way(self) -> bool:
        """Whether it is being read, or waits to be taken."""
        return self._under_way is not None

    def begin(self) -> None:
        """Begin to read what holds from now on."""
        self._began_s = time.monotonic()
        found = self._under_way = Future[Registry]()
        threading.Thread(target=self._read, args=(found,), name="registry", daemon=True).start()

    def take(self) -> Registry | None:
        """Return what has been read; None: nothing, or not yet.

        Raises
        ------
        Exception
            What kept it from being read, such as DatabaseAwayError.
        """
        found = self._under_way
        if found is None or not found.done():
            return None
        self.discard(self._began_s)
        return found.result()

    def discard(self, began_s: float) -> None:
        """Forget what is being read: something newer is known, and took from `began_s` to now."""
        now = time.monotonic()
        self._under_way = None
        self._rested_s = now + (now - began_s)

    def _read(self, found: Future[Registry]) -> None:
        try:
            with self._database.transaction() as conn:
                registry = load(conn)
        except Exception as error:  # noqa: BLE001 - the worker's, who takes it
            found.set_exception(error)
        else:
            found.set_result(registry)
        self._done()
