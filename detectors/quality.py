"""Parameters of the quality tests that run with each reading of one datastream (QARTOD)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from detectors.errors import ParameterError
from detectors.parameters import Parameters, check_keys, check_number
from detectors.sentence import Sentence


def _check_span(field: str, span: Any) -> tuple[float, float]:
    if not isinstance(span, tuple) or len(span) != 2:
        raise ParameterError(
            field, Sentence("expected two numbers, lowest and highest, got {span!r}", span=span)
        )
    low, high = (check_number(field, bound) for bound in span)
    if not low <= high:
        raise ParameterError(
            field,
            Sentence("the lowest ({low:g}) is above the highest ({high:g})", low=low, high=high),
        )
    return low, high


@dataclass(frozen=True)
class GrossRange(Parameters):
    """Outside what the instrument can measure: fail; outside what people expect: suspect.

    Attributes
    ----------
    sensor_span : (float, float)
        Lowest and highest value that the instrument can measure. Strictly outside: flag 4.
    user_span : (float, float), optional
        Lowest and highest value expected at the place, within the sensor span. Outside: flag 3.
    """

    kind: ClassVar[str] = "gross_range"

    sensor_span: tuple[float, float]
    user_span: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        sensor = _check_span("sensor_span", self.sensor_span)
        object.__setattr__(self, "sensor_span", sensor)
        if self.user_span is not None:
            user = _check_span("user_span", self.user_span)
            if user[0] < sensor[0] or user[1] > sensor[1]:
                raise ParameterError(
                    "user_span",
                    Sentence(
                        "must lie within the sensor span {low:g} to {high:g}",
                        low=sensor[0],
                        high=sensor[1],
                    ),
                )
            object.__setattr__(self, "user_span", user)


@dataclass(frozen=True)
class Season:
    """A part of the year and the values that are usual in it.

    Attributes
    ----------
    from_month, to_month : int
        1 to 12, both included; from 11 to 2 goes over the turn of the year. Months are UTC.
    span : (float, float)
        Outside is suspect, never fail.
    """

    from_month: int
    to_month: int
    span: tuple[float, float]

    def __post_init__(self) -> None:
        for name in ("from_month", "to_month"):
            month = getattr(self, name)
            if month not in range(1, 13):
                raise ParameterError(
                    name, Sentence("must be a month from 1 to 12, got {month!r}", month=month)
                )
        object.__setattr__(self, "span", _check_span("span", self.span))


def _read_season(item: Any) -> Season:
    if not isinstance(item, Mapping):
        raise ParameterError(
            "seasons", Sentence("expected an object with months and span, got {item!r}", item=item)
        )
    check_keys(Sentence("a season"), item, Season)
    span = item["span"]
    return Season(
        item["from_month"], item["to_month"], tuple(span) if isinstance(span, list) else span
    )


@dataclass(frozen=True)
class Climatology(Parameters):
    """Outside the season's usual span: suspect. No season matches: not evaluated."""

    kind: ClassVar[str] = "climatology"

    seasons: tuple[Season, ...]

    def __post_init__(self) -> None:
        if not self.seasons:
            raise ParameterError("seasons", Sentence("at least one season is needed"))
        taken: set[int] = set()
        for season in self.seasons:
            months = {
                (season.from_month - 1 + step) % 12 + 1
                for step in range((season.to_month - season.from_month) % 12 + 1)
            }
            if taken & months:
                raise ParameterError(
                    "seasons", Sentence("month {month} has two seasons", month=min(taken & months))
                )
            taken |= months

    @classmethod
    def _read(cls, key: str, value: Any) -> Any:
        if key != "seasons" or not isinstance(value, list | tuple):
            return super()._read(key, value)
        return tuple(_read_season(item) for item in value)


@dataclass(frozen=True)
class Spike(Parameters):
    """A reading that stands off the mean of its two neighbours.

    Attributes
    ----------
    suspect, fail : float
        |x1 - (x0 + x2) / 2| above `suspect`: flag 3, above `fail`: flag 4.
    """

    kind: ClassVar[str] = "spike"

    suspect: float
    fail: float

    def __post_init__(self) -> None:
        low = check_number("suspect", self.suspect, least=0.0)
        object.__setattr__(self, "suspect", low)
        object.__setattr__(self, "fail", check_number("fail", self.fail, least=low))


@dataclass(frozen=True)
class RateOfChange(Parameters):
    """A step from one reading to the next that is steeper than the place can do.

    Attributes
    ----------
    limit_per_s : float
        In the unit per second. Above: flag 3.
    """

    kind: ClassVar[str] = "rate_of_change"

    limit_per_s: float

    def __post_init__(self) -> None:
        limit = check_number("limit_per_s", self.limit_per_s, least=0.0)
        object.__setattr__(self, "limit_per_s", limit)


@dataclass(frozen=True)
class FlatLine(Parameters):
    """A value that does not move for too long.

    Attributes
    ----------
    suspect_s, fail_s : float
        Time without a change: flag 3, flag 4. At least three readings are needed.
    tolerance : float
        The range within which a series counts as flat. Streaming compares for equality, which is
        the same as long as the tolerance does not exceed the instrument's resolution.
    """

    kind: ClassVar[str] = "flat_line"

    suspect_s: float
    fail_s: float | None = None
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        low = check_number("suspect_s", self.suspect_s, above=0.0)
        object.__setattr__(self, "suspect_s", low)
        if self.fail_s is not None:
            object.__setattr__(self, "fail_s", check_number("fail_s", self.fail_s, least=low))
        object.__setattr__(self, "tolerance", check_number("tolerance", self.tolerance, least=0.0))
