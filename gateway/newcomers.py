"""Unknown devices of a town that takes them down: in quarantine until a person approves them.

Who can come here at all is in docs/adr/provisioning.md: a broker that knows its devices one by one
lets no unknown one in, but a bridge, a network server, HTTP push or a shared account speaks for
many.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import structlog

from gateway.batch import Batch, Refused
from gateway.codecs import native
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason
from gateway.registry import Registry
from store import newcomers, town_catalog
from store.database import Database
from store.intake_lease import Lease, fence
from store.newcomers import Learned

log = structlog.get_logger(__name__)

# A town that takes down nobody (more) is asked again after so long: its day goes on.
ASK_AGAIN_S = 60.0
_MOST_PROPERTIES = 50
_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_TOLD = "it has registered itself and waits for approval: `mizumori device approve`"


_Key = tuple[int, str]  # town and device's code


class Newcomers:
    """Takes unknown devices down, and says in the quarantine what became of their messages.

    Parameters
    ----------
    database
        As the role `mizumori_gateway`.
    clock
        Seconds that never step back.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._registry: Registry | None = None
        self._closed: dict[int, tuple[float, int]] = {}  # town: (until, its devices a day)

    def take_down(self, batch: Batch, registry: Registry, leases: Collection[Lease]) -> Batch:
        """Register the unknown devices of a batch, where their town takes any.

        Returns
        -------
        Batch
            With what is true now as the reason of their messages.

        Raises
        ------
        LeaseLostError
            Another gateway has taken over what the batch came from.
        """
        if registry is not self._registry:
            self._registry = registry
            self._closed.clear()  # the town's setting may be another one
        unknown = {_key(one): one for one in batch.refused if _is_unknown(one)}
        if not unknown:
            return batch
        known = self._register(unknown, leases)
        return replace(batch, refused=[self._judged(one, known) for one in batch.refused])

    def _register(
        self, unknown: Mapping[_Key, Refused], leases: Collection[Lease]
    ) -> frozenset[_Key]:
        waiting = [key for key in unknown if self._is_open(key[0])]
        if not waiting:
            return frozenset()
        known = set()
        with self._database.transaction() as conn:
            fence(conn, leases)
            for town, code in waiting:
                if not self._is_open(town):
                    continue
                if newcomers.register(conn, town, code, _learned(unknown[town, code])):
                    known.add((town, code))
                    log.info("device_registered", town_id=town, device=code)
                else:
                    per_day = town_catalog.register_per_day(conn, town)
                    self._closed[town] = (self._clock() + ASK_AGAIN_S, per_day)
        return frozenset(known)

    def _judged(self, one: Refused, known: Collection[_Key]) -> Refused:
        if not _is_unknown(one):
            return one
        if _key(one) in known:
            return replace(one, reason=Reason.DEVICE_QUARANTINED, detail=_TOLD)
        _, per_day = self._closed.get(one.tenant_id, (0.0, 0))
        if not per_day:
            return one
        said = f"the town takes {per_day} unknown devices down in a day, and has today's already"
        return replace(one, reason=Reason.REGISTRATION_FULL, detail=said)

    def _is_open(self, town: int) -> bool:
        return self._clock() >= self._closed.get(town, (0.0, 0))[0]


def _is_unknown(one: Refused) -> bool:
    return one.reason == Reason.UNKNOWN_DEVICE and one.device_code is not None


def _key(one: Refused) -> _Key:
    return one.tenant_id, one.device_code or ""


def _learned(one: Refused) -> Learned:
    """Return what a message says of its sender, if it is one of our own format."""
    topic = one.message.topic.decode(errors="replace")[:200]
    try:
        readings = native.decode(one.message.payload)
    except RefusedReadingError:
        return Learned(topic)
    names = {name: None for reading in readings for name in reading.m or ()}
    fit = [name for name in names if _PROPERTY.fullmatch(name)]
    moves = any(reading.fix is not None for reading in readings)
    return Learned(topic, tuple(fit[:_MOST_PROPERTIES]), moves)
