"""The topics of an operator: of devices one by one, or of a Sparkplug group."""

from gateway.foreign_topic import ForeignTopic
from gateway.sparkplug.topic import NAMESPACE, SparkplugGroup


def parse_topics(text: str) -> ForeignTopic | SparkplugGroup:
    """Read ``tele/{device}/SENSOR`` or ``spBv1.0/GROUP/#``.

    Raises
    ------
    ValueError
        With a sentence that says what it must be.
    """
    if text.partition("/")[0] == NAMESPACE:
        return SparkplugGroup.parse(text)
    return ForeignTopic.parse(text)


def overlap(one: ForeignTopic | SparkplugGroup, other: ForeignTopic | SparkplugGroup) -> bool:
    """Whether a message could be of both."""
    if isinstance(one, ForeignTopic) and isinstance(other, ForeignTopic):
        return one.overlaps(other)
    return one == other


def needs_relay(text: str, broker_kind: str) -> bool:
    """Whether a gateway hands the messages on; else the broker maps them by itself."""
    return broker_kind != "nats" or isinstance(parse_topics(text), SparkplugGroup)
