"""A profile: everything that is decided about the readings of one kind of datastream."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from detectors.errors import ParameterError
from detectors.parameters import Parameters, check_number
from detectors.quality import Climatology, FlatLine, GrossRange, RateOfChange, Spike
from detectors.rules import RateOfRise, Threshold
from detectors.sentence import Sentence

QUALITY_KINDS: Final = (GrossRange, Climatology, Spike, RateOfChange, FlatLine)
STREAM_KINDS: Final = (Threshold, RateOfRise)


@dataclass(frozen=True)
class KeyedRule:
    """An alert rule under the key by which its state is found again after a restart.

    Attributes
    ----------
    key : str
        The rule's code. A new version of a rule keeps its key, and so its open alert.
    rule : Threshold or RateOfRise
    """

    key: str
    rule: Threshold | RateOfRise


@dataclass(frozen=True)
class Profile:
    """Quality tests and alert rules of a datastream, with what they share.

    Attributes
    ----------
    quality : tuple
        Quality tests, at most one of a kind.
    rules : tuple of KeyedRule
        Alert rules; `Transitions.rule` counts them from 0.
    max_gap_s : float
        A longer time between two readings restarts every timer: what happened in it is unknown.
    lateness_s : float
        A reading older than the newest by more than this is stored but not decided on.
    """

    quality: tuple[Parameters, ...] = ()
    rules: tuple[KeyedRule, ...] = ()
    max_gap_s: float = 3600.0
    lateness_s: float = 900.0

    def __post_init__(self) -> None:
        check_number("max_gap_s", self.max_gap_s, above=0.0)
        check_number("lateness_s", self.lateness_s, least=0.0)
        kinds = [test.kind for test in self.quality]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise ParameterError(
                    "quality", Sentence("two tests of kind {kind!r} for one datastream", kind=kind)
                )
        keys = [rule.key for rule in self.rules]
        for key in keys:
            if keys.count(key) > 1:
                raise ParameterError("rules", Sentence("two rules with the key {key!r}", key=key))

    @classmethod
    def of(
        cls,
        rules: Iterable[tuple[str, Parameters]],
        max_gap_s: float = 3600.0,
        lateness_s: float = 900.0,
    ) -> Self:
        """Sort (key, rule) pairs into quality tests and alert rules.

        Rules that look at more than one datastream, or at received times, are left out: they run
        in the jobs.
        """
        pairs = tuple(rules)
        return cls(
            quality=tuple(rule for _, rule in pairs if isinstance(rule, QUALITY_KINDS)),
            rules=tuple(
                KeyedRule(key, rule) for key, rule in pairs if isinstance(rule, STREAM_KINDS)
            ),
            max_gap_s=max_gap_s,
            lateness_s=lateness_s,
        )
