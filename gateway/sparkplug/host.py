"""What a host application makes of the messages of Sparkplug's edge nodes.

A broker sends what was not acknowledged once more, and NATS does so behind what came meanwhile: a
former birth after a newer one, and data after the birth that followed them. An alias means what it
meant when the data were sent.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gateway.codecs import sparkplug
from gateway.codecs.sparkplug import Payload
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason
from gateway.sparkplug.node import Node, Table, bd_seq
from gateway.sparkplug.topic import Address, Kind, code_of, is_code
from store.births import BirthRow

# Names that all births of a group are remembered with: some 40 MB. A sender could make up ever new
# nodes; who is known by then stays known.
MOST_NAMES = 200_000


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


Picture = dict[tuple[str, str], Node]


class Host:
    """Takes the messages of edge nodes, as the broker gives them."""

    def __init__(self) -> None:
        self._nodes: Picture = {}
        self._names: dict[tuple[str, str], int] = {}  # of each node
        self._all_names = 0

    def restore(self, births: Iterable[BirthRow]) -> None:
        """Begin from births that were kept; what cannot be read of them is asked for again."""
        self._nodes.clear()
        self._count_all()
        for birth in births:
            try:
                payload = sparkplug.parse(bytes(birth.payload))
            except RefusedReadingError:
                continue
            node = self._nodes.setdefault((birth.group_id, birth.edge_id), Node())
            node.learn(birth.device_id, payload)
        self._count_all()

    def picture(self) -> Picture:
        """Return what is known now, for `begin_again`."""
        return {key: replace(node) for key, node in self._nodes.items()}

    def begin_again(self, picture: Picture) -> None:
        """Know what was known then, but expect no sequence number: messages will come again.

        Their aliases are those of then: a birth that came after them may have changed them.
        """
        self._nodes = {key: replace(node, seq=None) for key, node in picture.items()}
        self._count_all()

    def take(self, topic: str, payload: bytes, *, again: bool = False) -> Step:
        """Take one message; never raises for what is in it.

        Parameters
        ----------
        again
            The broker has sent it before: others may have overtaken it.
        """
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
        return self._follow(address, found, payload, again)

    def resolve(self, address: Address, payload: Payload) -> bytes | None:
        """Return a payload with the names of its aliases by the birth in force.

        Returns
        -------
        bytes or None
            None if nothing of it is measured.

        Raises
        ------
        RefusedReadingError
            If no birth says what an alias means.
        """
        node = self._nodes.get(address.node)
        table = node.births.get(address.device) if node else None
        return _complete(address, payload, table)

    def _follow(self, address: Address, found: Payload, payload: bytes, again: bool) -> Step:
        match address.kind:
            case Kind.NBIRTH | Kind.DBIRTH:
                return self._birth(address, found, payload, again)
            case Kind.NDEATH:
                return self._node_died(address, found)
            case Kind.DDEATH:
                return self._device_died(address, found, again)
            case _:
                return self._data(address, found, again)

    def _birth(self, address: Address, found: Payload, payload: bytes, again: bool) -> Step:
        node = self._nodes.get(address.node)
        if again and node is not None and node.is_born_after(address.device, found.timestamp_ms):
            # A newer one has overtaken it: it says what aliases meant until then.
            node.remember(address.device, table := Table.of(found))
            self._count(address.node)
            return _forwarded(Step(), address, found, table)
        is_known = node is not None and address.device in {*node.births, *node.former}
        if not is_known and self._all_names + len(found.metrics) >= MOST_NAMES:
            return Step(
                reason=Reason.BAD_PAYLOAD,
                detail=f"the births of the group {address.group[:80]} name {self._all_names} "
                f"things, of at most {MOST_NAMES}: this one is not taken in",
            )
        if address.kind is Kind.NBIRTH:
            gap, whole = False, self._node_born(address, found, again)
        else:
            gap, whole = self._device_born(address, found, again), True
        self._count(address.node)
        node = self._nodes[address.node]
        step = Step(rebirth=gap)
        if whole:
            step.birth = Birth(*address.node, address.device, payload)
        if address.device in node.measuring:
            step.status.append((address.code, True))
        return _forwarded(step, address, found, node.births[address.device])

    def _node_born(self, address: Address, found: Payload, again: bool) -> bool:
        """Begin anew; return whether that ends the births of all its devices."""
        before = self._nodes.get(address.node) or Node()
        # If it comes again, births of devices that follow it may have overtaken it.
        after = {
            device
            for device, table in before.births.items()
            if again and device and not Table.of(found).is_after(table.sent_ms)
        }
        node = self._nodes[address.node] = replace(
            before,
            measuring=before.measuring & after,
            seq=None if again else found.seq,
            unnumbered=0,
            alive=True,
        )
        node.end(before.births.keys() - after)
        node.learn("", found)
        return not after

    def _device_born(self, address: Address, found: Payload, again: bool) -> bool:
        """Learn its aliases; return whether the edge node has to be asked for its births."""
        node = self._nodes.get(address.node)
        if node is None or not node.alive:
            # Its names are all there; of its edge node nothing is known.
            before, gap = node or Node(), True
            before.end(list(before.births))
            node = self._nodes[address.node] = Node(former=before.former)
        else:
            gap = node.gap(found, again=again)
        node.learn(address.device, found)
        return gap

    def _count(self, key: tuple[str, str]) -> None:
        names = self._nodes[key].names
        self._all_names += names - self._names.get(key, 0)
        self._names[key] = names

    def _count_all(self) -> None:
        self._names = {key: node.names for key, node in self._nodes.items()}
        self._all_names = sum(self._names.values())

    def _node_died(self, address: Address, found: Payload) -> Step:
        node = self._nodes.get(address.node)
        died = bd_seq(found)
        # A death that belongs to a former birth: the node has connected again since.
        if node is None or (died is not None and node.bd_seq not in (None, died)):
            return Step()
        node.alive, node.seq = False, None
        codes = [code_of(address.edge, device) for device in node.measuring]
        return Step(status=[(code, False) for code in sorted(codes) if is_code(code)])

    def _device_died(self, address: Address, found: Payload, again: bool) -> Step:
        node = self._nodes.get(address.node)
        if node is None:
            return Step(status=[(address.code, False)], rebirth=True)
        if again and node.is_born_after(address.device, found.timestamp_ms):
            return Step()  # it lives again
        gap = node.gap(found, again=again)
        node.end([address.device])
        return Step(status=[(address.code, False)], rebirth=gap)

    def _data(self, address: Address, found: Payload, again: bool) -> Step:
        node = self._nodes.get(address.node)
        under = node.at(address.device, found.timestamp_ms) if node else None
        if node is not None and again and under is not None:
            node.gap(found, again=True)
            return _forwarded(Step(), address, found, under)
        if node is None or not node.alive:
            return _forwarded(
                Step(rebirth=True), address, found, None,
                f"no birth of the edge node {address.edge} has come before its data",
            )  # fmt: skip
        step = Step(rebirth=node.gap(found, again=again))
        birth = node.births.get(address.device)
        if birth is None or not birth.is_after(found.timestamp_ms):
            return _forwarded(step, address, found, birth)
        # It was sent before the birth that we know: its aliases may have been others.
        if under is not None and under.agrees(birth, found):
            return _forwarded(step, address, found, under)
        return _forwarded(
            step, address, found, None, f"the data of {address.code} were sent before its birth"
        )


def _forwarded(
    step: Step, address: Address, found: Payload, table: Table | None, why: str = ""
) -> Step:
    """Hand a message on, or keep it and ask for the birth if it cannot be read (`why`: of what)."""
    try:
        complete = _complete(address, found, table)
    except RefusedReadingError as error:
        step.reason, step.detail, step.rebirth = error.reason, why or error.detail, True
    else:
        if complete is not None:
            step.forward.append((address.code, complete))
    return step


def _complete(address: Address, payload: Payload, table: Table | None) -> bytes | None:
    """Put names in place of aliases, and leave out what is not measured; None: nothing is."""
    metrics = []
    for metric in payload.metrics:
        name, datatype = metric.name, metric.datatype
        if not name:
            alias = -1 if metric.alias is None else metric.alias
            found = table.aliases.get(alias) if table else None
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
