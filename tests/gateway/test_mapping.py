"""From foreign names and units to a device's own properties."""

import json

import pytest

from gateway.codecs import binding
from gateway.codecs.binding import bind
from gateway.codecs.mapping import CodecParams, Mapping, parse_entry
from gateway.decoder import Decoder
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason
from gateway.registry import build
from gateway.settings import GatewaySettings
from store.fleet import DatastreamRow, DeviceRow, FleetRows, TownRow
from store.marks import Mark
from tests.gateway.conftest import NOW_MS
from tests.gateway.test_lorawan import CHIRPSTACK
from tests.gateway.test_nmea import RMC
from tests.gateway.test_refusals import message


def entry(**target):
    return {"map": {"water_level": {"property": "stage_m", **target}}}


def senml(*records):
    return json.dumps(list(records)).encode()


def read(codec, params, *properties, payload, moves=False):
    return bind(codec, params, properties, moves=moves)(payload)


@pytest.mark.parametrize(("text", "value", "number"), [
    ("a=stage_m", 2, 2), ("a=stage_m*0.01", 2, 0.02), ("a=stage_m*-0.001+2.5", 2100, 0.4),
    ("a=stage_m-1.5", 2, 0.5), ("a=stage_m*1e-3+.5", 1500, 2.0),
    ("a=wet:leak=1:normal=0", "leak", 1),
    ("a=wet", True, 1), ("a=x*2+1:up=3", "up", 7), ("a=x", None, None),
    ("a=x", float("nan"), None),
])  # fmt: skip
def test_an_entry_scales_shifts_and_puts_words_into_numbers(text, value, number):
    name, target = parse_entry(text)
    assert name == "a"
    assert target.number("a", value) == pytest.approx(number)


@pytest.mark.parametrize("text", [
    "a", "=stage_m", "a=Stage", "a=x*", "a=x*y", "a=x*2*3", "a=x:up", "a=x:up=high", "a=x*1e999",
    "a=fix.height", "a=x+",
])  # fmt: skip
def test_an_entry_that_cannot_be_is_refused_in_words(text):
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        parse_entry(text)


def test_a_uplink_arrives_in_the_units_of_the_device():
    params = entry(scale=0.01, offset=-0.1) | {"model": "milesight/em500-swl"}
    body = json.dumps(CHIRPSTACK).encode()
    [reading] = read("chirpstack", params, "stage_m", "battery", payload=body)
    assert reading.m == {"battery": 100, "stage_m": pytest.approx(-0.08)}
    assert reading.ts == 1795312984567


def test_names_are_found_whole_by_their_last_part_and_by_their_unit():
    names = {"volt@V": "battery_v", "@%RH": "humidity", "urn:x:temp": "air_c", "temp": "temp_c"}
    params = {"map": {name: {"property": where} for name, where in names.items()}}
    pack = senml(
        {"bn": "urn:x:", "n": "volt", "u": "V", "v": 3.6}, {"n": "rh", "u": "%RH", "v": 50},
        {"n": "temp", "v": 1}, {"bn": "urn:y:", "n": "temp", "v": 2}, {"n": "else", "v": 9},
        {"n": "stage_m", "v": 3},
    )  # fmt: skip
    [reading] = read("senml-json", params, "stage_m", payload=pack)
    assert reading.m == {
        "battery_v": 3.6, "humidity": 50, "air_c": 1, "temp_c": 2, "stage_m": 3,
    }  # fmt: skip


def test_a_message_of_which_nothing_is_known_is_refused_and_names_what_it_has():
    with pytest.raises(RefusedReadingError, match="level@m") as refused:
        read("senml-json", {}, "stage_m", payload=senml({"n": "level", "u": "m", "v": 1}))
    assert refused.value.reason == Reason.UNKNOWN_PROPERTY
    ignored = {"map": {"level": {}}}
    assert read("senml-json", ignored, payload=senml({"n": "level", "v": 1})) == []


@pytest.mark.parametrize(("params", "records"), [
    (entry(), [{"n": "water_level", "vs": "high"}]),
    (entry(scale=1e300), [{"n": "water_level", "v": 1e300}]),
    (entry(), [{"n": "water_level", "v": 1}, {"n": "stage_m", "v": 1}]),
    ({"map": {"a": {"property": "fix.lat"}}}, [{"n": "a", "v": 1e7}]),
])  # fmt: skip
def test_values_that_cannot_be_are_refused(params, records):
    with pytest.raises(RefusedReadingError) as refused:
        read("senml-json", params, "stage_m", payload=senml(*records))
    assert refused.value.reason == Reason.BAD_PAYLOAD


def test_a_plow_reports_where_it_is_and_a_sensor_does_not():
    [reading] = read("nmea", {}, payload=RMC.encode(), moves=True)
    assert (reading.fix.lat, reading.fix.blade) == (pytest.approx(38.24), None)
    with pytest.raises(RefusedReadingError):
        read("nmea", {}, "depth_m", payload=RMC.encode())
    blade = {"map": {"switch": {"property": "fix.blade", "words": {"down": 1, "up": 0}}}}
    pack = senml({"bn": "p/", "n": "lat", "u": "lat", "v": 38}, {"n": "lon", "u": "lon", "v": 140},
                 {"n": "switch", "vs": "down"})  # fmt: skip
    [reading] = read("senml-json", blade, payload=pack, moves=True)
    assert (reading.fix.lat, reading.fix.lon, reading.fix.blade) == (38, 140, True)


def test_native_names_can_be_mapped_too_and_unknown_ones_are_left_to_the_decoder():
    body = b'{"ts": 1763760000000, "m": {"water_level": 250, "other": 1}}'
    [reading] = read("native", entry(scale=0.01), "stage_m", payload=body)
    assert reading.m == {"stage_m": 2.5, "other": 1}


@pytest.mark.parametrize(("codec", "params", "words"), [
    ("morse", {}, "no codec 'morse'"),
    ("nmea", {"model": "milesight/at101"}, "not with 'nmea'"),
    ("tts", {"model": "milesight/none"}, "no model"),
    ("tts", {"maps": {}}, "unknown field"),
    ("tts", {"map": {"a": {"property": "x", "scale": "y"}}}, "scale"),
])  # fmt: skip
def test_parameters_that_cannot_be_read_refuse_every_message_in_words(codec, params, words):
    with pytest.raises(RefusedReadingError, match=words) as refused:
        read(codec, params, payload=b"{}")
    assert refused.value.reason == Reason.UNKNOWN_CODEC


def test_made_up_names_are_not_remembered_without_end():
    mapping = Mapping(CodecParams(), ["depth_m"], moves=False)
    for number in range(2000):
        assert mapping.find(f"name-{number}") is None
        assert mapping.find("x" * 10_000 + str(number)) is None
    assert len(mapping._found) <= 500
    assert sum(len(name) for name, _ in mapping._found) < 100_000


def test_every_codec_can_be_bound():
    for codec in binding.CODECS:
        with pytest.raises(RefusedReadingError):
            read(codec, {}, "depth_m", payload=b"\x00")


def decoder_of(codec, params):
    rows = FleetRows(
        [TownRow(1, "kawabe", False)],
        [DeviceRow(1, 1, None, "flood-01", "flood_level", "active", codec, 60.0, params)],
        [DatastreamRow(1, 1, 1, "stage_m")], [], None, {},
    )  # fmt: skip
    registry = build(rows)
    decoder = Decoder(GatewaySettings())
    return lambda *payloads: decoder.decode([message(one) for one in payloads], registry, 1000)


def test_an_age_counts_back_from_the_time_of_reception():
    decode = decoder_of("senml-json", {})
    pack = senml({"bn": "stage_m", "v": 1, "t": -60}, {"v": 2})
    batch = decode(pack)
    assert batch.rows.value.tolist() == [1, 2]
    received = NOW_MS + 1000
    assert batch.rows.time_ms.tolist() == [received - 60_000, received + 1]
    assert set(batch.rows.marks.tolist()) == {int(Mark.NO_DEVICE_TIME | Mark.AT_LEAST_ONCE)}
    native = decoder_of("native", {})({"seq": 3, "age_ms": 5000, "m": {"stage_m": 1.0}})
    assert native.rows.time_ms.tolist() == [received - 5000]
    assert native.rows.marks.tolist() == [int(Mark.NO_DEVICE_TIME)]
    future = decode(senml({"n": "stage_m", "v": 1, "t": 3600}))
    assert [one.reason for one in future.refused] == [Reason.TIME_IN_FUTURE]


def test_a_sign_of_life_is_heard_and_stores_nothing():
    quiet = json.dumps({"deviceInfo": {"devEui": "1"}, "rxInfo": [{"rssi": -90}]}).encode()
    batch = decoder_of("chirpstack", {})(quiet)
    assert (len(batch.rows), batch.refused, list(batch.heard)) == (0, [], [1])
