"""What a refusal that was asked for in Japanese must be: all of it is."""

import re

JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龠]")
# Three words in a row; commands stand in backticks.
ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}")
ASKED = {"Accept-Language": "ja"}


def said(answer):
    """Hold that nothing of a refusal is left in English, and return its body."""
    body = answer.json()
    assert answer.headers["content-language"] == "ja"
    assert "Accept-Language" in answer.headers["vary"]
    for text in (
        body["title"],
        body["detail"],
        *(one["message"] for one in body.get("errors", ())),
    ):
        assert JAPANESE.search(text), text
        assert not ENGLISH.search(re.sub("`[^`]*`", "", text)), text
        assert "英語の説明" not in text, text
    return body
