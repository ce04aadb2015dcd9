"""Topics that an operator's server has of its own: which level of them is the device's code."""

import re
from dataclasses import dataclass
from typing import Self

DEVICE = "{device}"
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z", re.ASCII)
_LEVEL = re.compile(r"[A-Za-z0-9_.@:-]+\Z", re.ASCII)
_LEVELS = 12


def subject(topic_filter: str) -> str:
    """Return what NATS makes of an MQTT topic or filter.

    A level becomes a token; a dot in it, which would part tokens, is written as two slashes.

    Examples
    --------
    >>> subject("spBv1.0/ponds/+/#")
    'spBv1//0.ponds.*.>'
    """
    wild = {"+": "*", "#": ">"}
    return ".".join(wild.get(v, v.replace(".", "//")) for v in topic_filter.split("/"))


@dataclass(frozen=True, slots=True)
class ForeignTopic:
    """The topics of one operator, level by level.

    Attributes
    ----------
    levels
        Words, ``+`` for whatever stands there, and one ``{device}``.
    """

    levels: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``application/+/device/{device}/event/up``.

        Raises
        ------
        ValueError
            With a sentence that says what it must be.

        Examples
        --------
        >>> ForeignTopic.parse("tele/{device}/SENSOR").device_in("tele/pond_3/SENSOR")
        'pond_3'
        """
        levels = tuple(text.split("/"))
        if levels.count(DEVICE) != 1:
            raise ValueError(
                f"{text!r} must have one level {DEVICE}, where the topic names the device, such as "
                "application/+/device/{device}/event/up"
            )
        if levels[0] in ("mz", DEVICE, "+"):
            raise ValueError(
                f"{text!r} must begin with a word of its own, and not with mz, where our own "
                "topics begin"
            )
        if len(levels) > _LEVELS:
            raise ValueError(f"{text!r} has more than {_LEVELS} levels")
        for level in levels:
            if level not in (DEVICE, "+") and not _LEVEL.match(level):
                raise ValueError(
                    f"the level {level!r} of {text!r} must be a word (letters, digits, _ . @ : -), "
                    f"+ or {DEVICE}"
                )
        return cls(levels)

    @property
    def filter(self) -> str:
        """What one subscribes to."""
        return "/".join("+" if level == DEVICE else level for level in self.levels)

    def device_in(self, topic: str) -> str | None:
        """Return the device's code in a topic; None: the topic is another, or has no code there."""
        found = topic.split("/")
        if len(found) != len(self.levels):
            return None
        if any(a not in (b, "+", DEVICE) for a, b in zip(self.levels, found, strict=True)):
            return None
        code = found[self.levels.index(DEVICE)]
        return code if _CODE.match(code) else None

    def overlaps(self, other: "ForeignTopic") -> bool:
        """Whether one topic could be of both."""
        wild = ("+", DEVICE)
        return len(self.levels) == len(other.levels) and all(
            a == b or a in wild or b in wild for a, b in zip(self.levels, other.levels, strict=True)
        )

    def subjects(self, tenant_code: str, partitions: int) -> tuple[str, str]:
        """Return NATS' mapping: the subject it comes on, and that of the device's readings."""
        wild = [level for level in self.levels if level in ("+", DEVICE)]
        place = wild.index(DEVICE) + 1
        source = subject(self.filter)
        partition = f"{{{{partition({partitions},{place})}}}}"
        return source, f"mz.v1.{tenant_code}.p.{partition}.d.{{{{wildcard({place})}}}}.up"
