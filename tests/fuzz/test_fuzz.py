"""Some thousand spoiled cases in the suite; a million by `python -m tests.fuzz`."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.codecs.binding import bind
from gateway.errors import RefusedReadingError
from tests.fuzz.__main__ import run
from tests.fuzz.decoded import PROPERTIES
from tests.fuzz.seeds import FORMATS


@pytest.mark.parametrize("place", range(len(FORMATS)))
def test_the_seeds_are_good(place):
    codec, params, payloads = FORMATS[place]
    decode = bind(codec, params, PROPERTIES, moves=True)
    assert any(reading.m or reading.fix for payload in payloads for reading in decode(payload))


def test_nothing_escapes_of_what_is_spoiled_and_no_neighbour_is_lost(database_dsn):
    """Decoder, operators' topics, HTTP push, unknown devices and files, each a little."""
    seen = run(database_dsn, 3_000, seed=11)
    assert seen["decoded"]["accepted"] > 50
    assert seen["decoded"]["bad_payload"] > 200
    assert seen["relayed"]["handed_on"] > 500
    assert seen["relayed"]["no_birth"] + seen["relayed"]["unknown_device"] > 20
    assert seen["pushed"]["202 stored"] > 0
    assert seen["pushed"]["202 quarantined"] > 5
    assert seen["unknown"]["device_quarantined"] > 20
    assert seen["imported"]["imported"] > 200
    assert seen["imported"]["skipped"] > 100


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(range(len(FORMATS))), st.binary(max_size=300))
def test_bytes_of_any_kind_are_read_or_refused(place, payload):
    codec, params, _ = FORMATS[place]
    with contextlib.suppress(RefusedReadingError):
        bind(codec, params, PROPERTIES, moves=True)(payload)
