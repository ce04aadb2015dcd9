"""What is refused is said in the reader's language: no kind and no sentence lacks its Japanese."""

import ast
import copy
import json
import pickle
import re
import string
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from api import translation
from api.errors import ApiError, Kind, mistake
from api.language import language_of
from api.problems import problem_response
from api.translation import in_language
from detectors.rules import rule_from_params
from detectors.sentence import Sentence
from store import site_catalog
from tests.api import japanese
from tests.api.test_backtest import RANGE, flooded  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]


def templates():
    """Every sentence that the code says, as it is written there."""
    for room in ("detectors", "store", "gateway", "api", "deploy"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Sentence":
                    first = node.args[0]
                    chosen = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                    yield from (ast.literal_eval(part) for part in chosen)


def names(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def scope(wished="ja"):
    headers = [(b"accept-language", wished.encode()), (b"host", b"town.lan")]
    return {"type": "http", "path": "/x", "headers": headers, "query_string": b"", "scheme": "http"}


def test_every_sentence_has_its_japanese_and_no_japanese_is_left_over():
    assert set(templates()) == translation.japanese().keys()


def test_the_japanese_fills_in_the_same_values():
    for english, said in translation.japanese().items():
        assert names(said) <= names(english), english
        # Formats such as :g are kept, or a reader sees 0.30000000000000004.
        rounded = {part for part in re.findall(r"\{\w+(?::[^}]+)?\}", english) if ":" in part}
        assert {part for part in rounded if part not in said} <= set(), english
        assert japanese.JAPANESE.search(said) or names(said) == {"reason"}, english


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_problem_has_a_name_for_machines_and_its_japanese(kind):
    assert re.fullmatch(r"urn:mizumori:problem:[a-z]+(-[a-z]+)*", kind.urn)
    assert [other.urn for other in Kind].count(kind.urn) == 1
    assert japanese.JAPANESE.search(kind.title_ja)
    for wished, title in (("ja-JP,ja;q=0.9", kind.title_ja), ("en", kind.title), ("", kind.title)):
        answer = problem_response(kind, Sentence("Writing needs a token."), scope(wished))
        assert json.loads(answer.body)["title"] == title
        assert bool(japanese.JAPANESE.search(json.loads(answer.body)["detail"])) == ("ja" in wished)
        assert answer.headers["vary"] == "Accept-Language"


@pytest.mark.parametrize(
    ("wished", "language"),
    [
        ("", "en"), ("ja", "ja"), ("JA-jp", "ja"), ("fr, ja;q=0.2", "ja"), ("*", "en"),
        ("en-GB,en;q=0.9,ja;q=0.8", "en"), ("en;q=0.3, ja;q=0.8", "ja"), ("ja;q=0", "en"),
        ("ja;q=x", "en"), (";;,=", "en"), ("java", "en"), ("x" * 10_000 + ",ja", "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_that_is_put_first(wished, language):
    assert language_of(scope(wished)) == language


def test_a_sentence_within_a_sentence_is_translated_with_it():
    levels = [{"on": 0.2, "off": 0.1}, {"on": 0.1, "off": 0.05}]
    with pytest.raises(ValueError, match="must go on at") as refused:
        rule_from_params("threshold", {"levels": levels})
    said = Sentence(
        "The parameters for the rule {rule!r} are refused: {error}",
        rule="street-depth",
        error=refused.value.args[0],
    )
    assert in_language(said, "ja") == (
        "基準「street-depth」のパラメーターを使えません："
        "段階2の検知は、段階1と同じ 0.2 以上にしてください（いまは 0.1）"
    )
    assert in_language(said, "en") == str(said)


def test_what_was_never_translated_is_said_in_english():
    assert in_language("plain", "ja") == "plain"
    assert in_language(Sentence("nobody knows {it}", it=1), "ja") == "nobody knows 1"


@pytest.mark.parametrize("same", [copy.deepcopy, lambda said: pickle.loads(pickle.dumps(said))])  # noqa: S301 - our own
def test_a_sentence_is_carried_along_whole(same):
    said = Sentence("must be at most {most}", most="{odd}")
    assert same(said) == said == "must be at most {odd}"
    assert same(said).values == {"most": "{odd}"}


def refusal(api, status, method, path, **request):
    answer = api.client.request(method, f"/api/v1{path}", headers=japanese.ASKED, **request)
    assert answer.status_code == status, answer.text
    return japanese.said(answer)


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"rule": 1}}, {"json": {"rule": "A b"}}, {"json": {"rule": "a", "params": 1}},
        {"json": {"rule": "a", "since": "x" * 50}}, {"json": {"rule": "a", "real": 1}},
        {"json": {"rule": "a", "real": [1]}}, {"json": {"rule": "a", "odd": 1}}, {"json": []},
        {"json": {"rule": "a"}, "params": {"format": "pdf"}}, {"content": b"{"}, {"content": b'"'},
        {"json": {"rule": "a", "real": [{"device": "f1", "time": "2026-01-01"}] * 10_001}},
    ],
)  # fmt: skip
def test_what_has_the_wrong_shape_is_said_without_the_framework_s_words(api, request_):
    assert refusal(api, 422, "POST", "/sakata/backtest", **request_)["errors"]


def test_what_is_no_text_and_what_an_address_has_wrong_is_said_in_japanese(api):
    where = "/sakata/backtest"
    headers = {**japanese.ASKED, "Content-Type": "application/json"}
    answer = api.client.post(f"/api/v1{where}", content=b'{"rule": "\xff"}', headers=headers)
    assert answer.status_code == 400
    assert "UTF-8" in japanese.said(answer)["detail"]
    for query in ("limit=x", "limit=0", "limit=99999", "waiting=perhaps", "cursor=x"):
        refusal(api, 422, "GET", f"/sakata/quarantine?{query}")


@pytest.mark.usefixtures("flooded")
def test_what_a_page_meets_is_said_in_japanese_with_its_values(api, monkeypatch):
    asked = {"rule": "street-depth", **RANGE}
    where = "/sakata/backtest"
    assert "「nowhere」" in refusal(api, 404, "GET", "/nowhere/devices")["detail"]
    assert "「f9」" in refusal(api, 404, "GET", "/sakata/devices/f9")["detail"]
    assert "999" in refusal(api, 404, "GET", "/sakata/alerts/999")["detail"]
    assert "999" in refusal(api, 404, "GET", "/sakata/datastreams/999/observations")["detail"]
    assert refusal(api, 404, "GET", "/sakata/nothing")
    assert refusal(api, 405, "GET", where)
    assert "mizumori token add sakata" in refusal(api, 401, "POST", "/sakata/rules")["detail"]
    assert refusal(api, 413, "POST", where, content=b"x" * 10_000_000)
    body = refusal(api, 422, "POST", where, json={"since": "soon"})
    assert [error["message"] for error in body["errors"]] == ["必要ですが、指定がありません"]
    body = refusal(api, 422, "POST", where, json={**asked, "since": "soon"})
    assert body["detail"].startswith("「soon」は時刻として読めません。")
    body = refusal(api, 422, "POST", where, json={**asked, "rule": "street-dept"})
    assert "street-depth" in body["detail"]
    with monkeypatch.context() as less:
        less.setattr("api.routes.backtest.MOST_READINGS", 5)
        assert "5 件" in refusal(api, 413, "POST", where, json=asked)["detail"]
    with api.app.state.backtests:
        assert refusal(api, 503, "POST", where, json=asked)

    def wrong(*_args):
        raise KeyError

    monkeypatch.setattr(site_catalog, "sites", wrong)
    with capture_logs():
        assert refusal(api, 500, "GET", "/sakata/sites")


def test_a_live_feed_that_takes_nobody_says_so_in_japanese(api):
    api.app.state.feed.stop()
    assert "停止" in refusal(api, 503, "GET", "/sakata/live")["detail"]


def test_an_error_is_built_of_a_sentence():
    said = mistake("since", Sentence("must be at most {most}", most=3))
    assert isinstance(said, ApiError)
    assert in_language(said.detail, "ja") == "3 以下にしてください"
