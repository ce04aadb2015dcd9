"""Sparkplug B: payloads byte by byte, and what a host makes of births, gaps and deaths.

The messages are written here by hand after the specification 3.0.0 (chapter 5, the sessions;
chapter 6, the payload's field numbers), with an encoder that shares nothing with the reader.
"""

import contextlib
import math
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import sparkplug, wire
from gateway.codecs.binding import bind
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason
from gateway.sparkplug.host import Birth, Host
from gateway.sparkplug.topic import Address, SparkplugGroup
from store.births import BirthRow
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


def test_a_payload_byte_by_byte():
    body = payload(metric("depth", ts=5, kind=FLOAT, value=single(0.125)), ts=7, seq=3)
    assert body.hex(" ", 1) == ("08 07 12 10 0a 05 64 65 70 74 68 18 05 20 09 65 00 00 00 3e 18 03")
    assert values(body) == [(5, "depth", 0.125)]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (INT8, int_(0xFFFFFFFF), -1.0),
        (INT8, int_(0xFF), -1.0),
        (INT16, int_(0x8000), -32768.0),
        (INT32, int_(0xFFFFFF9C), -100.0),
        (INT64, long_(2**64 - 5), -5.0),
        (UINT8, int_(200), 200.0),
        (None, int_(7), 7.0),
        (FLOAT, single(0.5), 0.5),
        (DOUBLE, double(-0.25), -0.25),
        (BOOLEAN, bool_(True), True),
        (STRING, str_("leak"), "leak"),
    ],
)
def test_values_of_each_type(kind, value, expected):
    assert values(payload(metric("x", kind=kind, value=value))) == [(NOW_MS, "x", expected)]


def test_null_is_missing_and_other_things_are_left_out():
    body = payload(
        metric("depth", null=True, kind=DOUBLE),
        metric("old", ts=NOW_MS - 5, historical=True, value=double(1)),
        metric("passing", transient=True, value=double(1)),
        metric("bdSeq", value=long_(1)),
        metric("Node Control/Rebirth", value=bool_(False)),
        metric("file", value=b"\x82\x01" + number(3) + b"abc"),
        metric("nothing"),
    )
    assert values(body) == [(NOW_MS, "depth", None), (NOW_MS - 5, "old", 1.0)]


@pytest.mark.parametrize(
    "body",
    [
        b"\x08", b"\x12\x05\x0a", b"\x12\x7f", b"\x0b", b"\x02\x01", b"\xff" * 11,
        b"\x10\x01", b"\x12\x03\x0a\x01\xff", b"\x12\x02\x08\x01",
        payload(metric(alias=3, value=double(1))),
        payload(metric("x", ts=2**60)),
    ],
)  # fmt: skip
def test_what_is_no_payload_is_refused_in_words(body):
    with pytest.raises(RefusedReadingError) as refused:
        sparkplug.decode(body)
    assert refused.value.reason == Reason.BAD_PAYLOAD


@given(st.binary(max_size=200))
def test_no_bytes_escape(body):
    with contextlib.suppress(RefusedReadingError):
        sparkplug.decode(body)
    Host().take("spBv1.0/g/DDATA/edge/dev", body)


@given(st.integers(0, 2**64 - 1))
def test_integers_come_back(value):
    assert wire.varint(wire.put_varint(value), 0) == (value, len(number(value)))


def test_a_device_reads_names_through_its_mapping():
    read = bind("sparkplug-b", {"map": {"Level": {"property": "depth_m", "scale": 0.01}}},
                ["depth_m"], moves=False)  # fmt: skip
    [reading] = read(payload(metric("Tank 1/Level", kind=DOUBLE, value=double(12.0))))
    assert (reading.ts, reading.m) == (NOW_MS, {"depth_m": 0.12})


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


def test_aliases_become_names():
    step = born().take(*data(2, metric(alias=1, value=double(2)), metric(alias=2, null=True)))
    [(code, complete)] = step.forward
    assert code == "edge_dev"
    assert values(complete) == [(NOW_MS + 2, "Level", 2.0), (NOW_MS + 2, "Battery", None)]
    assert (step.reason, step.rebirth) == ("", False)


def test_a_type_that_only_the_birth_says_counts():
    host = Host()
    host.take("spBv1.0/g/NBIRTH/edge", nbirth(metric("t", alias=9, kind=INT16, value=int_(5))))
    step = host.take("spBv1.0/g/NDATA/edge", payload(metric(alias=9, value=int_(0xFFFF)), seq=1))
    assert values(step.forward[0][1]) == [(NOW_MS, "t", -1.0)]


def test_births_are_readings_and_signs_of_life_and_are_kept():
    host = Host()
    step = host.take("spBv1.0/g/NBIRTH/edge", BIRTH)
    # It speaks for its devices and measures nothing itself.
    assert (step.forward, step.status) == ([], [])
    assert step.birth == Birth("g", "edge", "", BIRTH)
    step = host.take("spBv1.0/g/DBIRTH/edge/dev", DBIRTH)
    assert [code for code, _ in step.forward] == ["edge_dev"]
    assert step.status == [("edge_dev", True)]
    assert values(step.forward[0][1]) == [(NOW_MS, "Level", 1.0), (NOW_MS, "Battery", 3.6)]


def test_data_before_any_birth_is_kept_and_the_birth_is_asked_for():
    step = Host().take(*data(7, metric(alias=1, value=double(2))))
    assert (step.reason, step.rebirth, step.forward) == (Reason.NO_BIRTH, True, [])
    # With names it can be read all the same.
    step = Host().take(*data(7, metric("Level", value=double(2))))
    assert (step.reason, step.rebirth, len(step.forward)) == ("", True, 1)


def test_an_unknown_alias_is_kept_and_the_birth_is_asked_for():
    for one in (metric(alias=5, value=double(1)), metric(alias=1, kind=BOOLEAN, value=bool_(1))):
        step = born().take(*data(2, one))
        assert (step.reason, step.rebirth) == (Reason.NO_BIRTH, True)


def test_a_gap_asks_for_the_birth_and_a_repetition_does_not():
    host = born()
    one = metric(alias=1, value=double(1))
    for seq, gap in ((2, False), (2, False), (3, False), (5, True), (6, False)):
        step = host.take(*data(seq, one))
        assert (step.rebirth, step.reason, len(step.forward)) == (gap, "", 1), seq
    host.begin_again(host.picture())
    assert not host.take(*data(3, one)).rebirth


def test_numbers_go_round():
    host = born()
    for seq in (*range(2, 256), 0, 1):
        assert not host.take(*data(seq, metric(alias=1, value=double(1)))).rebirth


def test_a_death_takes_all_devices_of_the_node_along():
    step = (host := born()).take("spBv1.0/g/NDEATH/edge", payload(
        metric("bdSeq", kind=INT64, value=long_(0)), seq=None))  # fmt: skip
    assert step.status == [("edge_dev", False)]
    step = host.take(*data(2, metric(alias=1, value=double(1))))
    assert (step.reason, step.rebirth) == (Reason.NO_BIRTH, True)


def test_a_death_of_a_former_birth_says_nothing():
    host = Host()
    host.take("spBv1.0/g/NBIRTH/edge", nbirth(bd_seq=4))
    step = host.take("spBv1.0/g/NDEATH/edge",
                     payload(metric("bdSeq", kind=INT64, value=long_(3)), seq=None))  # fmt: skip
    assert step.status == []


def test_a_devices_death_forgets_its_aliases():
    host = born()
    assert host.take("spBv1.0/g/DDEATH/edge/dev", payload(seq=2)).status == [("edge_dev", False)]
    assert host.take(*data(3, metric(alias=1, value=double(1)))).reason == Reason.NO_BIRTH


def test_a_new_birth_of_the_node_forgets_those_of_its_devices():
    host = born(("spBv1.0/g/NBIRTH/edge", nbirth(bd_seq=1)))
    assert host.take(*data(1, metric(alias=1, value=double(1)))).reason == Reason.NO_BIRTH


def test_births_that_were_kept_are_enough_after_a_restart():
    host = Host()
    rows = [("", BIRTH), ("dev", DBIRTH), ("bad", b"\x08")]
    host.restore(BirthRow(1, "g", "edge", device, datetime.now(UTC), body)
                 for device, body in rows)  # fmt: skip
    step = host.take(*data(200, metric(alias=1, value=double(2))))
    assert (step.reason, step.rebirth, len(step.forward)) == ("", False, 1)


def test_the_command_is_what_the_specification_asks_for():
    found = sparkplug.parse(sparkplug.rebirth(NOW_MS))
    [command] = found.metrics
    assert (command.name, command.value, command.datatype) == ("Node Control/Rebirth", True, 11)
    assert found.timestamp_ms == NOW_MS


def test_topics():
    assert Address.parse("spBv1.0/g/NCMD/edge") is None
    assert Address.parse("spBv1.0/g/NDATA/edge/dev") is None
    assert Address.parse("spBv1.0/g/DDATA/edge") is None
    assert Address.parse("spBv1.0/STATE/host") is None
    assert Host().take("spBv1.0/g/NDATA/an edge", payload()).reason == Reason.BAD_TOPIC
    assert SparkplugGroup.parse("spBv1.0/ponds/#").filter == "spBv1.0/ponds/#"
    for wrong in ("spBv1.0/#", "spBv1.0/+/#", "spBv1.0/STATE/#", "a/b/#"):
        with pytest.raises(ValueError, match=r"must be|cannot be"):
            SparkplugGroup.parse(wrong)


def test_not_a_number_is_missing():
    [reading] = bind("sparkplug-b", {}, ["x"], moves=False)(
        payload(metric("x", kind=DOUBLE, value=double(math.nan))))  # fmt: skip
    assert reading.m == {"x": None}
