"""Sparkplug B payloads: metrics with names, types and times.

Field numbers and data types are those of the Sparkplug specification 3.0.0, chapter 6
(https://sparkplug.eclipse.org/specification/), and of Eclipse Tahu's ``sparkplug_b.proto``:
a payload is timestamp 1, metrics 2, seq 3; a metric is name 1, alias 2, timestamp 3, datatype 4,
is_historical 5, is_transient 6, is_null 7, and its value int 10, long 11, float 12, double 13,
boolean 14, string 15; bytes 16, dataset 17 and template 18 hold nothing that is measured here.

Data name their metrics by aliases that the birth before them explains: `gateway.sparkplug` puts
the names in, and what a device's codec reads is complete in itself. That a metric is historical
is of no account here: it is older than others, which every reading may be.
"""

from dataclasses import dataclass, field

from gateway.codecs import wire
from gateway.codecs.report import Measure, Report, Scalar
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

TIMESTAMP, METRICS, SEQ = 1, 2, 3
NAME, ALIAS, METRIC_TIMESTAMP, DATATYPE = range(1, 5)
TRANSIENT, NULL = 6, 7
INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING = range(10, 16)
_OTHER_VALUES = range(16, 20)
# Data types that are signed, with their bits: values come in two's complement of 32 or 64 bits.
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED = {5: 8, 6: 16, 7: 32, 8: 64}
TYPE_BOOLEAN = 11
REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"
# What says something of the node itself, and nothing of the water.
_OF_THE_NODE = ("Node Control/", "Device Control/", "Node Info/", "Properties/")
# Of one message; births are the largest.
_METRICS = 5000
# Within what a reading's time may be; the settings draw the narrower bounds.
_LATEST_MS = 2**53


@dataclass(slots=True)
class Metric:
    """One metric. `raw` is the metric as it stands in the message."""

    raw: bytes
    name: str = ""
    alias: int | None = None
    timestamp_ms: int | None = None
    datatype: int = 0
    transient: bool = False
    null: bool = False
    value: Scalar = None
    readable: bool = False

    @property
    def measures(self) -> bool:
        """Whether it may be a reading."""
        return (
            (self.readable or self.null)
            and not self.transient
            and self.name != BD_SEQ
            and not self.name.startswith(_OF_THE_NODE)
        )


@dataclass(slots=True)
class Payload:
    """A payload, taken apart."""

    timestamp_ms: int | None = None
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)


def parse(payload: bytes) -> Payload:
    """Take a payload apart; raises RefusedReadingError."""
    found = Payload()
    for number, kind, value in wire.fields(payload):
        if number == TIMESTAMP:
            found.timestamp_ms = _time(value)
        elif number == SEQ:
            found.seq = wire.whole(value)
        elif number == METRICS:
            if kind != wire.BYTES or not isinstance(value, bytes):
                raise RefusedReadingError(Reason.BAD_PAYLOAD, "a metric is no message")
            if len(found.metrics) == _METRICS:
                raise RefusedReadingError(Reason.BAD_PAYLOAD, f"more than {_METRICS} metrics")
            found.metrics.append(_metric(value))
    return found


def decode(payload: bytes) -> list[Report]:
    """Decode a payload in which every metric has its name: a report for each time.

    Raises
    ------
    RefusedReadingError
        If it is none, or has an alias without a name.
    """
    found = parse(payload)
    reports: dict[int | None, Report] = {}
    for metric in found.metrics:
        if not metric.name:
            raise RefusedReadingError(
                Reason.BAD_PAYLOAD, f"the alias {metric.alias} stands without its name"
            )
        if not metric.measures:
            continue
        time_ms = found.timestamp_ms if metric.timestamp_ms is None else metric.timestamp_ms
        if time_ms not in reports:
            reports[time_ms] = Report(ts_ms=time_ms)
        reports[time_ms].measures.append(
            Measure(metric.name, None if metric.null else metric.value)
        )
    return list(reports.values())


def named(metric: Metric, name: str, datatype: int) -> bytes:
    """Return a metric with its name, and its type where it has none, put in before it.

    Of a field that stands twice the last one counts, so that what is there already stays.
    """
    head = wire.put(NAME, name.encode())
    if not metric.datatype and datatype:
        head += wire.put(DATATYPE, datatype)
    return head + metric.raw


def encode(timestamp_ms: int | None, seq: int | None, metrics: list[bytes]) -> bytes:
    """Put a payload together."""
    out = b"" if timestamp_ms is None else wire.put(TIMESTAMP, timestamp_ms)
    out += b"".join(wire.put(METRICS, metric) for metric in metrics)
    return out if seq is None else out + wire.put(SEQ, seq)


def rebirth(timestamp_ms: int) -> bytes:
    """Return the command by which a host asks an edge node for its birth once more."""
    metric = (
        wire.put(NAME, REBIRTH.encode())
        + wire.put(METRIC_TIMESTAMP, timestamp_ms)
        + wire.put(DATATYPE, TYPE_BOOLEAN)
        + wire.put(BOOLEAN, 1)
    )
    return encode(timestamp_ms, None, [metric])


def _metric(raw: bytes) -> Metric:
    metric = Metric(raw)
    value: tuple[int, wire.Value] | None = None
    for number, _, content in wire.fields(raw):
        if number == NAME:
            metric.name = wire.text(content)
        elif number == ALIAS:
            metric.alias = wire.whole(content)
        elif number == METRIC_TIMESTAMP:
            metric.timestamp_ms = _time(content)
        elif number == DATATYPE:
            metric.datatype = wire.whole(content)
        elif number == TRANSIENT:
            metric.transient = bool(wire.whole(content))
        elif number == NULL:
            metric.null = bool(wire.whole(content))
        elif INT <= number <= STRING or number in _OTHER_VALUES:
            value = number, content
    if value is not None and value[0] <= STRING:
        metric.value = _value(metric.datatype, *value)
        metric.readable = True
    return metric


def _value(datatype: int, number: int, content: wire.Value) -> Scalar:
    if number in (INT, LONG):
        return float(_integer(datatype, wire.whole(content)))
    if number in (FLOAT, DOUBLE):
        return wire.real(content)
    if number == BOOLEAN:
        return bool(wire.whole(content))
    return wire.text(content)


def _integer(datatype: int, value: int) -> int:
    if bits := _SIGNED.get(datatype):
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value
    if bits := _UNSIGNED.get(datatype):
        return value & (1 << bits) - 1
    return value


def _time(value: wire.Value) -> int:
    time_ms = wire.whole(value)
    if time_ms > _LATEST_MS:
        raise RefusedReadingError(Reason.BAD_PAYLOAD, f"the time {time_ms} is out of range")
    return time_ms
