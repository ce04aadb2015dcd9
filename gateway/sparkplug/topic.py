"""Sparkplug's topics: ``spBv1.0/{group}/{type}/{edge node}[/{device}]``."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

NAMESPACE = "spBv1.0"
STATE = "STATE"
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z", re.ASCII)
_GROUP = re.compile(r"[A-Za-z0-9_-]{1,63}\Z", re.ASCII)


class Kind(StrEnum):
    """What a message is."""

    NBIRTH = "NBIRTH"
    NDATA = "NDATA"
    NDEATH = "NDEATH"
    DBIRTH = "DBIRTH"
    DDATA = "DDATA"
    DDEATH = "DDEATH"


@dataclass(frozen=True, slots=True)
class Address:
    """Who sent a message of which kind. `device` is empty for the edge node itself."""

    group: str
    kind: Kind
    edge: str
    device: str = ""

    @classmethod
    def parse(cls, topic: str) -> Self | None:
        """Take a topic apart; None: it is none of those that a node or device publishes.

        Examples
        --------
        >>> Address.parse("spBv1.0/ponds/DDATA/gate/pond-3").code
        'gate_pond-3'
        """
        namespace, *levels = topic.split("/")
        if namespace != NAMESPACE or len(levels) not in (3, 4) or levels[1] not in set(Kind):
            return None
        kind = Kind(levels[1])
        if (len(levels) == 4) != kind.startswith("D"):
            return None
        return cls(levels[0], kind, *levels[2:])

    @property
    def node(self) -> tuple[str, str]:
        """The edge node."""
        return self.group, self.edge

    @property
    def code(self) -> str:
        """The device's code in its town: that of the edge node, and after ``_`` the device's."""
        return code_of(self.edge, self.device)

    @property
    def command(self) -> str:
        """Where the edge node reads its commands."""
        return f"{NAMESPACE}/{self.group}/NCMD/{self.edge}"


def code_of(edge: str, device: str) -> str:
    """Return a device's code in its town."""
    return f"{edge}_{device}" if device else edge


def is_code(text: str) -> bool:
    """Whether a device of a town can be called so."""
    return bool(_CODE.match(text))


@dataclass(frozen=True, slots=True)
class SparkplugGroup:
    """The topics of one group, as an operator has them."""

    group: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``spBv1.0/GROUP/#``.

        Raises
        ------
        ValueError
            With a sentence that says what it must be.
        """
        levels = text.split("/")
        if len(levels) != 3 or levels[0] != NAMESPACE or levels[2] != "#":
            raise ValueError(f"{text!r} must be {NAMESPACE}/GROUP/#")
        if not _GROUP.match(levels[1]) or levels[1] == STATE:
            raise ValueError(f"{levels[1]!r} cannot be a group here: letters, digits, - and _")
        return cls(levels[1])

    @property
    def filter(self) -> str:
        """What one subscribes to."""
        return f"{NAMESPACE}/{self.group}/#"
