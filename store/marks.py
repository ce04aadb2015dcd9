"""Marks of an observation or a position: what is remarkable beside its quality flag."""

import enum


class Mark(enum.IntFlag):
    """Bit mask in the column ``marks`` (smallint)."""

    NO_DEVICE_TIME = 1
    """The device sent no time; the received time stands in for it."""
    AT_LEAST_ONCE = 2
    """Neither time nor sequence number came: a redelivery may be stored twice."""
    TRAINING = 4
    """訓練: the town was in an exercise when it was received."""
    CLOCK_SUSPECT = 8
    """The device's clock stepped back, or runs ahead of ours."""
    LATE = 16
    """Older than the lateness bound: stored, but not decided on in real time."""
    CONFLICT = 32
    """Another value came for the same phenomenon time; the winner stands here."""
    SETTLED = 64
    """LATE, and decided on since, in its place, by the settlement."""
