"""What is wrong with values that somebody wants in the catalog, field by field, in words."""

import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from detectors.level_labels import LEVEL_LABELS
from detectors.sentence import Sentence
from store.errors import RefusedError

SITE_KINDS = ("street", "underpass", "river", "pond", "depot")
DEVICE_KINDS = ("flood_contact", "flood_level", "pond_probe", "plow")
DEVICE_STATES = ("active", "maintenance", "out_of_season", "quarantined", "retired")

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_TOWN_CODE = re.compile(r"[a-z][a-z0-9-]{0,30}", re.ASCII)
_RULE_CODE = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_LONGEST_NAME = 200
_LONGEST_UNIT = 40
_LONGEST_INTERVAL_S = 31 * 86_400
_Check = Callable[[Any], Sentence | None]


@dataclass(frozen=True)
class Mistake:
    """One value that cannot be: its field, and what to write instead."""

    field: str
    message: Sentence


class MistakesError(RefusedError):
    """Values that the catalog does not take.

    Parameters
    ----------
    what
        Whose values they are: ``The device 'f1'``.
    mistakes
        Each with its field.
    """

    def __init__(self, what: str, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        said = "; ".join(f"{one.field} {one.message}" for one in self.mistakes)
        super().__init__(f"{what} is refused: {said}.")


class TakenError(MistakesError):
    """A code that is somebody else's already."""

    def __init__(self, what: str, code: str) -> None:
        super().__init__(what, [Mistake("code", Sentence("{name!r} is there already", name=code))])


class NotThereError(RefusedError):
    """What is to be changed does not exist."""


def no_such_site(code: str) -> Mistake:
    """Say that a town does not have a site."""
    said = Sentence("{code!r} is none that this town has; add the site first", code=code[:80])
    return Mistake("site", said)


def refuse(what: str, mistakes: Collection[Mistake]) -> None:
    """Raise if there is any mistake.

    Raises
    ------
    MistakesError
        With all of them.
    """
    if mistakes:
        raise MistakesError(what, mistakes)


def of_town(values: Mapping[str, Any]) -> list[Mistake]:
    """Check a town's values, those that are given."""
    return _checked(
        values,
        {
            "code": lambda v: _code(
                v, _TOWN_CODE, Sentence("lower-case letters, digits and '-', at most 31")
            ),
            "name_ja": _name,
            "name_en": _name,
            "time_zone": _time_zone,
            "map_lat": _latitude,
            "map_lon": _longitude,
            "map_zoom": lambda v: _between(v, 0, 22, Sentence("from 0 to 22")),
            "register_per_day": lambda v: _between(v, 0, 1000, Sentence("from 0 (none) to 1000")),
        },
    )


def of_site(values: Mapping[str, Any]) -> list[Mistake]:
    """Check a site's values, those that are given."""
    found = _checked(
        values,
        {
            "code": _place_code,
            "kind": lambda v: _one_of(v, SITE_KINDS),
            "name_ja": _name,
            "name_en": _name,
            "lat": _latitude,
            "lon": _longitude,
            "close_at_m": lambda v: _optional(v, 0, 100, Sentence("metres, from 0 on")),
            "crew_minutes": lambda v: _optional(v, 0, 10_000, Sentence("minutes, from 0 on")),
            "ground_m": lambda v: _optional(v, -500, 9000, Sentence("metres above sea level")),
        },
    )
    return found or _half_a_place(values)


def of_device(values: Mapping[str, Any]) -> list[Mistake]:
    """Check a device's values, those that are given."""
    found = _checked(
        values,
        {
            "code": _place_code,
            "kind": lambda v: _one_of(v, DEVICE_KINDS),
            "name_ja": _name,
            "name_en": _name,
            "lat": _latitude,
            "lon": _longitude,
            "expected_interval_s": _interval,
            "state": lambda v: _one_of(v, DEVICE_STATES),
            "datastreams": _datastreams,
        },
    )
    return found or _half_a_place(values)


def of_datastream(name: str, unit: str) -> list[Mistake]:
    """Check an observed property and its unit."""
    found = []
    if not _PROPERTY.fullmatch(name):
        found.append(
            Mistake(
                "property",
                _not_allowed(
                    name,
                    Sentence("lower-case letters, digits and '_', beginning with a letter"),
                ),
            )
        )
    if not unit.strip() or len(unit) > _LONGEST_UNIT or not unit.isprintable():
        allowed = Sentence("one to {most} characters", most=_LONGEST_UNIT)
        found.append(Mistake("unit", _not_allowed(unit, allowed)))
    return found


def of_rule(values: Mapping[str, Any]) -> list[Mistake]:
    """Check a rule's values but its parameters, those that are given."""
    schemes = tuple(sorted({label.scheme for label in LEVEL_LABELS}))
    found = _checked(
        values,
        {
            "code": lambda v: _code(
                v,
                _RULE_CODE,
                Sentence("lower-case letters, digits and '-', beginning with a letter"),
            ),
            "device_kind": lambda v: _one_of(v, DEVICE_KINDS),
            "site_kinds": lambda v: next(filter(None, (_one_of(k, SITE_KINDS) for k in v)), None),
            "label_scheme": lambda v: _one_of(v, schemes),
        },
    )
    if "property" in values:
        found += [one for one in of_datastream(values["property"], "1") if one.field == "property"]
    return found


def _checked(values: Mapping[str, Any], checks: Mapping[str, _Check]) -> list[Mistake]:
    found = []
    for name, check in checks.items():
        if name in values and (message := check(values[name])):
            found.append(Mistake(name, message))
    return found


def _not_allowed(value: str, allowed: Sentence) -> Sentence:
    return Sentence("{value!r} is not allowed: {allowed}", value=value[:80], allowed=allowed)


def _code(value: str, pattern: re.Pattern[str], allowed: Sentence) -> Sentence | None:
    return None if pattern.fullmatch(value) else _not_allowed(value, allowed)


def _place_code(value: str) -> Sentence | None:
    allowed = Sentence("letters, digits, '-' and '_', at most 63, no blanks")
    return _code(value, _CODE, allowed)


def _name(value: str) -> Sentence | None:
    if len(value) > _LONGEST_NAME:
        return Sentence("is longer than {most} characters", most=_LONGEST_NAME)
    # A wide blank (U+3000) is a letter like any other here; Python does not count it as printable.
    shown = all(c.isprintable() or unicodedata.category(c) == "Zs" for c in value)
    return None if shown else Sentence("holds a character that cannot be shown")


def _one_of(value: str, allowed: tuple[str, ...]) -> Sentence | None:
    if value in allowed:
        return None
    known = ", ".join(allowed)
    return Sentence("{value!r} is not one of {known}", value=value[:80], known=known)


def _interval(value: float) -> Sentence | None:
    if math.isfinite(value) and 0 < value <= _LONGEST_INTERVAL_S:
        return None
    return Sentence("is not allowed: seconds, more than 0 and at most 31 days")


def _between(value: float, low: float, high: float, allowed: Sentence) -> Sentence | None:
    if low <= value <= high:
        return None
    return Sentence("{value:g} is not allowed: {allowed}", value=value, allowed=allowed)


def _optional(value: float | None, low: float, high: float, allowed: Sentence) -> Sentence | None:
    return None if value is None else _between(value, low, high, allowed)


def _latitude(value: float | None) -> Sentence | None:
    return _optional(value, -90, 90, Sentence("degrees from -90 to 90"))


def _longitude(value: float | None) -> Sentence | None:
    return _optional(value, -180, 180, Sentence("degrees from -180 to 180"))


def _half_a_place(values: Mapping[str, Any]) -> list[Mistake]:
    given = [name for name in ("lat", "lon") if values.get(name) is not None]
    if len(given) == 1 and {"lat", "lon"} <= values.keys():
        missing = "lon" if given == ["lat"] else "lat"
        said = Sentence("is missing: {given} alone is no position", given=given[0])
        return [Mistake(missing, said)]
    return []


def _time_zone(value: str) -> Sentence | None:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        return Sentence("{value!r} is not known: a name such as Asia/Tokyo", value=value[:80])
    return None


def _datastreams(streams: Iterable[tuple[str, str]]) -> Sentence | None:
    seen: set[str] = set()
    for name, unit in streams:
        for wrong in of_datastream(name, unit):
            return Sentence(
                "hold a {field} that is refused: {message}",
                field=wrong.field,
                message=wrong.message,
            )
        if name in seen:
            return Sentence("hold {name!r} twice", name=name)
        seen.add(name)
    return None
