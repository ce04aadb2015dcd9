"""What docs/devices.md shows is what the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from deploy.device_codec import codec_params
from gateway.codecs.binding import CODECS, MODELS
from gateway.codecs.mapping import parse_entry
from gateway.operator_topics import parse_topics
from gateway.sparkplug.topic import SparkplugGroup
from store.datastream_catalog import USUAL_DATASTREAMS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = pytest.mark.parametrize("page", ["devices.md", "devices.ja.md"])


def options(line, name):
    words = shlex.split(line)
    return [words[place + 1] for place, word in enumerate(words) if word == name]


@PAGES
def test_every_codec_and_model_is_named(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [one for one in (*CODECS, *MODELS) if f"`{one}`" not in text] == []


@PAGES
def test_every_mapping_shown_can_be_read(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    table = text[text.index("| `--map` |") : text.index("## ChirpStack")]
    entries = re.findall(r"`([^`]+=[^`]*)`", table)
    assert len(entries) >= 7
    for entry in entries:
        parse_entry(entry)


@PAGES
def test_every_device_shown_can_be_added(page):
    text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^mizumori device add .*$", text, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        [kind], [codec] = options(line, "--kind"), options(line, "--codec")
        streams = [one.partition(":")[0] for one in options(line, "--datastream")]
        streams = streams or [name for name, _ in USUAL_DATASTREAMS[kind]]
        model = (options(line, "--model") or [""])[0]
        codec_params(codec, options(line, "--map"), model, streams)


@PAGES
def test_every_operator_shown_can_be_added(page):
    text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^mizumori operator add .*$", text, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        [codec] = options(line, "--codec")
        assert codec in CODECS
        for topic in options(line, "--topic"):
            assert isinstance(parse_topics(topic), SparkplugGroup) == (codec == "sparkplug-b")
