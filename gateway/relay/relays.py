"""Hands the messages of operators on to their devices, where the broker cannot map them itself.

A message is published once more under its device's topic, with QoS 1, and acknowledged only when
the broker has that: from then on it takes the way of every reading. If anything fails in between,
the broker sends it again, and what is stored already is recognised by its identity.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import structlog

from gateway import metrics
from gateway.foreign_topic import ForeignTopic
from gateway.holdings import Holding, Holdings
from gateway.intake import Intake
from gateway.message import Message
from gateway.operator_topics import parse_topics
from gateway.publisher import BrokerAwayError, Publisher
from gateway.quarantine import Quarantine
from gateway.registry import Registry
from gateway.relay.host_state import HostState
from gateway.relay.translation import SparkplugTranslator, TopicTranslator, Translated
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.sparkplug.host import Host
from store import births, broker_accounts
from store.births import BirthRow
from store.database import Database
from store.errors import DatabaseAwayError
from store.intake_lease import Lease, LeaseLostError, fence
from store.times import moment

log = structlog.get_logger(__name__)

MESSAGES = 200
CONFIRMED_WITHIN_S = 10.0
IDLE_S = 0.5
RETRY_S = 1.0
# How long after its time NATS may take to send messages again.
OVERTAKEN_S = 2.0
_AWAY = (DatabaseAwayError, psycopg.Error, BrokerAwayError, LeaseLostError)


@dataclass(slots=True)
class _Relay:
    """One operator's.

    `failed` is the newest connection of which a message could not be handed on. What else came on
    it is passed over: the broker sends all of it again on the next one, in its order.
    """

    translator: TopicTranslator | SparkplugTranslator
    publisher: Publisher
    state: HostState | None
    failed: int = 0
    said: str = ""  # what has gone wrong, said once

    def close(self) -> None:
        if self.state is not None:
            with contextlib.suppress(BrokerAwayError):
                self.state.say(online=False)
        self.publisher.close()


class Relays:
    """The relays that this gateway's holdings bring along, in a thread of their own.

    Parameters
    ----------
    database
        As the role `mizumori_gateway`.
    broker, settings
        Sections ``[broker]`` and ``[gateway]``.
    holdings
        What this gateway reads.
    registry
        Returns what the worker goes by now; None while the database is away.
    """

    def __init__(
        self,
        database: Database,
        broker: BrokerSettings,
        settings: GatewaySettings,
        holdings: Holdings,
        registry: Callable[[], Registry | None],
    ) -> None:
        self._database = database
        self._registry = registry
        self._broker = broker
        self._settings = settings
        self._holdings = holdings
        self._quarantine = Quarantine(settings.quarantine_per_hour)
        self._relays: dict[Intake, _Relay] = {}
        self._arrived = threading.Event()

    def arrived(self) -> None:
        """Wake the thread: a message waits."""
        self._arrived.set()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        while not stop.is_set():
            held = {
                intake: holding for holding in self._holdings.all() for intake in holding.relays
            }
            for gone in self._relays.keys() - held.keys():
                self._relays.pop(gone).close()
            worked = [self._serve(holding, intake, stop) for intake, holding in held.items()]
            if not any(worked):
                self._arrived.wait(IDLE_S)
                self._arrived.clear()
        for relay in self._relays.values():
            relay.close()

    def _serve(self, holding: Holding, intake: Intake, stop: threading.Event) -> bool:
        """Hand on what waits; return whether there was any."""
        messages: list[Message] = []
        at_stake: list[Message] = []
        try:
            relay = self._relays.get(intake)
            if relay is None:
                relay = self._relays[intake] = self._open(intake)
            if relay.state is not None:
                relay.state.say(online=intake.subscribed_since is not None)
            registry = self._registry()
            if registry is None:
                return False  # for whom an operator speaks is not known now
            messages = [m for m in intake.take(MESSAGES) if m.generation > relay.failed]
            at_stake = [*messages, *relay.translator.unread]
            if at_stake:
                intake.acknowledge(self._hand_on(relay, holding.lease, messages, registry))
        except Exception as error:  # a thread that ended would hand on nothing more
            if not isinstance(error, _AWAY):
                log.exception("relay_failed", intake=intake.name)
            self._fail(intake, error, at_stake)
            stop.wait(RETRY_S)
            return False
        if relay.said:
            log.info("relay_back", intake=intake.name)
            relay.said = ""
        return bool(messages)

    def _open(self, intake: Intake) -> _Relay:
        tenant_id = intake.tenant_id
        topics = parse_topics(intake.session.operator_topics)
        with self._database.transaction() as conn:
            accounts = {one.tenant_id: one for one in broker_accounts.list_accounts(conn)}
            if tenant_id not in accounts:
                raise BrokerAwayError("the town has no account at the broker any more")
            account = accounts[tenant_id]
            kept: list[BirthRow] = []
            if not isinstance(topics, ForeignTopic):
                kept = births.births(conn, tenant_id, topics.group)
        keepalive_s = self._settings.keepalive_s
        publisher = Publisher(self._broker, account, keepalive_s)
        town = account.tenant_code
        if isinstance(topics, ForeignTopic):
            return _Relay(TopicTranslator(town, topics), publisher, None)
        host = Host()
        host.restore(kept)
        state = HostState(self._broker, account, keepalive_s)
        # NATS sends again what was not acknowledged in time, and what is new before that.
        overtaken_s = account.ack_wait_s + OVERTAKEN_S if self._broker.kind == "nats" else 0.0
        return _Relay(SparkplugTranslator(town, host, overtaken_s), publisher, state)

    def _hand_on(
        self, relay: _Relay, lease: Lease, messages: list[Message], registry: Registry
    ) -> list[Message]:
        """Publish what messages become, then write down what has to be kept of them.

        Returns those of which nothing is left to be done.
        """
        translated = relay.translator.translate(messages, registry)
        deadline = time.monotonic() + CONFIRMED_WITHIN_S
        publish = relay.publisher.publish
        sent = publish(translated.messages) + publish(translated.status, retain=True)
        publish(translated.commands, qos=0)
        for info in sent:
            with contextlib.suppress(RuntimeError, ValueError):  # the connection ended
                info.wait_for_publish(max(0.0, deadline - time.monotonic()))
            if not info.is_published():
                raise BrokerAwayError("the broker has not confirmed what was handed on")
        self._keep(lease, translated)
        metrics.RELAYED.inc(len(translated.settled))
        return translated.settled

    def _keep(self, lease: Lease, translated: Translated) -> None:
        if not translated.refused and not translated.births:
            return
        rows = [
            BirthRow(
                lease.unit[0], one.group, one.edge, one.device, moment(received_ms), one.payload
            )
            for one, received_ms in translated.births
        ]
        with self._database.transaction() as conn:
            fence(conn, [lease])
            births.keep(conn, rows)
            self._quarantine.write(conn, translated.refused)
        for one in translated.refused:
            metrics.QUARANTINED.labels(one.reason).inc()

    def _fail(self, intake: Intake, error: Exception, messages: list[Message]) -> None:
        relay = self._relays.get(intake)
        if relay is not None:
            relay.failed = max([relay.failed, *(m.generation for m in messages)])
            if relay.said != str(error):
                relay.said = str(error)
                log.error("relay_waits", intake=intake.name, error=str(error).strip())
            if messages:
                relay.translator.begin_again()
        if messages:
            intake.reconnect()  # the broker sends again what is not acknowledged
