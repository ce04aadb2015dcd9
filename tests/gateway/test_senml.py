"""SenML by the examples of RFC 8428 and by vectors of our own."""

import base64
import gzip
import json
import math
import pathlib

import cbor2
import pytest

from gateway.codecs import senml
from gateway.errors import RefusedReadingError

FILE = pathlib.Path(__file__).parents[1] / "data/senml_rfc8428.json.gz"
EXAMPLES = json.loads(gzip.decompress(FILE.read_bytes()))
LABELS = {name: label for label, name in senml._LABELS.items()}


def rows(reports):
    return [
        (report.ts_ms, report.age_ms, measure.name, measure.unit, measure.value)
        for report in reports
        for measure in report.measures
    ]


def expected(name):
    """What the pack says, times that are relative in it left open."""
    found = []
    for record in EXAMPLES[name]["resolved"]:
        value = record.get("v", record.get("vb", record.get("vs")))
        found.append((record["n"], record.get("u", ""), value, round(record["t"] * 1000)))
    return found


# Some packs have relative times: their resolved form was made at another moment than ours.
RELATIVE = {"ex1", "ex2", "ex7", "ex9"}


def check(reports, name):
    found = sorted(rows(reports), key=str)
    wanted = sorted(expected(name), key=str)
    assert sorted((n, u, v) for _, _, n, u, v in found) == sorted(w[:3] for w in wanted)
    for ts_ms, age_ms, *_ in found:
        if name in RELATIVE:
            assert (ts_ms, age_ms) == (None, None)
    if name not in RELATIVE:
        assert sorted(row[0] for row in found) == sorted(w[3] for w in wanted)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_rfc(name):
    example = EXAMPLES[name]
    check(senml.decode_json(example["json"].encode()), name)
    if example["cbor"]:
        check(senml.decode_cbor(base64.b64decode(example["cbor"])), name)


PACK = [
    {"bn": "urn:dev:ow:1:", "bt": 1763760000.5, "bu": "m", "bv": 1,
     "n": "stage", "v": 0.25, "t": -60},
    {"n": "stage", "v": 0.5},
    {"n": "volts", "u": "V", "v": 2.6, "s": 7},
    {"n": "wet", "u": "", "vb": True},
    {"n": "door", "vs": "open", "bu": "s", "bt": 0, "t": -30},
    {"n": "noted", "vd": "aGkgCg"},
]  # fmt: skip
SAID = [
    (1763759940500, None, "urn:dev:ow:1:stage", "m", 1.25),
    (1763760000500, None, "urn:dev:ow:1:stage", "m", 1.5),
    (1763760000500, None, "urn:dev:ow:1:volts", "V", 3.6),
    (1763760000500, None, "urn:dev:ow:1:volts.sum", "V", 7),
    (1763760000500, None, "urn:dev:ow:1:wet", "", True),
    (None, 30_000, "urn:dev:ow:1:door", "s", "open"),
]


def to_cbor(pack):
    return cbor2.dumps([{LABELS[key]: value for key, value in one.items()} for one in pack])


def test_base_fields_and_relative_times_in_both_forms():
    assert rows(senml.decode_json(json.dumps(PACK).encode())) == SAID
    assert rows(senml.decode_cbor(to_cbor(PACK))) == SAID


def test_cbor_has_decimal_fractions_and_no_number_is_missing():
    pack = cbor2.dumps([{0: "a", 2: cbor2.CBORTag(4, [-2, 27315])}, {0: "b", 2: math.nan}])
    [report] = senml.decode_cbor(pack)
    assert report.measures[0].value == 273.15
    assert math.isnan(report.measures[1].value)


@pytest.mark.parametrize("pack", [
    [{"n": "a", "v": 1, "b_": 2}],
    [{"n": "a", "v": 1, "bver": 11}],
    [{"n": "a", "v": 1, "bver": 0}],
    [{"v": 1}],
    [{"n": "a", "v": "1"}],
    [{"n": "a", "v": True}],
    [{"n": 7, "v": 1}],
    [{"n": "a", "v": 1, "t": 1e15}],
    [{"n": "a", "v": 1, "t": -1e9}],
    [{"n": "a", "v": 10**400}],
    {"n": "a", "v": 1},
    ["a"],
    7,
])  # fmt: skip
def test_what_is_no_pack_is_refused(pack):
    with pytest.raises(RefusedReadingError):
        senml.decode_json(json.dumps(pack).encode())
    with pytest.raises(RefusedReadingError):
        senml.decode_cbor(cbor2.dumps(pack))


@pytest.mark.parametrize("payload", [
    b"", b"\xff", b"\x81\xa1\x00\xd8\x23\x61\x28", b"\x9b\x00\x00\x00\x0f\xff\xff\xff\x00",
    b"\x81" * 1000, b"\x81\xa2\x00\x61a\x02\xc5\x82\x1a\x7f\xff\xff\xff\x01",
    b"\x81\xa2\x00\x61a\x02\xc4\x82\x1a\x7f\xff\xff\xff\x01",
    b"\x81\xa2\x00\x61a\x02\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    cbor2.dumps([{0: "a", 2: 1}]) + b"\x80",
])  # fmt: skip
def test_hostile_cbor_is_refused(payload):
    with pytest.raises(RefusedReadingError):
        senml.decode_cbor(payload)
