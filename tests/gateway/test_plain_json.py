"""JSON of any shape through a device's mapping: callbacks of operators, Tasmota."""

import json

import pytest

from deploy.device_codec import codec_params
from gateway.codecs.binding import bind
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason
from store.errors import RefusedError
from tests.gateway.conftest import NOW_MS

PROPERTIES = ["depth_m", "battery_v", "water_temp_c"]


def read(body, *entries):
    params = codec_params("json", entries, "", PROPERTIES)
    return bind("json", params, PROPERTIES, moves=False)(
        body if isinstance(body, bytes) else json.dumps(body).encode()
    )


def test_a_callback_of_a_network_operator():
    body = {"device": "1A2B3C", "time": NOW_MS // 1000, "seqNumber": 512, "depth": 23}
    [reading] = read(body, "depth=depth_m*0.01", "time=msg.time_s", "seqNumber=msg.seq")
    assert (reading.ts, reading.seq, reading.m) == (NOW_MS, 512, {"depth_m": 0.23})
    [reading] = read(body | {"time": str(NOW_MS)}, "depth=depth_m", "time=msg.time_ms")
    assert (reading.ts, reading.seq) == (NOW_MS, None)


def test_nested_names():
    body = {"Time": "2025-11-21T21:20:00+09:00", "AM2301": {"Temperature": 18.2, "Humidity": 70}}
    [reading] = read(body, "AM2301.Temperature=water_temp_c", "Time=msg.time")
    assert (reading.ts, reading.m) == (1763727600000, {"water_temp_c": 18.2})


def test_an_array_is_many_readings():
    found = read([{"t": 1_700_000_000, "depth_m": 1}, {"t": 1_700_000_060, "depth_m": 2}],
                 "t=msg.time_s")  # fmt: skip
    assert [(r.ts, r.m) for r in found] == [
        (1_700_000_000_000, {"depth_m": 1.0}), (1_700_000_060_000, {"depth_m": 2.0})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", Reason.BAD_PAYLOAD),
        (b"7", Reason.BAD_PAYLOAD),
        (b"[]", Reason.EMPTY),
        ({"Time": "2025-11-21T21:20:00", "depth_m": 1}, Reason.BAD_PAYLOAD),
        ({"Time": "soon", "depth_m": 1}, Reason.BAD_PAYLOAD),
        ({"n": -1, "depth_m": 1}, Reason.BAD_PAYLOAD),
        ({"n": "x", "depth_m": 1}, Reason.BAD_PAYLOAD),
        ({"n": 1e300, "depth_m": 1}, Reason.BAD_PAYLOAD),
        ({"n": None, "depth_m": 1}, Reason.BAD_PAYLOAD),
        ({"other": 1}, Reason.UNKNOWN_PROPERTY),
    ],
)
def test_what_cannot_be_read_is_refused(body, reason):
    with pytest.raises(RefusedReadingError) as refused:
        read(body, "Time=msg.time", "n=msg.seq")
    assert refused.value.reason == reason


def test_a_part_that_no_message_has():
    with pytest.raises(RefusedError, match=r"msg\.time_s"):
        codec_params("json", ["t=msg.clock"], "", PROPERTIES)
