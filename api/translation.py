"""What the API refuses, said in Japanese: one file holds every such sentence.

Where a sentence is written in the code, it is in English, and that is what it is found by here.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from api.dictionary import Language
from detectors.sentence import Sentence

SENTENCES: Final = Path(__file__).parent / "sentences.ja.json"


def in_language(said: str, language: Language) -> str:
    """Say a sentence in a language; one that was never translated stays English."""
    if language == "en" or not isinstance(said, Sentence):
        return str(said)
    template = japanese().get(said.template)
    if template is None:
        return str(said)
    values = {
        name: in_language(value, language) if isinstance(value, Sentence) else value
        for name, value in said.values.items()
    }
    return template.format(**values)


def together(said: Iterable[str], language: Language) -> str:
    """Put sentences of one language one after the other."""
    return ("" if language == "ja" else " ").join(said)


def of_mistakes(mistakes: Iterable[tuple[str, str]]) -> str:
    """Put mistakes together that are in Japanese: what is wrong, and in which field."""
    return "".join(f"{message}（{field}）。" for field, message in mistakes)  # noqa: RUF001


@functools.cache
def japanese() -> Mapping[str, str]:
    """Read the sentences, once: English template to Japanese template."""
    found: Mapping[str, str] = json.loads(SENTENCES.read_text(encoding="utf-8"))
    return found
