"""Stored rules compiled into what the detectors look at, and which of them hold when."""

import contextlib
import functools
import itertools
import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import set_json_loads

from detectors.parameters import Parameters
from detectors.profile import QUALITY_KINDS, STREAM_KINDS, Profile
from detectors.profiles import max_gap_s
from detectors.quality import GrossRange
from detectors.rules import ParameterError, rule_from_params
from store import queries
from store.database import Connection
from store.rules_in_force import RuleInForce
from store.times import milliseconds

_SQL = queries.load("rule_profile")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert rule as it stands at some datastreams."""

    code: str
    version: int
    rule: Parameters


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A rule that could not be taken in, and why."""

    code: str
    version: int
    error: str


@dataclass(frozen=True)
class Compiled:
    """What is decided about a datastream while its rules stay as they are.

    Attributes
    ----------
    profile
    versions
        The alert rules in the order of the profile's `rules`.
    left_out
    """

    profile: Profile
    versions: tuple[AlertRule, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def span(self) -> tuple[float, float]:
        """What the instrument can measure: values outside are no alert's worst value.

        Of the gross range alone: it looks at no other reading, so that neither the order of
        arrival nor the cut of batches changes which values count.
        """
        for test in self.profile.quality:
            if isinstance(test, GrossRange):
                low, high = test.sensor_span
                return low, high
        return -math.inf, math.inf

    @property
    def ruled(self) -> bool:
        """Whether anything is decided at all."""
        return bool(self.profile.rules or self.profile.quality)


@dataclass(frozen=True)
class Period:
    """The rules of a datastream from a phenomenon time on, until the next period begins."""

    since_ms: int
    compiled: Compiled


@dataclass(frozen=True)
class _Version:
    """A version of a rule whose scope covers a datastream."""

    datastream_id: int
    code: str
    version: int
    kind: str
    params: dict[str, Any]
    enabled: bool
    inherits: bool
    valid_from: datetime
    of_device: bool
    of_site: bool

    @property
    def scope(self) -> tuple[bool, bool]:
        """The most specific scope is the greatest."""
        return self.of_device, self.of_site

    @property
    def age(self) -> tuple[datetime, int]:
        """Within one scope the newest version is the greatest."""
        return self.valid_from, self.version


def compile_rules(
    own: Sequence[RuleInForce] | Sequence[_Version], expected_interval_s: float
) -> Compiled:
    """Compile the rules of one datastream, which come ordered by code."""
    pairs: list[tuple[str, Parameters]] = []
    versions: list[AlertRule] = []
    left_out: list[LeftOut] = []
    kinds: dict[str, str] = {}
    for row in own:
        try:
            rule = rule_from_params(row.kind, row.params)
        except ParameterError as error:
            left_out.append(LeftOut(row.code, row.version, str(error)))
            continue
        # Saving refuses a second one; but a device may come to a place that two rules are for.
        if isinstance(rule, QUALITY_KINDS) and row.kind in kinds:
            error_text = (
                f"{kinds[row.kind]!r} is a quality test of the same kind for the same datastreams"
            )
            left_out.append(LeftOut(row.code, row.version, error_text))
            continue
        kinds[row.kind] = row.code
        pairs.append((row.code, rule))
        if isinstance(rule, STREAM_KINDS):
            versions.append(AlertRule(row.code, row.version, rule))
    profile = Profile.of(pairs, max_gap_s=max_gap_s(expected_interval_s))
    return Compiled(profile, tuple(versions), tuple(left_out))


def timeline(conn: Connection, datastream_id: int, expected_interval_s: float) -> list[Period]:
    """Tell which rules held at a datastream when, oldest first; empty: it never had any."""
    with conn.cursor(row_factory=class_row(_Version)) as cursor:
        found = cursor.execute(
            _SQL["covering"], {"datastream_ids": [datastream_id], "kinds": None}
        ).fetchall()
    return [
        Period(since_ms, compile_rules(own, expected_interval_s))
        for since_ms, own in _periods(found)
    ]


@dataclass(frozen=True)
class Held:
    """The rules of some kinds at a datastream from a phenomenon time on, by code."""

    since_ms: int
    rules: dict[str, Parameters]


def held(
    conn: Connection, datastream_ids: Sequence[int], kinds: Collection[str]
) -> dict[int, list[Held]]:
    """Tell which rules of some kinds held at datastreams when, oldest first.

    Rules over hours, days or several datastreams, which `Profile` leaves out. A rule whose
    parameters are refused is left out: the gateway tells of it.
    """
    with conn.cursor(row_factory=class_row(_Version)) as cursor:
        # A few rules stand at thousands of datastreams: to parse each once is most of the time.
        set_json_loads(functools.cache(json.loads), cursor)
        parameters = {"datastream_ids": list(datastream_ids), "kinds": list(kinds)}
        found = cursor.execute(_SQL["covering"], parameters).fetchall()
    timelines: dict[int, list[Held]] = {}
    # What is parsed once is one object, so it is also read as a rule once.
    read: dict[tuple[str, int], Parameters] = {}
    for datastream_id, group in itertools.groupby(found, key=lambda row: row.datastream_id):
        periods = []
        for since_ms, own in _periods(list(group)):
            rules: dict[str, Parameters] = {}
            for row in own:
                if row.kind in kinds:
                    with contextlib.suppress(ParameterError):
                        key = (row.kind, id(row.params))
                        read[key] = read.get(key) or rule_from_params(row.kind, row.params)
                        rules[row.code] = read[key]
            periods.append(Held(since_ms, rules))
        timelines[datastream_id] = periods
    return timelines


def _periods(found: Sequence[_Version]) -> Iterator[tuple[int, list[_Version]]]:
    """Go through the times at which the rules of one datastream changed, and those of each."""
    by_age = sorted(found, key=lambda row: row.age)
    for since_ms in sorted({milliseconds(row.valid_from) for row in found}):
        newest: dict[tuple[str, tuple[bool, bool]], _Version] = {}
        for row in by_age:
            if milliseconds(row.valid_from) <= since_ms:
                newest[row.code, row.scope] = row
        winners: dict[str, _Version] = {}
        for (code, _), row in sorted(newest.items()):
            # As in `in_force`: a scope that was given up leaves the place to the wider one.
            if not row.inherits:
                winners[code] = row
        yield since_ms, [winners[code] for code in sorted(winners) if winners[code].enabled]
