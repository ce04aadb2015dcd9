"""What a foreign payload says, in its own names and units, before a device's mapping."""

from dataclasses import dataclass, field

Scalar = float | bool | str | None


@dataclass(slots=True)
class Measure:
    """One value under the name that the sender gave it.

    `unit` is empty where the format names none; None as a value was reported as missing.
    """

    name: str
    value: Scalar
    unit: str = ""


@dataclass(slots=True)
class Report:
    """What was measured at one time.

    Attributes
    ----------
    measures
        In the order of the message; may be empty: a sign of life.
    ts_ms
        Phenomenon time in milliseconds since 1970 UTC, if the message says it.
    age_ms
        Where it says instead how long before its reception it was measured.
    seq
        The sender's sequence number.
    routers
        The network gateways that heard the message, as the network server names them.
    """

    measures: list[Measure] = field(default_factory=list)
    ts_ms: int | None = None
    age_ms: int | None = None
    seq: int | None = None
    routers: list[str] | None = None


def measures(values: dict[str, Scalar]) -> list[Measure]:
    """Return named values without units as measures."""
    return [Measure(name, value) for name, value in values.items()]
