"""The dictionaries: the same keys, every key used, and no word that the desk must not read."""

import json
import re
from pathlib import Path

import pytest

from detectors.rules import KINDS

API = Path(__file__).parents[2] / "api"
WEB = API / "web"
# Words that promise what nobody knows, that belong to others, or that mean something else here.
FORBIDDEN = (
    "警報", "危険警報", "洪水警報", "正常", "安全", "異常なし", "避難勧告", "レベル4",
    "テスト", "デモ", "テナント", "ロール", "アノマリー", "カバレッジ", "セグメント",
)  # fmt: skip
FORBIDDEN_EN = ("normal", "safe", "all clear", "healthy", "tenant", "test", "demo", "anomaly")


def dictionary(language):
    return json.loads((WEB / "words" / f"{language}.json").read_text("utf-8"))


def scripts():
    return {path.name: path.read_text("utf-8") for path in (WEB / "js").glob("*.js")}


def test_both_languages_have_the_same_keys_and_placeholders():
    ja, en = dictionary("ja"), dictionary("en")
    assert ja.keys() == en.keys()
    for key in ja:
        assert ja[key].strip()
        assert en[key].strip()
        assert set(re.findall(r"\{\w+\}", ja[key])) == set(re.findall(r"\{\w+\}", en[key])), key


@pytest.mark.parametrize("word", FORBIDDEN)
def test_japanese_words_promise_nothing_and_borrow_nothing(word):
    assert [key for key, text in dictionary("ja").items() if word in text] == []
    assert [name for name, text in scripts().items() if word in text] == []
    assert word not in (WEB / "index.html").read_text("utf-8")


@pytest.mark.parametrize("word", FORBIDDEN_EN)
def test_english_words_promise_nothing(word):
    found = [k for k, text in dictionary("en").items() if re.search(rf"\b{word}\b", text.lower())]
    assert found == []


def test_every_key_is_said_somewhere_and_every_key_said_is_there():
    drawn = (API / "backtest_picture.py").read_text("utf-8")  # on the server, in the same words
    source = "\n".join([*scripts().values(), (WEB / "index.html").read_text("utf-8"), drawn])
    keys = dictionary("ja").keys()
    said = set(re.findall(r'(?:say|knows)\(\s*"([^"]+)"', source))
    said |= set(re.findall(r'data-word(?:-\w+)?="([^"]+)"', source))
    assert said - keys == set()
    # Keys put together, such as `flag.${flag}`, count by what stands before the ${.
    starts = tuple(re.findall(r"`([a-z_.]+)\$\{", source))
    quoted = set(re.findall(r'"([a-z_]+\.[a-z_0-9]+)"', source))
    unused = {key for key in keys if key not in said | quoted and not key.startswith(starts)}
    assert unused == set()


def test_every_kind_of_rule_has_a_sentence():
    said = {f"rule.{kind}" for kind in KINDS if kind != "threshold"}
    assert said | {"rule.rising", "rule.falling"} <= dictionary("ja").keys()


def test_every_reason_for_unknown_has_words():
    from typing import get_args

    from api.standing import UnknownReason

    keys = dictionary("ja").keys()
    assert [reason for reason in get_args(UnknownReason) if f"unknown.{reason}" not in keys] == []


def test_nothing_is_inline_and_nothing_is_parsed_as_html():
    page = (WEB / "index.html").read_text("utf-8")
    assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page) == []
    for name, text in scripts().items():
        assert (
            re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text) == []
        ), name
        assert re.findall(r"https?://(?!www\.w3\.org)", text) == []
