"""A device's mapping, as a person says it at the terminal."""

import pytest

from deploy.device_codec import codec_params, mapping_lines
from gateway.codecs.binding import read_params
from store.errors import RefusedError


def test_a_mapping_is_kept_as_the_gateway_reads_it_and_shown_in_words():
    entries = ["water_level=depth_m*0.01-0.2", "leak=wet:leak=1:normal=0", "battery="]
    stored = codec_params("chirpstack", entries, "milesight/em500-swl", ["depth_m", "wet"])
    params = read_params("chirpstack", stored)
    assert params.map["water_level"].number("water_level", 50) == pytest.approx(0.3)
    assert mapping_lines(stored) == [
        "model milesight/em500-swl",
        "water_level -> depth_m * 0.01 -0.2",
        "leak -> wet (leak = 1, normal = 0)",
        "battery: left out",
    ]


@pytest.mark.parametrize(("codec", "entries", "model", "words"), [
    ("morse", [], "", "there are native"),
    ("tts", ["a"], "", "NAME=PROPERTY"),
    ("tts", ["a=depth_m", "a=depth_m"], "", "mapped twice"),
    ("tts", ["a=stage_m"], "", "first, with its unit"),
    ("nmea", [], "milesight/at101", "not with 'nmea'"),
])  # fmt: skip
def test_what_cannot_be_is_said_before_anything_is_stored(codec, entries, model, words):
    with pytest.raises(RefusedError, match=words):
        codec_params(codec, entries, model, ["depth_m"])
