"""The language of an answer: the one that the reader's browser puts first."""

from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import Scope

from api.dictionary import Language

DEFAULT: Final[Language] = "en"
_KNOWN: Final[tuple[Language, ...]] = ("ja", "en")
_LONGEST: Final = 500  # of a header that is looked at


def language_of(scope: Scope) -> Language:
    """Return the language that `Accept-Language` prefers among ours; English without any."""
    wished = Headers(scope=scope).get("accept-language", "")[:_LONGEST]
    best: tuple[float, Language] = (0.0, DEFAULT)
    for part in wished.split(","):
        tag, _, quality = part.partition(";")
        weight = _weight(quality)
        for language in _KNOWN:
            if tag.strip().lower().split("-")[0] == language and weight > best[0]:
                best = weight, language
    return best[1]


def spoken_in(language: Language) -> dict[str, str]:
    """Return the headers of an answer that is in a language because it was asked for."""
    return {"Content-Language": language, "Vary": "Accept-Language"}


def _weight(quality: str) -> float:
    name, _, number = quality.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(1.0, float(number))
    except ValueError:
        return 0.0


def _of_request(request: Request) -> Language:
    return language_of(request.scope)


HasLanguage = Annotated[Language, Depends(_of_request)]
