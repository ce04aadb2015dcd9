"""From an operator's messages to messages of devices."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from gateway.batch import Refused
from gateway.codecs import sparkplug
from gateway.foreign_topic import ForeignTopic
from gateway.intake import Intake
from gateway.message import Message
from gateway.reasons import Reason
from gateway.registry import Registry
from gateway.remit import objection
from gateway.sparkplug.host import Birth, Host, Step
from gateway.sparkplug.topic import Address, Kind

log = structlog.get_logger(__name__)

# An edge node that was asked for its birth gets so long before it is asked again.
ASK_AGAIN_S = 10.0
# Nodes that are asked in that time at most.
_ASKED = 1000


@dataclass(slots=True)
class Translated:
    """What some messages become.

    Attributes
    ----------
    messages, status, commands
        (topic, payload) for the broker: readings, retained status, and commands to edge nodes,
        which Sparkplug wants to go with QoS 0.
    refused
        For the quarantine.
    births
        (birth, when it was received) to be kept.
    settled
        Messages that need not come again once all this is done.
    """

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    status: list[tuple[str, bytes]] = field(default_factory=list)
    commands: list[tuple[str, bytes]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    births: list[tuple[Birth, int]] = field(default_factory=list)
    settled: list[Message] = field(default_factory=list)

    def hand_on(
        self, message: Message, registry: Registry, town: str, code: str, payload: bytes
    ) -> None:
        """Hand a payload on to a device, if the operator speaks for it."""
        if said := self.objection(message, registry, code):
            self.refuse(message, code, Reason.FOREIGN_CODEC, said)
        else:
            self.messages.append((f"mz/v1/{town}/d/{code}/up", payload))

    @staticmethod
    def objection(message: Message, registry: Registry, code: str) -> str:
        """Say why the sender of a message may not speak for a device; "" if it may."""
        intake = message.intake
        return objection(registry, intake.tenant_id, intake.session.operator_codec, code)

    def refuse(self, message: Message, code: str | None, reason: str, detail: str) -> None:
        """Set a message aside."""
        self.refused.append(Refused(message, message.intake.tenant_id, code, reason, detail))


class TopicTranslator:
    """Hands each message on as it is, under the topic of the device that its topic names."""

    def __init__(self, town: str, topics: ForeignTopic) -> None:
        self._town = town
        self._topics = topics

    unread = ()

    def begin_again(self) -> None:
        """Nothing is remembered."""

    def translate(self, messages: list[Message], registry: Registry) -> Translated:
        """Say what messages become, in their order."""
        out = Translated(settled=messages)
        for message in messages:
            code = self._topics.device_in(message.topic.decode(errors="replace"))
            if code is None:
                out.refuse(message, None, Reason.BAD_TOPIC, "names no device where one should be")
            else:
                out.hand_on(message, registry, self._town, code, message.payload)
        return out


class SparkplugTranslator:
    """Puts names in place of aliases, and asks for births that are missing.

    Parameters
    ----------
    town
        Its code.
    host
        What is known of the edge nodes.
    overtaken_s
        For so long after a connection has come about new messages may overtake those that come
        again. Data behind a gap, or without a birth, wait until that is over: the birth that
        explains them may be among those that come.
    """

    def __init__(self, town: str, host: Host, overtaken_s: float) -> None:
        self._town = town
        self._host = host
        self._overtaken = timedelta(seconds=overtaken_s)
        self._before = host.picture()
        self._asked: dict[str, float] = {}
        self.unread: list[Message] = []

    def begin_again(self) -> None:
        """Forget the last messages, and those that wait: they come again."""
        self._host.begin_again(self._before)
        self.unread = []

    def translate(self, messages: list[Message], registry: Registry) -> Translated:
        """Say what messages become, in their order, and those whose wait is over."""
        self._before = self._host.picture()
        # What came on an earlier connection comes again.
        self.unread = [m for m in self.unread if m.generation == m.intake.generation]
        waiting = {Address.parse(m.topic.decode(errors="replace")) for m in self.unread}
        nodes = {address.node for address in waiting if address}
        out = Translated()
        for message in messages:
            topic = message.topic.decode(errors="replace")
            address = Address.parse(topic)
            step = self._host.take(topic, message.payload, again=message.again)
            if address and self._is_early(message, address, step, nodes):
                nodes.add(address.node)
                self.unread.append(message)
                if step.rebirth:
                    self._ask(out, address)
            else:
                self._follow(out, message, address, step, registry)
        if self.unread and not self._may_be_overtaken(self.unread[0].intake):
            waited, self.unread = self.unread, []
            for message in waited:
                topic = message.topic.decode(errors="replace")
                step = self._host.take(topic, message.payload, again=True)
                self._follow(out, message, Address.parse(topic), step, registry)
        return out

    def _is_early(
        self, message: Message, address: Address, step: Step, nodes: set[tuple[str, str]]
    ) -> bool:
        """Whether messages before it may still come, by which it would mean something else."""
        return (
            address.kind in (Kind.NDATA, Kind.DDATA)
            and not message.again
            and message.mid > 0  # it stays at the broker for as long as it waits here
            and (step.rebirth or address.node in nodes)
            and self._may_be_overtaken(message.intake)
            and len(self.unread) < message.intake.session.window_messages // 2
        )

    def _may_be_overtaken(self, intake: Intake) -> bool:
        since = intake.subscribed_since
        return since is None or datetime.now(UTC) - since < self._overtaken

    def _follow(
        self,
        out: Translated,
        message: Message,
        address: Address | None,
        step: Step,
        registry: Registry,
    ) -> None:
        """Do what follows from a message."""
        out.settled.append(message)
        for code, payload in step.forward:
            out.hand_on(message, registry, self._town, code, payload)
        for code, online in step.status:
            said = b'{"online": true}' if online else b'{"online": false}'
            if not out.objection(message, registry, code):
                out.status.append((f"mz/v1/{self._town}/d/{code}/status", said))
        if step.birth is not None:
            out.births.append((step.birth, message.received_ms))
            self._asked.pop(address.command if address else "", None)
        if step.reason:
            who = address.code if address else ""
            # What a sender made up has no rate of its own in the quarantine.
            known = (message.intake.tenant_id, who) in registry.devices
            own = known or step.reason == Reason.BAD_TOPIC
            reason = step.reason if own else Reason.UNKNOWN_DEVICE
            out.refuse(message, who or None, reason, step.detail)
        if step.rebirth and address is not None:
            self._ask(out, address)

    def _ask(self, out: Translated, address: Address) -> None:
        now = time.monotonic()
        asked = self._asked.get(address.command)
        if asked is None or now - asked >= ASK_AGAIN_S:
            if len(self._asked) >= _ASKED:
                self._asked = {k: at for k, at in self._asked.items() if now - at < ASK_AGAIN_S}
                if len(self._asked) >= _ASKED:
                    return  # somebody makes nodes up: its next message is early enough
            self._asked[address.command] = now
            command = sparkplug.rebirth(round(time.time() * 1000))
            out.commands.append((address.command, command))
            log.info("birth_asked_for", edge=address.edge, group=address.group)
