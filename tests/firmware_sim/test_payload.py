import json
import math

import pytest

from firmware_sim.payload import STATUS_OFFLINE, STATUS_ONLINE, Fix, Sample, encode


@pytest.mark.parametrize(
    ("samples", "literal"),
    [
        (
            [Sample(1763760000123, 12345, {"depth_m": 0.123, "battery_v": 3.61})],
            b'{"ts":1763760000123,"seq":12345,"m":{"depth_m":0.123,"battery_v":3.61}}',
        ),
        (
            [Sample(1763760000123, 7, {}, Fix(38.905, 139.93, 21.5, 87.0, 0.9, blade=True))],
            (
                b'{"ts":1763760000123,"seq":7,"fix":{"lat":38.905,"lon":139.93,"speed_kmh":21.5,'
                b'"course_deg":87.0,"hdop":0.9,"blade":true}}'
            ),
        ),
        (
            [Sample(1763760000123, 7, {}, Fix(38.905, 139.93))],
            b'{"ts":1763760000123,"seq":7,"fix":{"lat":38.905,"lon":139.93}}',
        ),
        ([Sample(None, 3, {"ph": 7.0})], b'{"seq":3,"m":{"ph":7.0}}'),
        ([Sample(5, None, {"ph": 7.0})], b'{"ts":5,"m":{"ph":7.0}}'),
        ([Sample(5, 1, {"ph": math.nan})], b'{"ts":5,"seq":1,"m":{"ph":null}}'),
        (
            [Sample(5, 1, {"ph": 7.0}), Sample(6, 2, {"ph": 7.1})],
            b'[{"ts":5,"seq":1,"m":{"ph":7.0}},{"ts":6,"seq":2,"m":{"ph":7.1}}]',
        ),
    ],
    ids=["reading", "fix", "bare fix", "no clock", "no sequence", "missing", "array"],
)
def test_payload_is_these_bytes(samples, literal):
    assert encode(samples) == literal


def test_blade_up_is_said_and_not_left_out():
    assert json.loads(encode([Sample(5, 1, {}, Fix(1.0, 2.0, blade=False))]))["fix"]["blade"] is (
        False
    )


def test_status_bytes():
    assert (STATUS_ONLINE, STATUS_OFFLINE) == (b'{"online":true}', b'{"online":false}')


def test_nothing_and_infinity_are_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        encode([])
    with pytest.raises(ValueError, match="JSON"):
        encode([Sample(5, 1, {"ph": math.inf})])
