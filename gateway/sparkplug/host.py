"""What a host application knows of Sparkplug's edge nodes: births, aliases, sequence numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.codecs import sparkplug
from gateway.codecs.sparkplug import BD_SEQ, Payload
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason
from gateway.sparkplug.topic import Address, Kind, code_of, is_code
from store.births import BirthRow

# Sequence numbers count from 0 to 255.
_SEQUENCE = 256

Node = tuple[str, str]
Aliases = dict[int, tuple[str, int]]  # of each alias its name and its data type


@dataclass(frozen=True, slots=True)
class Birth:
    """A birth as it came; `device` is empty for the edge node itself."""

    group: str
    edge: str
    device: str
    payload: bytes


@dataclass(slots=True)
class Step:
    """What follows from one message.

    Attributes
    ----------
    forward
        (device's code, payload with every name in it).
    status
        (device's code, whether it is online).
    birth
        What is to be kept, before the message is acknowledged.
    reason, detail
        Why the message has to be kept in quarantine; empty: it need not.
    rebirth
        Whether the edge node has to be asked for its birth.
    """

    forward: list[tuple[str, bytes]] = field(default_factory=list)
    status: list[tuple[str, bool]] = field(default_factory=list)
    birth: Birth | None = None
    reason: str = ""
    detail: str = ""
    rebirth: bool = False


@dataclass(slots=True)
class _Node:
    """An edge node since its birth.

    By device, "" the node itself: `aliases`; `born_ms`, when their birth was sent; `measuring`,
    those that measure anything: many a node only speaks for its devices, and is none itself.
    What is in them is replaced and not changed, so that a copy of the node is a picture of it.
    """

    aliases: Mapping[str, Aliases] = field(default_factory=dict)
    born_ms: Mapping[str, int | None] = field(default_factory=dict)
    measuring: frozenset[str] = frozenset()
    bd_seq: float | None = None
    seq: int | None = None
    alive: bool = True


Picture = dict[Node, _Node]


class Host:
    """Takes the messages of edge nodes, in the order in which the broker has them."""

    def __init__(self) -> None:
        self._nodes: dict[Node, _Node] = {}

    def restore(self, births: Iterable[BirthRow]) -> None:
        """Begin from births that were kept; what cannot be read of them is asked for again."""
        self._nodes.clear()
        for birth in births:
            try:
                payload = sparkplug.parse(bytes(birth.payload))
            except RefusedReadingError:
                continue
            node = self._nodes.setdefault((birth.group_id, birth.edge_id), _Node())
            self._learn(node, birth.device_id, payload)

    def picture(self) -> Picture:
        """Return what is known now, for `begin_again`."""
        return {key: replace(node) for key, node in self._nodes.items()}

    def begin_again(self, picture: Picture) -> None:
        """Know what was known then, but expect no sequence number: messages will come again.

        Their aliases are those of then: a birth that came after them may have changed them.
        """
        self._nodes = {key: replace(node, seq=None) for key, node in picture.items()}

    def take(self, topic: str, payload: bytes) -> Step:
        """Take one message; never raises for what is in it."""
        address = Address.parse(topic)
        if address is None:
            return Step()  # a command or a host's state: not for us
        if not is_code(address.code):
            return Step(
                reason=Reason.BAD_TOPIC,
                detail=f"{address.code[:80]!r} cannot be the code of a device",
            )
        try:
            found = sparkplug.parse(payload)
        except RefusedReadingError as error:
            return Step(reason=error.reason, detail=error.detail)
        return self._follow(address, found, payload)

    def resolve(self, address: Address, payload: Payload) -> bytes | None:
        """Return a payload with the names of its aliases, without what is not measured.

        Returns
        -------
        bytes or None
            Empty if nothing of it is measured.

        Raises
        ------
        RefusedReadingError
            If no birth says what an alias means.
        """
        node = self._nodes.get(address.node)
        known = node.aliases if node else {}
        aliases = known.get(address.device, {})
        metrics = []
        for metric in payload.metrics:
            name, datatype = metric.name, metric.datatype
            if not name:
                alias = -1 if metric.alias is None else metric.alias
                found = aliases.get(alias)
                if found is None or (datatype and found[1] and datatype != found[1]):
                    raise RefusedReadingError(
                        Reason.NO_BIRTH, f"no birth of {address.code} says what alias {alias} is"
                    )
                name, datatype = found
            completed = sparkplug.parse(
                sparkplug.encode(None, None, [sparkplug.named(metric, name, datatype)])
            ).metrics[0]
            if completed.measures:
                metrics.append(completed.raw)
        if not metrics:
            return None
        return sparkplug.encode(payload.timestamp_ms, payload.seq, metrics)

    def _follow(self, address: Address, found: Payload, payload: bytes) -> Step:
        match address.kind:
            case Kind.NBIRTH:
                return self._node_born(address, found, payload)
            case Kind.DBIRTH:
                return self._device_born(address, found, payload)
            case Kind.NDEATH:
                return self._node_died(address, found)
            case Kind.DDEATH:
                return self._device_died(address, found)
            case _:
                return self._data(address, found)

    def _node_born(self, address: Address, found: Payload, payload: bytes) -> Step:
        node = self._nodes[address.node] = _Node(seq=found.seq)
        self._learn(node, "", found)
        return self._born(address, found, payload)

    def _device_born(self, address: Address, found: Payload, payload: bytes) -> Step:
        node = self._nodes.get(address.node)
        if node is None or not node.alive:
            # Its names are all there; of its edge node nothing is known.
            node = self._nodes[address.node] = _Node()
            gap = True
        else:
            gap = self._gap(node, found)
        self._learn(node, address.device, found)
        step = self._born(address, found, payload)
        step.rebirth = gap
        return step

    def _born(self, address: Address, found: Payload, payload: bytes) -> Step:
        step = Step(birth=Birth(*address.node, address.device, payload))
        if address.device in self._nodes[address.node].measuring:
            step.status.append((address.code, True))
        self._forward(step, address, found)
        return step

    def _node_died(self, address: Address, found: Payload) -> Step:
        node = self._nodes.get(address.node)
        died = _bd_seq(found)
        # A death that belongs to a former birth: the node has connected again since.
        if node is None or (died is not None and node.bd_seq not in (None, died)):
            return Step()
        node.alive, node.seq = False, None
        codes = [code_of(address.edge, device) for device in node.measuring]
        return Step(status=[(code, False) for code in sorted(codes) if is_code(code)])

    def _device_died(self, address: Address, found: Payload) -> Step:
        node = self._nodes.get(address.node)
        gap = node is None or self._gap(node, found)
        if node is not None:
            node.aliases = {k: v for k, v in node.aliases.items() if k != address.device}
        return Step(status=[(address.code, False)], rebirth=gap)

    def _data(self, address: Address, found: Payload) -> Step:
        node = self._nodes.get(address.node)
        if node is None or not node.alive:
            complete = all(metric.name for metric in found.metrics)
            step = Step(rebirth=True)
            if complete:
                self._forward(step, address, found)
            else:
                step.reason = Reason.NO_BIRTH
                step.detail = f"no birth of the edge node {address.edge} has come before its data"
            return step
        step = Step(rebirth=self._gap(node, found))
        born_ms, sent_ms = node.born_ms.get(address.device), found.timestamp_ms
        older = born_ms is not None and sent_ms is not None and sent_ms < born_ms
        if older and not all(metric.name for metric in found.metrics):
            # It was sent before the birth that we know: its aliases may have been others.
            step.reason, step.rebirth = Reason.NO_BIRTH, True
            step.detail = f"the data of {address.code} were sent before its birth"
            return step
        self._forward(step, address, found)
        return step

    def _forward(self, step: Step, address: Address, found: Payload) -> None:
        try:
            complete = self.resolve(address, found)
        except RefusedReadingError as error:
            step.reason, step.detail, step.rebirth = error.reason, error.detail, True
        else:
            if complete is not None:
                step.forward.append((address.code, complete))

    @staticmethod
    def _gap(node: _Node, found: Payload) -> bool:
        """Note a message's sequence number; return whether some before it are missing."""
        expected, node.seq = node.seq, found.seq
        if expected is None or found.seq is None:
            return False
        # The same number again is the same message again.
        return found.seq not in (expected, (expected + 1) % _SEQUENCE)

    @staticmethod
    def _learn(node: _Node, device: str, found: Payload) -> None:
        aliases = {
            metric.alias: (metric.name, metric.datatype)
            for metric in found.metrics
            if metric.alias is not None and metric.name
        }
        node.aliases = {**node.aliases, device: aliases}
        node.born_ms = {**node.born_ms, device: found.timestamp_ms}
        if any(metric.measures for metric in found.metrics):
            node.measuring |= {device}
        if not device:
            node.bd_seq = _bd_seq(found)


def _bd_seq(found: Payload) -> float | None:
    for metric in found.metrics:
        if metric.name == BD_SEQ and isinstance(metric.value, float):
            return metric.value
    return None
