"""The partitions that this gateway holds: their leases, their intakes, and what is on its way out.

The worker's thread alone changes what is held; other threads look at it, and may say that
something is lost.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
import structlog
from numpy.typing import NDArray

from gateway import metrics
from gateway.intake import Intake
from gateway.message import Message
from gateway.partition import partition_of
from gateway.registry import Registry
from gateway.session import Session
from gateway.towns import Sessions
from store.gateways import LEASE_S, Sight, Unit
from store.intake_lease import Lease

log = structlog.get_logger(__name__)
_intake_of = attrgetter("intake")

# A connection takes the session away from whoever has it, so nobody connects who cannot be sure
# that the lease still runs: it was confirmed so much earlier than it can be lost.
SURE_S = LEASE_S - 2.0
# Of whatever is frozen this clock goes on, also of a machine that sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_s() -> float:
    """Return seconds on a clock that goes on while this process, or this machine, is frozen."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease and what is read under it.

    A town's first partition brings its status messages, and the operators whose messages are
    handed on to their devices.
    """

    lease: Lease
    readings: Intake
    status: Intake | None
    relays: tuple[Intake, ...]
    added_s: float

    @property
    def intakes(self) -> tuple[Intake, ...]:
        """All of them."""
        return (self.readings, *((self.status,) if self.status else ()), *self.relays)

    @property
    def sessions(self) -> Sessions:
        """What they connect to."""
        return Sessions(
            self.readings.session,
            None if self.status is None else self.status.session,
            tuple(relay.session for relay in self.relays),
        )


class Holdings:
    """What is held, and what has been given up but is not disconnected yet.

    Parameters
    ----------
    queue_messages
        Of each intake.
    arrived, to_relay, changed
        See `gateway.intake.Intake`; `to_relay` is the `arrived` of those whose messages are handed
        on.
    """

    def __init__(
        self,
        queue_messages: int,
        arrived: Callable[[], None],
        to_relay: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._queue_messages = queue_messages
        self._arrived = arrived
        self._to_relay = to_relay
        self._changed = changed
        self._held: dict[Unit, Holding] = {}
        self._leaving: dict[Unit, Holding] = {}
        self._lock = threading.Lock()
        self._confirmed: dict[Unit, tuple[int, float]] = {}
        self._lost: set[Unit] = set()

    # --- what any thread may ask ----------------------------------------------------------------

    def all(self) -> list[Holding]:
        """Return everything that is held, by town and partition."""
        with self._lock:
            return [self._held[unit] for unit in sorted(self._held)]

    @property
    def leases(self) -> list[Lease]:
        """What may be written."""
        return [holding.lease for holding in self.all()]

    def leases_of(self, messages: Sequence[Message]) -> list[Lease]:
        """Return under which leases messages are written: each one costs a commit a locked row."""
        intakes = {intake for intake, _ in groupby(messages, _intake_of)}
        units = sorted({(intake.tenant_id, intake.session.lease_no) for intake in intakes})
        return [self._held[unit].lease for unit in units if unit in self._held]

    def has(self, lease: Lease) -> bool:
        """Whether a lease is still held."""
        holding = self._held.get(lease.unit)
        return holding is not None and holding.lease.epoch == lease.epoch

    def reads(self, intake: Intake) -> bool:
        """Whether what comes in on an intake is still ours to write."""
        holding = self._held.get((intake.tenant_id, intake.session.lease_no))
        return holding is not None and intake in holding.intakes

    def epochs(self, registry: Registry) -> NDArray[np.int64]:
        """Return under which epoch each sensor of a registry is written; 0: it is not ours."""
        partitions: dict[int, int] = {}
        epoch: dict[Unit, int] = {}
        for holding in self.all():
            session = holding.readings.session
            partitioned = session.partition_no is not None
            partitions[session.tenant_id] = session.partitions if partitioned else 1
            epoch[holding.lease.unit] = holding.lease.epoch
        of_device = {
            device.device_id: epoch.get(
                (device.tenant_id, partition_of(device.code, partitions[device.tenant_id])), 0
            )
            for device in registry.devices.values()
            if device.tenant_id in partitions
        }
        found = [of_device.get(device, 0) for device in registry.device_id.tolist()]
        return np.array(found, np.int64)

    def sights(self) -> list[Sight]:
        """Tell how each intake is, for the store."""
        return [
            Sight(
                *holding.lease.unit,
                holding.lease.epoch,
                holding.readings.subscribed_since,
                sum(intake.waiting for intake in holding.intakes),
            )
            for holding in self.all()
        ]

    def confirm(self, epochs: Mapping[Unit, int], asked_s: float) -> bool:
        """Note what the store says is ours, asked at `asked_s`; return whether something is lost.

        What is not ours any more is disconnected at once; the worker then lets go of it.
        """
        with self._lock:
            # What was taken after the question is not in the answer.
            before = {unit: h for unit, h in self._held.items() if h.added_s < asked_s}
            for unit, holding in before.items():
                if epochs.get(unit) == holding.lease.epoch:
                    self._confirmed[unit] = (holding.lease.epoch, asked_s)
            lost = [h for unit, h in before.items() if epochs.get(unit) != h.lease.epoch]
            self._lost.update(holding.lease.unit for holding in lost)
        for holding in lost:
            for intake in holding.intakes:
                intake.stop()
        return bool(lost)

    # --- the worker's thread --------------------------------------------------------------------

    def add(self, lease: Lease, sessions: Sessions, *, asked_s: float) -> None:
        """Hold a lease that was taken at `asked_s`; `connect` then begins to read."""

        def may_connect() -> bool:
            epoch, confirmed_s = self._confirmed.get(lease.unit, (0, 0.0))
            return epoch == lease.epoch and now_s() - confirmed_s < SURE_S

        def build(session: Session, arrived: Callable[[], None], *, known: bool) -> Intake:
            return Intake(
                session,
                queue_messages=self._queue_messages,
                arrived=arrived,
                changed=self._changed,
                expect_session=known,
                may_connect=may_connect,
            )

        holding = Holding(
            lease,
            build(sessions.readings, self._arrived, known=lease.known),
            None if sessions.status is None else build(sessions.status, self._arrived, known=False),
            tuple(build(relay, self._to_relay, known=False) for relay in sessions.relays),
            now_s(),
        )
        with self._lock:
            self._held[lease.unit] = holding
            self._confirmed[lease.unit] = (lease.epoch, asked_s)
            self._lost.discard(lease.unit)
        metrics.HELD.set(len(self._held))

    def connect(self) -> None:
        """Begin to read what is held: its detector state has been loaded."""
        for holding in self.all():
            for intake in holding.intakes:
                intake.start()

    def occupies(self, unit: Unit, epoch: int) -> bool:
        """Whether we read something, or are about to, or still disconnect from it."""
        for holdings in (self._held, self._leaving):
            holding = holdings.get(unit)
            if holding is not None and holding.lease.epoch == epoch:
                return True
        return False

    def outdated(self, layout: Mapping[Unit, Sessions]) -> list[Unit]:
        """Return what is no more, or is to be read in another way: a new password, say."""
        return [
            holding.lease.unit
            for holding in self.all()
            if layout.get(holding.lease.unit) != holding.sessions
        ]

    def give_up(self, units: Collection[Unit]) -> None:
        """Stop reading; once `left` says that an intake has disconnected it can be released.

        Everything that the worker took is committed and acknowledged: it does so before it comes
        to anything else. What still waits here the broker gives to the next holder.
        """
        for unit in units:
            holding = self._forget(unit)
            if holding is not None:
                self._leaving[unit] = holding

    def lose(self, leases: Collection[Lease] = ()) -> list[Unit]:
        """Let go of what others hold already: of `leases`, and of what `confirm` found lost."""
        with self._lock:
            units = {lease.unit for lease in leases if self.has(lease)} | self._lost
            self._lost.clear()
        gone = [unit for unit in sorted(units) if self._forget(unit) is not None]
        if gone:
            metrics.LOST.inc(len(gone))
            log.error(
                "partitions_lost",
                partitions=gone,
                hint="This gateway did not answer for too long, or its clock stood still; another "
                "one has taken over. Nothing was written twice.",
            )
        return gone

    def left(self) -> dict[Unit, int]:
        """Return what has been given up and has disconnected since, with the epochs."""
        done = {
            unit: holding.lease.epoch
            for unit, holding in self._leaving.items()
            if not any(intake.alive for intake in holding.intakes)
        }
        for unit in done:
            del self._leaving[unit]
        return done

    def pause(self) -> None:
        """Disconnect everything, keeping the sessions."""
        for holding in self.all():
            for intake in holding.intakes:
                intake.pause()

    def resume(self) -> None:
        """Connect again after `pause`."""
        for holding in self.all():
            for intake in holding.intakes:
                intake.resume()

    def close(self, within_s: float) -> dict[Unit, int]:
        """Disconnect everything; return what may be released, with the epochs."""
        self.give_up([holding.lease.unit for holding in self.all()])
        deadline = time.monotonic() + within_s
        for holding in self._leaving.values():
            for intake in holding.intakes:
                intake.join(max(0.0, deadline - time.monotonic()))
        return self.left()

    def _forget(self, unit: Unit) -> Holding | None:
        with self._lock:
            holding = self._held.pop(unit, None)
        if holding is not None:
            for intake in holding.intakes:
                intake.stop()
        metrics.HELD.set(len(self._held))
        return holding
