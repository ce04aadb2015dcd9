"""The worker: drains the intakes, commits, and only then acknowledges."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter

import numpy as np
import psycopg
import structlog

from detectors.errors import DetectorError
from gateway import metrics
from gateway.batch import Batch, Refused
from gateway.commit import Committer
from gateway.decoder import Decoder
from gateway.holdings import Holdings
from gateway.inflow import Inflow
from gateway.links import Links
from gateway.lookups import Lookups
from gateway.message import Message
from gateway.newcomers import Newcomers
from gateway.progress import Progress
from gateway.quarantine import Quarantine
from gateway.reasons import Reason
from gateway.registry import Registry, load
from gateway.registry_reader import RegistryReader
from gateway.settings import GatewaySettings
from gateway.standing import Standing
from store import fleet
from store.database import Database
from store.detector_states import StateMovedError
from store.errors import DatabaseAwayError
from store.intake_lease import LeaseLostError, fence
from store.observations import AlreadyStoredError

log = structlog.get_logger(__name__)

# A database that is away is asked again after this long, doubling up to the second figure.
RETRY_S = (0.2, 5.0)
# Deadlocks and rows that somebody else stored in between: the same work succeeds soon after.
ATTEMPTS = 5

_intake_of = attrgetter("intake")
_OF_THE_DATA = (
    psycopg.DataError,
    psycopg.IntegrityError,
    DetectorError,
    ValueError,
    ArithmeticError,
)


class Worker:
    """One thread's work for all intakes of a gateway.

    Parameters
    ----------
    database
        As the role `mizumori_gateway`.
    settings
        Section ``[gateway]``.
    holdings
        What this gateway reads.
    tend
        Called in the worker's thread between two batches: keeps the holdings equal to this
        gateway's share, and returns whether something was taken.
    progress
        Is told of every step: the sign of life depends on it.
    """

    def __init__(
        self,
        database: Database,
        settings: GatewaySettings,
        holdings: Holdings,
        tend: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self._database = database.one_session()
        self._settings = settings
        self._holdings = holdings
        self._tend = tend
        self._progress = progress
        self._links = Links()
        self._decoder = Decoder(settings)
        self._quarantine = Quarantine(settings.quarantine_per_hour)
        self._newcomers = Newcomers(self._database)
        self._committer = Committer(
            self._database, self._links, self._quarantine, settings.sequence_horizon_s
        )
        self._inflow = Inflow(settings.batch_readings)
        self._stale = threading.Event()
        self._share_due = threading.Event()
        self._standing: Standing | None = None
        self._lookups = Lookups()
        self._reader = RegistryReader(database, self._inflow.arrived)
        self._failures = 0  # of the database, since it last stored something
        self._resumed_s = 0.0

    # --- called from other threads ------------------------------------------------------------

    def arrived(self) -> None:
        """Wake the worker: a message waits."""
        self._inflow.arrived()

    @property
    def registry(self) -> Registry | None:
        """What the worker goes by now; None while it has none: the database is away."""
        standing = self._standing
        return None if standing is None else standing.registry

    def reload(self) -> None:
        """Let the worker read the registry anew before its next batch."""
        self._stale.set()
        self._inflow.arrived()

    def share(self) -> None:
        """Let the worker look after its share before its next batch."""
        self._share_due.set()
        self._inflow.arrived()

    def close(self) -> None:
        """End the worker's session with the database, after `run`."""
        self._database.close()
        self._inflow.close()

    # --- the worker's thread ------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what was taken by then is committed and acknowledged."""
        if self._standing is None:
            self._recover(stop)
        while not stop.is_set():
            self._progress.step()
            try:
                self._keep_up()
                worked = self._round()
                self._note_success(worked=worked)
                if not worked:
                    self._inflow.wait()
            except LeaseLostError as error:
                self._lose(error)
            except (DatabaseAwayError, psycopg.Error) as error:
                self._outage(error, stop)
                self._stale.set()  # what was announced while the database was away went unheard

    def _keep_up(self) -> None:
        """Follow changes of the configuration and of what is ours to read."""
        taken = False
        if self._share_due.is_set():
            self._share_due.clear()
            taken = self._tend()
        if self._standing is None or taken or self._rule_due():
            self._stale.clear()
            self._load()
            return
        if (read := self._reader.take()) is not None:
            self._load(read)
        if self._stale.is_set() and self._reader.rested and not self._reader.under_way:
            self._stale.clear()
            self._reader.begin()

    def _lose(self, error: LeaseLostError) -> None:
        """Let go of what another gateway has taken over, and live on with the rest.

        What of a batch was written before that was found out is unknown here: state and registry
        come from the store again.
        """
        self._holdings.lose(error.lost)
        self._committer.forget()
        self._standing = None

    def _round(self) -> bool:
        """Take and commit one batch; return whether there was any."""
        held = self._holdings.all()
        status = [m for holding in held if holding.status for m in holding.status.take(1000)]
        messages = self._inflow.take([holding.readings for holding in held])
        try:
            if messages:
                self._handle(messages)
            if status:
                self._handle_status(status)
                self._acknowledge(status)
        except LeaseLostError as error:
            self._lose(error)
            # The broker sends again what we still read; without a word it would wait for us.
            for intake in {
                m.intake for m in (*messages, *status) if self._holdings.reads(m.intake)
            }:
                intake.reconnect()
        return bool(messages or status)

    @staticmethod
    def _acknowledge(messages: Sequence[Message]) -> None:
        for intake, own in groupby(messages, _intake_of):
            intake.acknowledge(own)
        metrics.MESSAGES.inc(len(messages))

    def _handle(self, messages: Sequence[Message]) -> None:
        """Commit messages in as many transactions as they need, acknowledging after each."""
        most, done = self._settings.batch_readings, 0
        while done < len(messages):
            started = time.monotonic()
            rest = messages[done:]
            batch = self._decoder.decode(rest, self._present().registry, most)
            if self._may_be_stale(batch):
                self._load()
                batch = self._decoder.decode(rest, self._present().registry, most)
            if batch.refused:
                registry, leases = self._present().registry, self._holdings.leases
                batch = self._newcomers.take_down(batch, registry, leases)
            self._standing = self._commit(batch, self._present())
            self._acknowledge(batch.messages)
            done += len(batch.messages)
            metrics.BATCH_SECONDS.observe(time.monotonic() - started)

    def _commit(self, batch: Batch, standing: Standing) -> Standing:
        """Commit a batch; what the database or the rules cannot take goes to quarantine."""
        copy, leases = True, self._holdings.leases_of(batch.messages)
        for _ in range(ATTEMPTS):
            self._progress.step()
            try:
                return self._committer.commit(batch, standing, leases, copy=copy)
            except (psycopg.errors.UniqueViolation, AlreadyStoredError):
                copy = False
            except StateMovedError as moved:
                with self._database.transaction() as conn:
                    standing = standing.reload(conn, moved.datastream_ids)
            except psycopg.errors.OperationalError as error:
                if not (error.sqlstate or "").startswith("40"):
                    raise
                time.sleep(0.01)  # deadlock or serialization: certainly rolled back
            except _OF_THE_DATA as error:
                return self._bisect(batch, standing, error)
        raise DatabaseAwayError(f"a batch could not be written in {ATTEMPTS} attempts")

    def _bisect(self, batch: Batch, standing: Standing, error: Exception) -> Standing:
        """Commit the halves, down to the message that is to blame."""
        messages = batch.messages
        if len(messages) == 1:
            detail = f"{type(error).__name__}: {error}".splitlines()[0][:500]
            log.error(
                "message_refused_by_store",
                device=standing.registry.code_in(messages[0]),
                error=detail,
            )
            refused = Refused(
                messages[0],
                messages[0].intake.tenant_id,
                standing.registry.code_in(messages[0]),
                Reason.REFUSED_BY_STORE,
                detail,
            )
            with self._database.transaction() as conn:
                fence(conn, self._holdings.leases)
                self._quarantine.write(conn, [refused])
            metrics.QUARANTINED.labels(Reason.REFUSED_BY_STORE).inc()
            return standing
        middle = len(messages) // 2
        for half in (messages[:middle], messages[middle:]):
            part = self._decoder.decode(half, standing.registry, sys.maxsize)
            standing = self._commit(part, standing)
        return standing

    def _handle_status(self, messages: Sequence[Message]) -> None:
        registry = self._present().registry
        with self._database.transaction() as conn:
            fence(conn, self._holdings.leases)
            refused = self._links.apply(conn, messages, registry)
            self._quarantine.write(conn, refused)
        for one in refused:
            metrics.QUARANTINED.labels(one.reason).inc()

    def _may_be_stale(self, batch: Batch) -> bool:
        """Whether something would not be refused by what has changed, or been added, since."""
        changed = self._stale.is_set() or self._reader.under_way
        if batch.refused and changed and self._reader.rested:
            self._stale.clear()
            return True
        asked = self._lookups.due(batch.refused)
        if not asked:
            return False
        with self._database.transaction() as conn:
            there = fleet.properties(conn, asked)
        known = self._present().registry.devices
        return any(
            key not in known or known[key].streams.keys() != names for key, names in there.items()
        )

    def _rule_due(self) -> bool:
        """Whether a version of a rule has come into force since the registry was loaded."""
        change = self._present().registry.next_rule_change
        return change is not None and change.timestamp() <= time.time()

    def _present(self) -> Standing:
        assert self._standing is not None, "no batch is taken before the registry is there"
        return self._standing

    def _load(self, read: Registry | None = None) -> None:
        """Go on from a registry, and the state of what was not known yet, and begin to read.

        Without `read`, by the reader, it is read now, and nothing is committed meanwhile. With it,
        what was decided on meanwhile by rules that have changed is a job's: see `Standing.load`.
        """
        started = time.monotonic()
        with self._database.transaction() as conn:
            fence(conn, self._holdings.leases)
            registry = read or load(conn)
            epoch = self._holdings.epochs(registry)
            self._standing = Standing.load(conn, registry, epoch, self._standing)
        if read is None:
            self._reader.discard(started)
        self._holdings.connect()
        log.info(
            "registry_loaded",
            devices=len(registry.devices),
            datastreams=len(registry.datastream_id),
            held=int(np.count_nonzero(epoch)),
            towns=len(registry.towns),
        )

    def _outage(self, error: Exception, stop: threading.Event) -> None:
        """Wait for the database with the intakes disconnected, then go on from what it says.

        Staying connected without acknowledging makes the broker send the same messages over and
        over. Whether the last commit took place is unknown: state and registry come from the
        store again, and what the broker sends again is compared with it.
        """
        if not self._failures:
            metrics.DATABASE_OUTAGES.inc()
            log.error("database_away", error=str(error).strip())
        self._failures += 1
        self._holdings.pause()
        self._standing = None
        # One that answers and yet cannot store, as with a full disk, must not make the broker
        # send the same messages over and over either.
        pause_s = min(RETRY_S[0] * 2 ** (self._failures - 2), RETRY_S[1])
        if self._failures > 1:
            self._progress.step()
            stop.wait(pause_s)
        self._recover(stop)
        self._holdings.resume()
        self._resumed_s = time.monotonic()

    def _note_success(self, *, worked: bool) -> None:
        """Say that the database is back: it has stored something, or nothing came for a while."""
        if self._failures and (worked or time.monotonic() - self._resumed_s > RETRY_S[1]):
            self._failures = 0
            log.info("database_back")

    def _recover(self, stop: threading.Event) -> None:
        """Load registry and state, however long the database takes."""
        self._committer.forget()
        delay, told = RETRY_S[0], False
        while not stop.is_set():
            self._progress.step()
            try:
                self._load()
            except LeaseLostError as lost:
                self._holdings.lose(lost.lost)
            except (DatabaseAwayError, psycopg.Error) as error:
                if not told and not isinstance(error, DatabaseAwayError):
                    log.error("registry_not_loaded", error=str(error).strip())
                    told = True
                stop.wait(delay)
                delay = min(2 * delay, RETRY_S[1])
            else:
                return
