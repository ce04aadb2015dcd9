"""The console's words, for what the server itself draws or writes for people."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from api.words import Name

Language = Literal["ja", "en"]

_WORDS: Final = Path(__file__).parent / "web" / "words"


@dataclass(frozen=True)
class Dictionary:
    """The words of one language: those of the page, so that both call a thing the same."""

    language: Language
    words: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """Return the text of a key with `{name}` filled in; a key without words shows itself."""
        text = self.words.get(key, key)
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def quantity(self, observed_property: str) -> str:
        """Return what an observed property is called."""
        return self.words.get(f"quantity.{observed_property}", observed_property)

    def of(self, name: Name | None) -> str:
        """Return a name in this language; without one nothing."""
        if name is None:
            return ""
        return name.ja if self.language == "ja" else name.en


@functools.cache
def dictionary(language: Language) -> Dictionary:
    """Read the words of a language, once."""
    words = json.loads((_WORDS / f"{language}.json").read_text(encoding="utf-8"))
    return Dictionary(language, words)
