"""What every rule and test shares: it validates itself and can be written down as JSON."""

import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Final, Self

from detectors.errors import ParameterError
from detectors.sentence import Sentence

_LARGEST: Final = int(sys.float_info.max)


def check_number(
    field: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
) -> float:
    """Return `value` as a finite float, or say what is wrong with it.

    Raises
    ------
    ParameterError
        Not a number, not finite, or outside [least, most] or not above `above`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(field, Sentence("expected a number, got {value!r}", value=value))
    # JSON has whole numbers beyond any float; they are not written out.
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ParameterError(
            field, Sentence("expected a finite number, got one beyond any measure")
        )
    if not math.isfinite(value):
        raise ParameterError(
            field, Sentence("expected a finite number, got {value!r}", value=value)
        )
    if value < least:
        raise ParameterError(
            field, Sentence("must be {least:g} or more, got {value:g}", least=least, value=value)
        )
    if value <= above:
        raise ParameterError(
            field,
            Sentence("must be greater than {above:g}, got {value:g}", above=above, value=value),
        )
    if value > most:
        raise ParameterError(
            field, Sentence("must be {most:g} or less, got {value:g}", most=most, value=value)
        )
    return float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value


def check_keys(owner: str, params: Mapping[str, Any], cls: type) -> None:
    """Refuse unknown and missing keys of `params`, naming the nearest known one.

    Raises
    ------
    ParameterError
        With the key as its field.
    """
    known = {f.name: f for f in fields(cls)}
    for key in params:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = (
                Sentence("did you mean {near!r}?", near=near[0])
                if near
                else Sentence("known: {known}", known=", ".join(known))
            )
            said = Sentence("{owner} has no such parameter; {hint}", owner=owner, hint=hint)
            raise ParameterError(str(key), said)
    for name, f in known.items():
        if name not in params and f.default is MISSING and f.default_factory is MISSING:
            raise ParameterError(name, Sentence("{owner} needs this parameter", owner=owner))


@dataclass(frozen=True)
class Parameters:
    """Base of the frozen, self-validating parameter sets of rules and tests."""

    kind: ClassVar[str] = ""

    def to_params(self) -> dict[str, Any]:
        """Return the parameters as plain JSON values, without the kind."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Read back what `to_params` wrote.

        Raises
        ------
        ParameterError
            Unknown, missing or refused parameter.
        """
        if not isinstance(params, Mapping):
            raise ParameterError(
                cls.kind, Sentence("expected an object of parameters, got {given!r}", given=params)
            )
        check_keys(cls.kind, params, cls)
        return cls(**{key: cls._read(key, value) for key, value in params.items()})

    @classmethod
    def _read(cls, key: str, value: Any) -> Any:  # noqa: ARG003 (subclasses look at the key)
        return tuple(value) if isinstance(value, list) else value
