"""Sparkplug messages that others made: payloads of another encoder, and a captured numbering."""

import base64
import gzip
import itertools
import json
import pathlib

import pytest

from gateway.codecs import sparkplug
from gateway.reasons import Reason
from gateway.sparkplug.host import Host
from tests.gateway.conftest import NOW_MS
from tests.gateway.sparkplug_messages import DOUBLE, double, metric, payload, values

FILE = pathlib.Path(__file__).parents[1] / "data/sparkplug_b.json.gz"
RECORDED = json.loads(gzip.decompress(FILE.read_bytes()))
PAYLOADS = {name: base64.b64decode(one["base64"]) for name, one in RECORDED["payloads"].items()}


@pytest.mark.parametrize("name", PAYLOADS)
def test_payloads_of_another_encoder_are_read(name):
    found = sparkplug.parse(PAYLOADS[name])
    assert len(found.metrics) == RECORDED["payloads"][name]["metric_count"]
    assert found.timestamp_ms == 1_750_855_643_474


def test_a_node_is_born_reports_skips_a_number_and_is_read_all_the_same():
    host = Host()

    def take(name):
        kind = RECORDED["payloads"][name]["message_type"]
        return host.take(f"spBv1.0/g/{kind}/edge", PAYLOADS[name])

    early = take("NDATA_BEFORE_BIRTH")
    assert (early.reason, early.rebirth) == (Reason.NO_BIRTH, True)
    for name, temperature, rebirth in (
        ("NBIRTH_V1", 21.5, False),
        ("NDATA_V1", 22.5, False),
        ("NDATA_GAP", 27.0, True),
        ("NDATA_WRAPAROUND", 30.0, True),
    ):
        step = take(name)
        [(code, complete)] = step.forward
        [(_, metric_name, value)] = values(complete)
        assert (code, metric_name, value) == ("edge", "Temperature", temperature)
        assert (step.reason, step.rebirth) == ("", rebirth), name


def test_a_captured_numbering_asks_for_the_birth_at_its_gaps_alone():
    """Node and devices share the numbers; seven messages came without theirs."""
    host = Host()
    numbers = [seq for _, seq in RECORDED["numbers"]]
    host.take("spBv1.0/org_A/NBIRTH/702", payload(
        metric("x", kind=DOUBLE, value=double(0)), ts=NOW_MS, seq=numbers[0] - 1))  # fmt: skip
    asked = []
    for place, (topic, seq) in enumerate(RECORDED["numbers"]):
        step = host.take(topic, payload(metric("x", value=double(1)), ts=NOW_MS + place, seq=seq))
        assert step.forward
        asked += [place] if step.rebirth else []
    numbered = [(place, seq) for place, seq in enumerate(numbers) if seq is not None]
    pairs = itertools.pairwise(numbered)
    gaps = [at for (place, a), (at, b) in pairs if (b - a) % 256 != at - place]
    assert len(gaps) == 10
    assert asked == gaps
