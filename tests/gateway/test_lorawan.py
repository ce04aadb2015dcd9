"""Uplinks of LoRaWAN network servers, and the raw bytes of sensors in them."""

import base64
import gzip
import json
import pathlib
from datetime import datetime

import pytest

from gateway.codecs import lorawan
from gateway.codecs.binding import bind
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

# Recorded uplinks with what the manufacturer's decoder makes of them.
RECORDED = pathlib.Path(__file__).parents[1] / "data/lorawan_uplinks.json.gz"
SERVERS = {
    "chirpstack_v4": "chirpstack",
    "the_things_stack_v3": "tts",
    "the_things_stack_industries_v3": "tts",
    "loriot": "loriot",
    "thingpark": "thingpark",
}
UPLINKS = json.loads(gzip.decompress(RECORDED.read_bytes()))
# Its expected humidity was read from the first byte of the time stamp (0x9e / 2 = 79) instead of
# the humidity's (0x5d / 2 = 46.5).
WRONG = {"chirpstack_v4/milesight_em300-sld-zld": {"humidity": 46.5}}
# Of the network, or lists of Wi-Fi networks: not measured by the sensor.
ELSEWHERE = ("lora_", "wifi", "rssi", "snr")


def read(server, model, payload):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return lorawan.decode(server, model, body)


def values(report):
    return {measure.name: measure.value for measure in report.measures}


def milliseconds(time):
    if isinstance(time, int):
        return time
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def test_there_is_an_uplink_of_every_server_and_model():
    assert len(UPLINKS) == 74
    assert {SERVERS[name.split("/")[0]] for name in UPLINKS} == set(lorawan.SERVERS)
    assert {model_of(name) for name in UPLINKS} == set(lorawan.RAW)


def model_of(name):
    return "/".join(name.split("/")[1].split("_")[:2])


@pytest.mark.parametrize("name", UPLINKS)
def test_a_recorded_uplink_decodes_as_its_manufacturer_says(name):
    server = SERVERS[name.split("/")[0]]
    reports = read(server, model_of(name), UPLINKS[name]["uplink"].encode())
    found = {}
    for report in reports:
        for key, value in values(report).items():
            found.setdefault(key, (value, report.ts_ms))
    expected = UPLINKS[name]["decoded"]
    part = expected if isinstance(expected, dict) else expected[0]
    wanted, slack = 0, 500 if server == "tts" else 0
    for telemetry in part["telemetry"]:
        for key, value in telemetry["values"].items():
            # The outcome of a Wi-Fi scan says nothing of water; its motion status neither.
            if key.startswith(ELSEWHERE) or (key == "motion_status" and "wifi" in str(telemetry)):
                continue
            value = WRONG.get(name, {}).get(key, value)  # noqa: PLW2901 - the recorded one is wrong
            assert found[key][0] == pytest.approx(value), key
            if "ts" in telemetry:
                # The Things Stack names two times of reception; the recorded ones use either.
                assert found[key][1] == pytest.approx(milliseconds(telemetry["ts"]), abs=slack)
            wanted += 1
    assert wanted


EM500 = bytes.fromhex("01756403770200")
CHIRPSTACK = {
    "deviceInfo": {"devEui": "24e1000000000001"},
    "time": "2026-11-22T02:03:04.567891+00:00",
    "fPort": 85,
    "data": base64.b64encode(EM500).decode(),
    "rxInfo": [{"rssi": -110, "snr": -3.5}, {"rssi": -97}],
}
TTS = {
    "end_device_ids": {"device_id": "canal-3"},
    "received_at": "2026-11-22T02:03:04.999999999Z",
    "uplink_message": {"f_port": 85, "frm_payload": CHIRPSTACK["data"]},
}


def test_a_network_server_leaves_out_what_is_zero():
    [report] = read("chirpstack", "milesight/em500-swl", CHIRPSTACK)
    assert (report.ts_ms, report.seq) == (1795312984567, 0)
    assert values(report) == {
        "battery": 100, "water_level": 2, "lora_rssi": -97, "lora_snr": 0.0,
    }  # fmt: skip
    [report] = read("tts", "milesight/em500-swl", TTS)
    assert (report.ts_ms, report.seq) == (1795312985000, 0)


def test_a_decoded_object_comes_before_raw_bytes_and_is_flattened():
    event = CHIRPSTACK | {"object": {"water": {"level": 4, "wet": True}, "t": [1.5], "s": None}}
    [report] = read("chirpstack", "milesight/em500-swl", event)
    assert values(report) == {
        "water.level": 4, "water.wet": True, "t.0": 1.5, "s": None,
        "lora_rssi": -97, "lora_snr": 0.0,
    }  # fmt: skip
    message = json.loads(json.dumps(TTS))
    message["uplink_message"]["decoded_payload"] = {"level": 0.0}
    assert values(read("tts", "", message)[0]) == {"level": 0.0}


def test_an_uplink_without_data_is_a_sign_of_life():
    quiet = {key: value for key, value in CHIRPSTACK.items() if key != "data"}
    body = json.dumps(quiet).encode()
    assert bind("chirpstack", {}, {"stage_m"}, moves=False)(body) == []


@pytest.mark.parametrize(("payload", "model", "words"), [
    ({}, "milesight/em500-swl", "not an uplink"),
    ([], "milesight/em500-swl", "Expected `object`"),
    (CHIRPSTACK | {"data": "%%"}, "milesight/em500-swl", "base64"),
    (CHIRPSTACK | {"fCnt": -1}, "milesight/em500-swl", "fCnt"),
    (CHIRPSTACK | {"time": "yesterday"}, "milesight/em500-swl", "time"),
    (CHIRPSTACK | {"time": "2026-11-22T02:03:04"}, "milesight/em500-swl", "time zone"),
    (CHIRPSTACK, "", "name the device's model"),
    (CHIRPSTACK | {"data": "AXVk"}, "decentlab/dl-mbx", "too short"),
    (CHIRPSTACK | {"data": "AXVkA3cC"}, "milesight/em500-swl", "cut off"),
    (CHIRPSTACK | {"data": "AXVkCQ=="}, "milesight/em500-swl", "09 at"),
    (CHIRPSTACK | {"object": {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}}, "", "too deep"),
    (CHIRPSTACK | {"object": dict.fromkeys(map(str, range(600)), 1)}, "", "too large"),
])  # fmt: skip
def test_what_is_no_uplink_is_refused_in_words(payload, model, words):
    with pytest.raises(RefusedReadingError, match=words) as refused:
        read("chirpstack", model, payload)
    assert refused.value.reason == Reason.BAD_PAYLOAD


@pytest.mark.parametrize(("payload", "words"), [
    ("03012f000304d200010bb1", "version 3"),
    ("02012f000704d200010bb1", "sensors 0x7"),
    ("02012f000304d20001", "announces more"),
    ("02012f000304d200010bb100", "1 bytes more"),
])  # fmt: skip
def test_bytes_of_another_sensor_are_refused(payload, words):
    event = CHIRPSTACK | {"data": base64.b64encode(bytes.fromhex(payload)).decode()}
    with pytest.raises(RefusedReadingError, match=words):
        read("chirpstack", "decentlab/dl-mbx", event)


def test_negative_values_and_alarms_of_milesight_sensors():
    alarm = CHIRPSTACK | {"data": base64.b64encode(bytes.fromhex("8367c4ff01050001")).decode()}
    [report] = read("chirpstack", "milesight/em300-sld-zld", alarm)
    assert values(report)["temperature"] == -6.0
    assert values(report)["leakage_status"] == "leak"
    start = "ff0bff ff0101 ff166713c49013900018 ff090310 ff0a0110 ff0f00 fffe01"
    event = CHIRPSTACK | {"data": base64.b64encode(bytes.fromhex(start)).decode()}
    assert read("chirpstack", "milesight/em500-swl", event)[0].measures == []


def test_kept_records_have_their_own_time_and_no_number():
    kept = bytes.fromhex("037705 00 20ce 9e744663 0300 20ce 9f744663 fdff".replace(" ", ""))
    event = CHIRPSTACK | {"fCnt": 77, "data": base64.b64encode(kept).decode()}
    now, *past = read("chirpstack", "milesight/em500-swl", event)
    assert (now.seq, values(now)["water_level"]) == (77, 5)
    assert [(one.ts_ms, one.seq, values(one)) for one in past] == [
        (1665561758000, None, {"water_level": 3}),
        (1665561759000, None, {"water_level": -3}),
    ]


@pytest.mark.parametrize(
    ("server", "model", "payload"),
    [
        (
            "chirpstack", "",
            {"deviceInfo": {}, "object": {"a": 1}, "rxInfo": [
                {"gatewayId": "FCC23D"}, {"gatewayID": "b827eb"}, {"rssi": -90},
            ]},
        ),
        (
            "tts", "",
            {"uplink_message": {"decoded_payload": {"a": 1}, "rx_metadata": [
                {"gateway_ids": {"gateway_id": "roof", "eui": "FCC23D"}},
                {"gateway_ids": {"gateway_id": "b827eb"}}, {"gateway_ids": {}},
            ]}},
        ),
        (
            "loriot", "milesight/em500-swl",
            {"cmd": "gw", "ts": 1, "data": EM500.hex(), "gws": [
                {"gweui": "FCC23D"}, {"gweui": "B827EB"}, {"gweui": "b827eb"},
            ]},
        ),
    ],
)  # fmt: skip
def test_an_uplink_says_which_network_gateways_heard_it(server, model, payload):
    report = read(server, model, payload)[0]
    assert report.routers == ["b827eb", "fcc23d"]


def test_names_that_cannot_be_are_no_network_gateways():
    for heard in ([], [{"gatewayId": "no such name"}, {"gatewayId": "x" * 65}]):
        uplink = {"deviceInfo": {}, "object": {"a": 1}, "rxInfo": heard}
        assert read("chirpstack", "", uplink)[0].routers is None


@pytest.mark.parametrize(
    ("name", "router"),
    [
        ("chirpstack_v4/", "fcc23dfffe2e72ed"),
        ("the_things_stack_v3/", "b827ebfffe9f2da9"),
        ("thingpark/", "100019d4"),
    ],
)
def test_recorded_uplinks_name_their_network_gateway(name, router):
    uplinks = [one for one in UPLINKS if one.startswith(name)]
    found = [
        read(SERVERS[name[:-1]], model_of(one), UPLINKS[one]["uplink"].encode())[0].routers
        for one in uplinks
    ]
    assert [router] in found
    assert None not in found
