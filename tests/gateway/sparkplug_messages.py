"""Messages of a Sparkplug edge node and its device, and a host that has heard their births.

They are written here by hand after the specification 3.0.0 (chapter 6, the payload's field
numbers), with an encoder that shares nothing with the reader.
"""

import struct

from gateway.codecs import sparkplug
from gateway.sparkplug.host import Host
from tests.gateway.conftest import NOW_MS

INT8, INT16, INT32, INT64, UINT8, FLOAT, DOUBLE, BOOLEAN, STRING = 1, 2, 3, 4, 5, 9, 10, 11, 12


def number(value):
    out = b""
    while value > 127:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def message(tag, body):
    return bytes([tag << 3 | 2]) + number(len(body)) + body


def metric(name=None, *, alias=None, ts=None, kind=None, null=False, historical=False,
           transient=False, value=b""):  # fmt: skip
    out = b""
    if name is not None:
        out += message(1, name.encode())
    if alias is not None:
        out += b"\x10" + number(alias)
    if ts is not None:
        out += b"\x18" + number(ts)
    if kind is not None:
        out += b"\x20" + number(kind)
    out += b"\x28\x01" * historical + b"\x30\x01" * transient + b"\x38\x01" * null
    return out + value


def double(value):
    return b"\x69" + struct.pack("<d", value)


def single(value):
    return b"\x65" + struct.pack("<f", value)


def int_(value):
    return b"\x50" + number(value)


def long_(value):
    return b"\x58" + number(value)


def bool_(value):
    return b"\x70" + bytes([value])


def str_(value):
    return b"\x7a" + number(len(value.encode())) + value.encode()


def payload(*metrics, ts=NOW_MS, seq=0):
    out = b"" if ts is None else b"\x08" + number(ts)
    out += b"".join(message(2, one) for one in metrics)
    return out if seq is None else out + b"\x18" + number(seq)


def nbirth(*metrics, bd_seq=0, ts=NOW_MS):
    rebirth = metric("Node Control/Rebirth", kind=BOOLEAN, value=bool_(False))
    return payload(metric("bdSeq", kind=INT64, value=long_(bd_seq)), rebirth, *metrics, ts=ts)


def values(body):
    return [(r.ts_ms, m.name, m.value) for r in sparkplug.decode(body) for m in r.measures]


NAMES, SWAPPED = ("Level", "Battery"), ("Battery", "Level")


def dbirth(names=NAMES, ts=NOW_MS, seq=1):
    """A birth of the device, the names of its aliases 1 and 2 in their order."""
    value = {"Level": double(1), "Battery": double(3.6)}
    metrics = [metric(n, alias=i, kind=DOUBLE, value=value[n]) for i, n in enumerate(names, 1)]
    return payload(*metrics, ts=ts, seq=seq)


BIRTH, DBIRTH = nbirth(), dbirth()


def born(*more):  # an edge node with a device
    host = Host()
    host.take("spBv1.0/g/NBIRTH/edge", BIRTH)
    host.take("spBv1.0/g/DBIRTH/edge/dev", DBIRTH)
    for topic, body in more:
        host.take(topic, body)
    return host


def data(seq, *metrics):
    return "spBv1.0/g/DDATA/edge/dev", payload(*metrics, ts=NOW_MS + seq, seq=seq)
