"""Alert rules as frozen parameter sets, and the names under which the database keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal

from detectors.consistency import ContactLadder, Neighbours, Stuck
from detectors.drift import Drift
from detectors.errors import ParameterError
from detectors.forecast import TimeToThreshold
from detectors.hourly import Attenuated, StepAgainstScatter
from detectors.parameters import Parameters, check_keys, check_number
from detectors.quality import Climatology, FlatLine, GrossRange, RateOfChange, Spike
from detectors.sentence import Sentence
from detectors.track import Location, Speed

__all__ = [
    "Climatology",
    "FlatLine",
    "GrossRange",
    "Level",
    "ParameterError",
    "RateOfChange",
    "RateOfRise",
    "Rule",
    "Silence",
    "Spike",
    "Threshold",
    "rule_from_params",
]

Direction = Literal["rising", "falling"]
MAX_LEVELS: Final = 8
_SIDES: Final = {"on": Sentence("on"), "off": Sentence("off")}  # of a level


@dataclass(frozen=True)
class Level:
    """One level of a threshold: where it comes on, where it goes off, and after how long.

    Attributes
    ----------
    on, off : float
        In the datastream's unit. Between them the level keeps its state (hysteresis).
    delay_on_s, delay_off_s : float
        The reading must stay at or beyond `on` (`off`) without interruption for so many seconds.
    """

    on: float
    off: float
    delay_on_s: float = 0.0
    delay_off_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("on", "off"):
            object.__setattr__(self, name, check_number(name, getattr(self, name)))
        for name in ("delay_on_s", "delay_off_s"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), least=0.0))


def _read_level(item: Any) -> Level:
    if not isinstance(item, Mapping):
        raise ParameterError(
            "", Sentence("expected an object with on and off, got {item!r}", item=item)
        )
    check_keys(Sentence("a level"), item, Level)
    return Level(**item)


def _check_direction(direction: object) -> None:
    if direction not in ("rising", "falling"):
        raise ParameterError(
            "direction",
            Sentence("must be 'rising' or 'falling', got {direction!r}", direction=direction),
        )


def _check_nested(levels: tuple[Level, ...], direction: Direction) -> None:
    """Hold what keeps level k+1 from being on while level k is off.

    Notes
    -----
    `on`, `off` and `delay_on` non-decreasing and `delay_off` non-increasing are sufficient: every
    event that puts k+1 on also puts k on, and every event that puts k off also puts k+1 off.
    """
    rising = direction == "rising"
    sign = 1.0 if rising else -1.0
    for number, level in enumerate(levels, 1):
        if not sign * level.off < sign * level.on:
            raise ParameterError(
                f"levels[{number - 1}].off",
                Sentence(
                    "level {number} comes on at {on:g}, so it must go off below that, got {off:g}"
                    if rising
                    else "level {number} comes on at {on:g}, so it must go off above that, "
                    "got {off:g}",
                    number=number,
                    on=level.on,
                    off=level.off,
                ),
            )
    for number, (low, high) in enumerate(pairwise(levels), 1):
        place = f"levels[{number}]"
        for name in _SIDES:
            if sign * getattr(high, name) < sign * getattr(low, name):
                raise ParameterError(
                    f"{place}.{name}",
                    Sentence(
                        "level {number} must go {name} at {bound:g} or higher, as level {below} "
                        "does, got {given:g}"
                        if rising
                        else "level {number} must go {name} at {bound:g} or lower, as level "
                        "{below} does, got {given:g}",
                        number=number + 1,
                        below=number,
                        name=_SIDES[name],
                        bound=getattr(low, name),
                        given=getattr(high, name),
                    ),
                )
        if high.delay_on_s < low.delay_on_s:
            raise ParameterError(
                f"{place}.delay_on_s",
                Sentence(
                    "level {number} would come on before level {below}: make it {bound:g} s or "
                    "more, got {given:g} s",
                    number=number + 1,
                    below=number,
                    bound=low.delay_on_s,
                    given=high.delay_on_s,
                ),
            )
        if high.delay_off_s > low.delay_off_s:
            raise ParameterError(
                f"{place}.delay_off_s",
                Sentence(
                    "level {number} would still be on after level {below} went off: make it "
                    "{bound:g} s or less, got {given:g} s",
                    number=number + 1,
                    below=number,
                    bound=low.delay_off_s,
                    given=high.delay_off_s,
                ),
            )


@dataclass(frozen=True)
class Threshold(Parameters):
    """A reading at or beyond one of several nested levels.

    Attributes
    ----------
    levels : tuple of Level
        From the first to the gravest; level numbers start at 1.
    direction : {"rising", "falling"}
        Rising: high values are bad (water depth); falling: low values are (dissolved oxygen).
    ceiling_per_h : float, optional
        The fastest change that is plausible, unit per hour. A step beyond it (plus 3 `noise`) is
        held for one reading: the next one beside it makes it a jump, a return makes it a spike.
        None: every reading is believed at once.
    noise : float
        Standard deviation of a reading, for the step above.
    unconfirmed_from : int
        From this level on a held step is told at once, marked unconfirmed.
    failed_may_raise : bool
        Whether a reading outside the sensor's span may raise the alert. It can never end one.
        Quality control never mutes a flood; for a pond an error code must not call people out.
    """

    kind: ClassVar[str] = "threshold"

    levels: tuple[Level, ...]
    direction: Direction = "rising"
    ceiling_per_h: float | None = None
    noise: float = 0.0
    unconfirmed_from: int = 4
    failed_may_raise: bool = True

    def __post_init__(self) -> None:
        levels: Any = self.levels
        if not isinstance(levels, tuple) or not all(isinstance(level, Level) for level in levels):
            raise ParameterError("levels", Sentence("expected a list of levels"))
        if not 1 <= len(self.levels) <= MAX_LEVELS:
            raise ParameterError(
                "levels",
                Sentence(
                    "expected 1 to {most} levels, got {count}",
                    most=MAX_LEVELS,
                    count=len(self.levels),
                ),
            )
        _check_direction(self.direction)
        _check_nested(self.levels, self.direction)
        if self.ceiling_per_h is not None:
            ceiling = check_number("ceiling_per_h", self.ceiling_per_h, above=0.0)
            object.__setattr__(self, "ceiling_per_h", ceiling)
        object.__setattr__(self, "noise", check_number("noise", self.noise, least=0.0))
        check_number("unconfirmed_from", self.unconfirmed_from, least=1)

    @classmethod
    def _read(cls, key: str, value: Any) -> Any:
        if key != "levels" or not isinstance(value, list | tuple):
            return super()._read(key, value)
        levels = []
        for number, item in enumerate(value):
            try:
                levels.append(_read_level(item))
            except ParameterError as error:
                place = f"levels[{number}]" + (f".{error.field}" if error.field else "")
                raise ParameterError(place, error.reason) from error
        return tuple(levels)


@dataclass(frozen=True)
class RateOfRise(Parameters):
    """Water that rises (or a value that falls) faster than it should, by guarded least squares.

    Attributes
    ----------
    limits_per_h : tuple of float
        Slope of each level, unit per hour, ascending. Level 1 is the first.
    window_s : float
        Readings of so many seconds are looked at, at most 16 of them.
    interval_s : float
        Expected time between readings; the window is never shorter than six of them.
    noise : float
        Standard deviation of a reading: a floor under the scatter seen in the window.
    autocorrelation : float
        Of successive readings' errors; widens the slope's standard error by
        sqrt((1 + a) / (1 - a)).
    significance : float
        Slope over its standard error must exceed this.
    clear_ratio : float
        A level goes off once the slope is at or below this share of its limit.
    delay_off_s : float
        And stays there for so many seconds.
    direction : {"rising", "falling"}
    """

    kind: ClassVar[str] = "rate_of_rise"

    limits_per_h: tuple[float, ...] = (0.6, 3.0)
    window_s: float = 600.0
    interval_s: float = 60.0
    noise: float = 0.01
    autocorrelation: float = 0.3
    significance: float = 3.0
    clear_ratio: float = 0.5
    delay_off_s: float = 600.0
    direction: Direction = "rising"

    def __post_init__(self) -> None:
        limits: Any = self.limits_per_h
        if not isinstance(limits, tuple) or not 1 <= len(limits) <= MAX_LEVELS:
            raise ParameterError(
                "limits_per_h", Sentence("expected 1 to {most} slopes", most=MAX_LEVELS)
            )
        checked = tuple(check_number("limits_per_h", limit, above=0.0) for limit in limits)
        if any(b < a for a, b in pairwise(checked)):
            raise ParameterError(
                "limits_per_h", Sentence("the slopes must ascend from level to level")
            )
        object.__setattr__(self, "limits_per_h", checked)
        for name in ("window_s", "interval_s"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), above=0.0))
        for name in ("noise", "significance", "delay_off_s"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), least=0.0))
        for name in ("autocorrelation", "clear_ratio"):
            number = check_number(name, getattr(self, name), least=0.0, most=0.99)
            object.__setattr__(self, name, number)
        _check_direction(self.direction)

    @property
    def span_s(self) -> float:
        """Length of the window: six intervals at least."""
        return max(self.window_s, 6.0 * self.interval_s)


@dataclass(frozen=True)
class Silence(Parameters):
    """A device that says nothing. Judged on received times, so it is no part of the ledger.

    Attributes
    ----------
    loss_rate : float
        Share of reports that the radio loses on an ordinary day.
    calm_interval_s : float, optional
        Interval in quiet times, where the device sends more rarely than its expected interval
        (crisis gauges: daily when calm, every ten minutes in a flood).
    drowns : bool
        A radio beacon that falls silent under water: its silence says that it may be there, if
        its router hears others.
    """

    kind: ClassVar[str] = "silence"

    loss_rate: float = 0.05
    calm_interval_s: float | None = None
    drowns: bool = False

    def __post_init__(self) -> None:
        rate = check_number("loss_rate", self.loss_rate, above=0.0, most=0.9)
        object.__setattr__(self, "loss_rate", rate)
        if self.calm_interval_s is not None:
            calm = check_number("calm_interval_s", self.calm_interval_s, above=0.0)
            object.__setattr__(self, "calm_interval_s", calm)
        if not isinstance(self.drowns, bool):
            raise ParameterError(
                "drowns", Sentence("expected true or false, got {given!r}", given=self.drowns)
            )


Rule = Parameters
# Of these several may stand at one datastream, each on its own; of every other kind one counts.
SEVERAL: Final = (Threshold, RateOfRise, Attenuated, StepAgainstScatter, Drift)
KINDS: Final[dict[str, type[Parameters]]] = {
    cls.kind: cls
    for cls in (
        Threshold,
        RateOfRise,
        Silence,
        GrossRange,
        Climatology,
        Spike,
        RateOfChange,
        FlatLine,
        Attenuated,
        StepAgainstScatter,
        Drift,
        Location,
        Speed,
        ContactLadder,
        Neighbours,
        Stuck,
        TimeToThreshold,
    )
}


def rule_from_params(kind: str, params: Mapping[str, Any]) -> Rule:
    """Build the rule of a kind from its JSON parameters.

    Parameters
    ----------
    kind : str
        As in the database: threshold, rate_of_rise, silence, gross_range, ...
    params : mapping
        What `to_params` wrote, or a person.

    Raises
    ------
    ParameterError
        Unknown kind, unknown or refused parameter; the message says what would be accepted.

    Examples
    --------
    >>> rule_from_params("threshold", {"levels": [{"on": 0.1, "off": 0.05}]}).levels[0].on
    0.1
    """
    if kind not in KINDS:
        raise ParameterError(
            "kind",
            Sentence("no rule of kind {kind!r}; known: {known}", kind=kind, known=", ".join(KINDS)),
        )
    return KINDS[kind].from_params(params)
