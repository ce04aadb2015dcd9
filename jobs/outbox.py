"""Sends the outbox to the broker, as soon as it is written and until it is acknowledged."""

import contextlib
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
import structlog

from jobs import metrics
from jobs.errors import BrokerAwayError
from jobs.town_publisher import BrokerAddress, TownPublisher
from store import broker_accounts, outbox
from store.broker_accounts import BrokerAccount
from store.database import Connection, Database
from store.errors import DatabaseAwayError
from store.outbox import Message

log = structlog.get_logger(__name__)

# Without a notification the outbox is looked at all the same: after a broker's outage none comes.
LOOK_EVERY_S = 5.0
RETRY_S = 1.0
MESSAGES_AT_A_TIME = 200


class OutboxPublisher:
    """At least once, in order per topic; a message is marked as sent after its PUBACK.

    Parameters
    ----------
    database
        As mizumori_jobs.
    broker
        Where to publish; each town with its own account.
    stop
        Ends `run` within a fraction of a second.
    """

    def __init__(self, database: Database, broker: BrokerAddress, stop: threading.Event) -> None:
        self._database = database
        self._broker = broker
        self._stop = stop
        self._towns: dict[int, TownPublisher] = {}
        self._outage = ""

    def run(self) -> None:
        """Send until told to stop; outages of database and broker are waited out."""
        try:
            while not self._stop.is_set():
                try:
                    with contextlib.closing(self._database.connect()) as listener:
                        listener.execute("listen mizumori_outbox")
                        self._send_while_listening(listener)
                except (DatabaseAwayError, psycopg.OperationalError) as error:
                    self._away("database", str(error))
                    self._stop.wait(RETRY_S)
        finally:
            self._close()

    def _send_while_listening(self, listener: Connection) -> None:
        while not self._stop.is_set():
            listener.execute("select 1")  # nothing else tells that no notification will come
            sent_all = self.send_waiting()
            deadline = time.monotonic() + (LOOK_EVERY_S if sent_all else RETRY_S)
            # In short steps, so that a stop is heard; a notification ends them at once.
            while not self._stop.is_set() and time.monotonic() < deadline:
                if list(listener.notifies(timeout=0.2, stop_after=1)):
                    break

    def send_waiting(self) -> bool:
        """Send what waits, town by town; False if some of it could not be sent.

        Raises
        ------
        DatabaseAwayError
            If the database does not answer.
        """
        with self._database.transaction() as conn:
            waiting = [tenant_id for tenant_id, _ in outbox.waiting_tenants(conn)]
            accounts = {a.tenant_id: a for a in broker_accounts.list_accounts(conn)}
            backlog = outbox.backlog(conn)
        metrics.outbox_waiting.set(backlog.messages)
        metrics.outbox_age_s.set(backlog.age_s)
        problem = ""
        for tenant_id in waiting:
            account = accounts.get(tenant_id)
            if account is None:  # the town was made a moment ago; its account follows
                problem = problem or f"town {tenant_id} has no account at the broker yet"
                continue
            try:
                self._send_town(account)
            except BrokerAwayError as error:
                problem = str(error)
        if problem:
            self._away("broker", problem)
        elif self._outage:
            log.info("outbox sends again", after_outage_of=self._outage)
            self._outage = ""
        return not problem

    def _send_town(self, account: BrokerAccount) -> None:
        while not self._stop.is_set():
            with self._database.transaction() as conn:
                messages = outbox.unsent(conn, account.tenant_id, MESSAGES_AT_A_TIME)
            if not messages:
                return
            publisher = self._publisher(account)
            sent = set(publisher.publish(messages))
            if sent:
                with self._database.transaction() as conn:
                    outbox.mark_sent(conn, sorted(sent))
                self._count([message for message in messages if message.outbox_id in sent])
            if len(sent) < len(messages):
                self._drop(account.tenant_id)
                raise BrokerAwayError(
                    f"the broker acknowledged {len(sent)} of {len(messages)} messages of the town "
                    f"{account.tenant_code}"
                )

    def _publisher(self, account: BrokerAccount) -> TownPublisher:
        publisher = self._towns.get(account.tenant_id)
        if publisher is not None and not publisher.connected:
            self._drop(account.tenant_id)
            publisher = None
        if publisher is None:
            publisher = TownPublisher(self._broker, account)
            self._towns[account.tenant_id] = publisher
        return publisher

    def _drop(self, tenant_id: int) -> None:
        publisher = self._towns.pop(tenant_id, None)
        if publisher is not None:
            publisher.close()

    def _close(self) -> None:
        for tenant_id in list(self._towns):
            self._drop(tenant_id)

    def _away(self, what: str, detail: str) -> None:
        if self._outage != what:
            log.warning("outbox waits", outage=what, detail=detail)
        self._outage = what

    @staticmethod
    def _count(messages: Sequence[Message]) -> None:
        now = datetime.now(UTC)
        metrics.outbox_sent.inc(len(messages))
        for message in messages:
            metrics.outbox_delay_s.observe(max(0.0, (now - message.created_at).total_seconds()))
