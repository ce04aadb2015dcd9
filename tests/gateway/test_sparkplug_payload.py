"""Sparkplug B: payloads byte by byte."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import sparkplug, wire
from gateway.codecs.binding import bind
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason
from tests.gateway.conftest import NOW_MS
from tests.gateway.sparkplug_messages import (
    BOOLEAN,
    DOUBLE,
    FLOAT,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    UINT8,
    bool_,
    double,
    int_,
    long_,
    metric,
    number,
    payload,
    single,
    str_,
    values,
)


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


@given(st.integers(0, 2**64 - 1))
def test_integers_come_back(value):
    assert wire.varint(wire.put_varint(value), 0) == (value, len(number(value)))


def test_a_device_reads_names_through_its_mapping():
    read = bind("sparkplug-b", {"map": {"Level": {"property": "depth_m", "scale": 0.01}}},
                ["depth_m"], moves=False)  # fmt: skip
    [reading] = read(payload(metric("Tank 1/Level", kind=DOUBLE, value=double(12.0))))
    assert (reading.ts, reading.m) == (NOW_MS, {"depth_m": 0.12})


def test_not_a_number_is_missing():
    [reading] = bind("sparkplug-b", {}, ["x"], moves=False)(
        payload(metric("x", kind=DOUBLE, value=double(math.nan))))  # fmt: skip
    assert reading.m == {"x": None}


def test_the_command_is_what_the_specification_asks_for():
    found = sparkplug.parse(sparkplug.rebirth(NOW_MS))
    [command] = found.metrics
    assert (command.name, command.value, command.datatype) == ("Node Control/Rebirth", True, 11)
    assert found.timestamp_ms == NOW_MS
