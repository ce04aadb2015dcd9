"""What is known of one edge node: its births, those before them, its sequence number."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from gateway.codecs.sparkplug import BD_SEQ, Payload

# Sequence numbers count from 0 to 255.
_SEQUENCE = 256
# Births of a device that are remembered beside the one in force: as many as there can have been in
# the time in which a broker sends again what was not acknowledged.
_FORMER = 16


@dataclass(frozen=True, slots=True)
class Table:
    """What a birth says: of each alias its name and its data type, since when it was sent."""

    sent_ms: int | None
    aliases: Mapping[int, tuple[str, int]]

    @classmethod
    def of(cls, birth: Payload) -> Self:
        """Read a birth."""
        return cls(
            birth.timestamp_ms,
            {
                metric.alias: (metric.name, metric.datatype)
                for metric in birth.metrics
                if metric.alias is not None and metric.name
            },
        )

    def is_after(self, sent_ms: int | None) -> bool:
        """Whether it was sent later than something else, as far as both say when."""
        return self.sent_ms is not None and sent_ms is not None and sent_ms < self.sent_ms

    def agrees(self, other: "Table", message: Payload) -> bool:
        """Whether both say the same of every alias in a message."""
        used = {metric.alias for metric in message.metrics if not metric.name}
        return all(
            alias is not None and self.aliases.get(alias) == other.aliases.get(alias)
            for alias in used
        )


@dataclass(slots=True)
class Node:
    """An edge node since its birth.

    What is in the attributes is replaced and not changed, so that a copy is a picture of it.

    Attributes
    ----------
    births, former
        By device, "" the node itself: the birth in force, and some before it, oldest first.
    measuring
        Those that measure anything: many a node only speaks for its devices, and is none itself.
    seq, unnumbered
        The last sequence number, None: any may follow; and how many messages had none since.
    """

    births: Mapping[str, Table] = field(default_factory=dict)
    former: Mapping[str, tuple[Table, ...]] = field(default_factory=dict)
    measuring: frozenset[str] = frozenset()
    bd_seq: float | None = None
    seq: int | None = None
    unnumbered: int = 0
    alive: bool = True

    @property
    def names(self) -> int:
        """How many names are remembered; a birth counts as one more."""
        former = (table for tables in self.former.values() for table in tables)
        once = {id(table.aliases): table for table in (*self.births.values(), *former)}
        return sum(len(table.aliases) + 1 for table in once.values())

    def learn(self, device: str, birth: Payload) -> None:
        """Let a birth be the one in force."""
        table, before = Table.of(birth), self.births.get(device)
        if before is not None and before.aliases == table.aliases:
            table = Table(table.sent_ms, before.aliases)  # once in memory
        self.end([device])
        self.births = {**self.births, device: table}
        if any(metric.measures for metric in birth.metrics):
            self.measuring |= {device}
        if not device:
            self.bd_seq = bd_seq(birth)

    def end(self, devices: Iterable[str]) -> None:
        """Let births be in force no longer, but remember what aliases meant until now."""
        for device in devices:
            table = self.births.get(device)
            if table is not None:
                self.births = {key: one for key, one in self.births.items() if key != device}
                self.remember(device, table)

    def remember(self, device: str, table: Table) -> None:
        """Note what aliases meant from a time on; of births without one nothing can be said."""
        if table.sent_ms is not None:
            by_time = {one.sent_ms: one for one in (*self.former.get(device, ()), table)}
            kept = tuple(by_time[at] for at in sorted(by_time, key=lambda at: at or 0))
            self.former = {**self.former, device: kept[-_FORMER:]}

    def is_born_after(self, device: str, sent_ms: int | None) -> bool:
        """Whether the node's or the device's birth in force is newer than a message."""
        births = (self.births.get(""), self.births.get(device))
        return any(one is not None and one.is_after(sent_ms) for one in births)

    def at(self, device: str, sent_ms: int | None) -> Table | None:
        """Return the birth that a message of a device was sent under, if it is remembered."""
        present = self.births.get(device)
        if present is not None and not present.is_after(sent_ms):
            return present
        before = [one for one in self.former.get(device, ()) if not one.is_after(sent_ms)]
        if not before or sent_ms is None:
            return None
        of_node = self.at("", sent_ms) if device else None
        ended = of_node is not None and of_node.is_after(before[-1].sent_ms)
        return None if ended else before[-1]

    def gap(self, message: Payload, *, again: bool) -> bool:
        """Note a message's sequence number; return whether some before it are missing.

        One that comes again comes out of its order: nothing is expected after it. One without a
        number may have been counted by its sender, or not.
        """
        if again:
            self.seq = None
            return False
        if message.seq is None:
            self.unnumbered += 1
            return False
        before, most = self.seq, self.unnumbered + 1
        self.seq, self.unnumbered = message.seq, 0
        # The same number again is the same message again.
        return before is not None and (message.seq - before) % _SEQUENCE > most


def bd_seq(message: Payload) -> float | None:
    """Return which birth a node's birth or death is of."""
    for metric in message.metrics:
        if metric.name == BD_SEQ and isinstance(metric.value, float):
            return metric.value
    return None
