"""Mistakes in the shape of what was sent, in words: the framework's own are for programmers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from api.errors import Mistake
from detectors.sentence import Sentence

_WHOLE: Final = Sentence("must be a whole number")
_NUMBER: Final = Sentence("must be a number")
_TEXT: Final = Sentence("must be a text")
_FLAG: Final = Sentence("must be true or false")
_OBJECT: Final = Sentence("must be an object")
# By pydantic's names of what can be wrong with our requests.
_SAID: Final[Mapping[str, Sentence]] = MappingProxyType(
    {
        "missing": Sentence("is needed and was not given"),
        "extra_forbidden": Sentence("is not permitted: there is no such field"),
        "none_required": Sentence("is not permitted here"),
        "string_pattern_mismatch": Sentence("is no code: letters, digits, '-' and '_', at most 63"),
        "json_invalid": Sentence("cannot be read as JSON"),
        "int_parsing": _WHOLE,
        "int_parsing_size": _WHOLE,
        "int_type": _WHOLE,
        "int_from_float": _WHOLE,
        "float_parsing": _NUMBER,
        "float_type": _NUMBER,
        "string_type": _TEXT,
        "string_unicode": _TEXT,
        "bool_parsing": _FLAG,
        "bool_type": _FLAG,
        "list_type": Sentence("must be a list"),
        "dict_type": _OBJECT,
        "model_type": _OBJECT,
        "model_attributes_type": _OBJECT,
    }
)


def in_words(error: Mapping[str, Any]) -> Mistake:
    """Turn one of pydantic's validation errors into a sentence without its jargon."""
    place = [str(part) for part in error["loc"]]
    field = ".".join(place[1:]) or ".".join(place)
    return Mistake(field, _SAID.get(error["type"]) or _with_values(error))


def _with_values(error: Mapping[str, Any]) -> Sentence:
    context = error.get("ctx", {})
    match error["type"]:
        case "greater_than_equal":
            return Sentence("must be at least {least}", least=context["ge"])
        case "less_than_equal":
            return Sentence("must be at most {most}", most=context["le"])
        case "enum" | "literal_error":
            expected = context["expected"].replace(" or ", ", ")
            return Sentence("must be one of: {expected}", expected=expected)
        case "string_too_long":
            most = context["max_length"]
            return Sentence("must be at most {most} characters long", most=most)
        case "too_long":
            return Sentence("must hold at most {most}", most=context["max_length"])
        case _:
            return Sentence("{said}", said=error["msg"])
