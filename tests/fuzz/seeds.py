"""A good message of every format, to be spoiled."""

import json

import cbor2

from tests.gateway.conftest import NOW_MS
from tests.gateway.sparkplug_messages import (
    DOUBLE,
    INT16,
    STRING,
    double,
    int_,
    metric,
    payload,
    str_,
)
from tests.gateway.test_lorawan import CHIRPSTACK, TTS
from tests.gateway.test_nmea import GGA, RMC

OBJECT = {"water_level": 3.5, "deep": {"a": [1, None, "x", True]}}
SENML = [
    {"bn": "urn:dev:1:", "bt": NOW_MS / 1000, "n": "depth_m", "v": 0.1, "u": "m"},
    {"n": "depth_m", "v": 0.2, "t": -60},
    {"n": "wet", "vb": True},
    {"n": "name", "vs": "leak"},
]
LABELS = {"bn": -2, "bt": -3, "n": 0, "v": 2, "u": 1, "t": 6, "vb": 4, "vs": 3}
NATIVE = [
    {"ts": NOW_MS, "seq": 1, "m": {"depth_m": 0.1}},
    {"age_ms": 5, "fix": {"lat": 38.0, "lon": 140.0, "blade": True}},
    {"probe": "abc"},
]
RAW = {
    "milesight/em310-udl": "AXVcA4JECAQAAQ==",
    "milesight/em500-swl": "AXVkA3cCACDOnnRGYwMA",
    "milesight/em300-sld-zld": "IM6edEZjEAFdAQNnNAEFAAA=",
    "milesight/at101": "AXVkA2cKAQUAAQSI3rx3AQj/CAcg",
    "decentlab/dl-mbx": "AgEvAAME0gABC7E=",
    "decentlab/dl-optod": "AhhsAAMAAIhiphiDZYNlDGA=",
    "decentlab/dl-pheht": "AlK4AAMAAIhCgsd/Y3/2DFw=",
    "decentlab/dl-pr36ctd": "AgoXAAOAB5eGl4GABgwr",
}
LORIOT = {"cmd": "rx", "ts": NOW_MS, "fcnt": 2, "data": "01756403770200", "rssi": -21, "snr": 10}
THINGPARK = {
    "DevEUI_uplink": {
        "Time": "2025-11-21T21:20:00+00:00", "FCntUp": 26, "payload_hex": "01756403770200",
        "LrrRSSI": -114.0, "LrrSNR": 4.75,
    }
}  # fmt: skip
ENTRIES = {
    "water_level": {"property": "depth_m", "scale": 0.01},
    "distance": {"property": "depth_m", "scale": -0.001, "offset": 2.5},
    "leakage_status": {"property": "depth_m", "words": {"leak": 0.01, "normal": 0}},
    "temperature": {"property": "temp_c"},
    "pressure": {"property": "depth_m", "scale": 10.2},
    "latitude": {"property": "fix.lat"},
    "longitude": {"property": "fix.lon"},
    "name": {"property": "temp_c", "words": {"leak": 1}},
}


def _json(value):
    return json.dumps(value).encode()


def _uplink(raw):
    return CHIRPSTACK | {"data": raw, "time": "2025-11-21T21:20:00.5+00:00"}


def _tts(raw, decoded=None):
    uplink = {"f_cnt": 7, "frm_payload": raw, "received_at": "2025-11-21T21:20:00.123456789Z"}
    return TTS | {"uplink_message": uplink | ({"decoded_payload": decoded} if decoded else {})}


# (codec, its parameters, good payloads)
FORMATS = [
    ("native", {}, [_json(NATIVE), _json(NATIVE[0])]),
    ("native", {"map": ENTRIES}, [_json(NATIVE), _json({"mizumori": NATIVE})]),
    ("senml-json", {"map": ENTRIES}, [_json(SENML)]),
    (
        "senml-cbor",
        {"map": ENTRIES},
        [cbor2.dumps([{LABELS[key]: value for key, value in one.items()} for one in SENML])],
    ),
    (
        "json",
        {"map": ENTRIES | {"n": {"property": "msg.seq"}, "t": {"property": "msg.time_ms"},
                           "at": {"property": "msg.time"}}},
        [_json({"t": NOW_MS, "n": 7, "tank": {"water_level": 3}}),
         _json([{"at": "2025-11-21T21:20:00+00:00", "water_level": 1}, {"depth_m": None}])],
    ),
    (
        "sparkplug-b",
        {"map": ENTRIES},
        [payload(metric("Tank/water_level", ts=NOW_MS, kind=DOUBLE, value=double(12)),
                 metric("temperature", kind=INT16, value=int_(0xFFFE)),
                 metric("leakage_status", ts=NOW_MS - 1, kind=STRING, value=str_("leak")),
                 metric("pressure", ts=NOW_MS - 2, null=True), seq=3)],
    ),
    ("nmea", {}, [(RMC + GGA).encode() * 3]),
    ("loriot", {"map": ENTRIES, "model": "milesight/em500-swl"}, [_json(LORIOT)]),
    ("thingpark", {"map": ENTRIES, "model": "milesight/em500-swl"}, [_json(THINGPARK)]),
    *(
        ("chirpstack", {"map": ENTRIES, "model": model},
         [_json(_uplink(raw)), _json(_uplink(raw) | {"object": OBJECT})])
        for model, raw in RAW.items()
    ),
    *(
        ("tts", {"map": ENTRIES, "model": model}, [_json(_tts(raw)), _json(_tts(raw, OBJECT))])
        for model, raw in RAW.items()
    ),
]  # fmt: skip
