"""What is ahead of a flood sensor: when the next level may be reached, how deep it is by then.

Computed from stored readings when it is asked for, with the town's rules of kind
time_to_threshold; nothing is kept. Where the core says nothing, nothing is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, Field

from api.desk import Desk, Placed
from api.words import Name
from detectors.forecast import Reach, TimeToThreshold, Tracks, arrival, follow
from detectors.outlook import outlook
from detectors.rules import ParameterError, Threshold, rule_from_params
from store import map as town_map
from store import recent
from store.database import Connection
from store.rules_in_force import RuleInForce
from store.times import moment

# The filter forgets within minutes; ten innovations are looked back on, and a few come before.
_READINGS: Final = 30
_NO_LONGER_THAN: Final = timedelta(hours=6)
# Slower than this the next level is out of reach: the damped slope covers 14 minutes of itself, so
# a slope five times the measured one must do for the gap.
_REACH_H: Final = 5.0 * 14.0 / 60.0


class ForecastItem(BaseModel):
    """When the next level may be reached, from the last reading on."""

    level: int
    label: Name | None
    reach: Literal["may", "expected"] = Field(
        description="may: may reach it; expected: nearly always does. Never more than that"
    )
    at: datetime
    earliest: datetime = Field(description="The interval is meant to hold in 80 of 100 cases")
    latest: datetime | None = Field(description="null: it may stop rising before")


class CrewItem(BaseModel):
    """How deep the water may stand when a crew that leaves now arrives."""

    minutes: float = Field(description="The site's crew_minutes")
    depth_m: float
    low_m: float = Field(description="The interval is meant to hold in 80 of 100 cases")
    high_m: float


@dataclass(frozen=True)
class Ahead:
    """What may be said about one sensor; None: nothing."""

    forecast: ForecastItem | None = None
    crew: CrewItem | None = None


NOTHING: Final = Ahead()


@dataclass(frozen=True)
class Asked:
    """A sensor that is worth a look, with what is asked about it."""

    placed: Placed
    stream: town_map.Latest
    rule: TimeToThreshold
    on: float | None  # of the next level
    level: int
    after_minutes: float | None


def ahead(conn: Connection, desk: Desk) -> dict[int, Ahead]:
    """Look ahead of every sensor of a desk for which it makes sense, by device id.

    That is where the water rises, or stands at the first level: in a dry town nothing is read.
    """
    return answers(conn, desk, questions(desk))


def questions(desk: Desk) -> list[Asked]:
    """Decide of which sensors to ask what."""
    read: dict[tuple[str, int], Any] = {}
    return [one for placed in desk.devices if (one := _asked(desk, placed, read)) is not None]


def answers(conn: Connection, desk: Desk, asked: Sequence[Asked]) -> dict[int, Ahead]:
    """Answer what is asked from stored readings, by device id; of some nothing may be known."""
    found: dict[int, Ahead] = {}
    for rule in {one.rule for one in asked}:
        some = [one for one in asked if one.rule == rule]
        found.update(_look(conn, desk, rule, some))
    return found


def _asked(desk: Desk, placed: Placed, read: dict[tuple[str, int], Any]) -> Asked | None:
    """Decide what to ask about a sensor, or that it is not worth a reading."""
    standing, device = placed.standing, placed.device
    stream = standing.shown
    if device.kind != "flood_level" or standing.state not in ("normal", "alert"):
        return None
    if standing.unknown_reason is not None or stream is None or stream.value is None:
        return None
    rule = _rule(desk.forecasting, stream, read)
    threshold = _rule(desk.snapshot.watching, stream, read)
    if not isinstance(rule, TimeToThreshold) or not isinstance(threshold, Threshold):
        return None
    if threshold.direction != "rising":
        return None
    code = desk.snapshot.watching[stream.datastream_id].code
    is_open = max(
        (
            alert.level
            for alert in desk.snapshot.alerts.get(device.code, ())
            if (alert.datastream_id, alert.rule) == (stream.datastream_id, code)
        ),
        default=0,
    )
    levels = [
        (number, level.on)
        for number, level in enumerate(threshold.levels, 1)
        if number > is_open and level.on > stream.value
    ]
    number, on = levels[0] if levels else (0, None)
    rate = stream.rate_per_h
    rises = on is not None and (rate is None or rate * _REACH_H >= on - stream.value)
    # A depth within its noise is a dry street; a stage is above a datum.
    is_depth = stream.property == "depth_m"
    rises = rises and (not is_depth or stream.value >= 2.0 * rule.noise)
    is_wet = is_depth and (is_open > 0 or stream.value >= threshold.levels[0].on)
    minutes = device.crew_minutes if is_wet else None
    if minutes is not None and minutes * 60.0 > rule.horizon_s:
        minutes = None
    if not rises and minutes is None:
        return None
    return Asked(placed, stream, rule, on if rises else None, number, minutes)


def _rule(
    rules: Mapping[int, RuleInForce],
    stream: town_map.Latest,
    read: dict[tuple[str, int], Any],
) -> Any:
    """Read the rule of a datastream, each version once; None: there is none that can be read."""
    row = rules.get(stream.datastream_id)
    if row is None:
        return None
    key = (row.code, row.version)
    if key not in read:
        try:
            read[key] = rule_from_params(row.kind, row.params)
        except ParameterError:  # the gateway tells of it; the map must not fail for it
            read[key] = None
    return read[key]


def _look(
    conn: Connection, desk: Desk, rule: TimeToThreshold, asked: Sequence[Asked]
) -> dict[int, Ahead]:
    """Follow some sensors under one rule, and say what may be said."""
    series = _series(conn, desk.snapshot.now, asked)
    asked = [one for one in asked if one.stream.datastream_id in series]
    if not asked:
        return {}
    tracks = _follow(rule, [series[one.stream.datastream_id] for one in asked])
    every = np.arange(len(asked))
    goals = np.array([np.nan if one.on is None else one.on for one in asked])
    said = arrival(tracks, rule, every, goals)
    now_ms = desk.snapshot.now.timestamp() * 1000.0
    after_s = np.array([(one.after_minutes or 0.0) * 60.0 for one in asked])
    seen = outlook(tracks, rule, every, np.maximum(now_ms - tracks.time_ms, 0.0) / 1000.0 + after_s)
    found = {}
    for i, one in enumerate(asked):
        forecast, crew = None, None
        if said.reach[i] != Reach.NOTHING:
            last_ms = int(tracks.time_ms[i])
            label = desk.snapshot.labels.get((_scheme(desk, one), one.level))
            forecast = ForecastItem(
                level=one.level,
                label=Name.of(label.label_ja, label.label_en) if label else None,
                reach="expected" if said.reach[i] == Reach.EXPECTED else "may",
                at=_after(last_ms, said.after_s[i]),
                earliest=_after(last_ms, said.earliest_s[i]),
                latest=_after(last_ms, said.latest_s[i]) if np.isfinite(said.latest_s[i]) else None,
            )
        if one.after_minutes is not None and np.isfinite(seen.level[i]):
            depth, low, high = (
                round(max(0.0, float(column[i])), 3) for column in (seen.level, seen.low, seen.high)
            )
            crew = CrewItem(minutes=one.after_minutes, depth_m=depth, low_m=low, high_m=high)
        found[one.placed.device.device_id] = Ahead(forecast, crew)
    return found


def _scheme(desk: Desk, one: Asked) -> str:
    return desk.snapshot.watching[one.stream.datastream_id].label_scheme


def _after(last_ms: int, seconds: float) -> datetime:
    """A time to the second: nobody knows it better."""
    return moment(round((last_ms + seconds * 1000.0) / 1000.0) * 1000)


def _series(conn: Connection, now: datetime, asked: Sequence[Asked]) -> dict[int, recent.Series]:
    """Read the newest readings, of sensors that report alike together."""
    by_span: dict[timedelta, list[int]] = {}
    for one in asked:
        span = timedelta(seconds=_READINGS * one.placed.device.expected_interval_s)
        by_span.setdefault(min(span, _NO_LONGER_THAN), []).append(one.stream.datastream_id)
    found: dict[int, recent.Series] = {}
    for span, ids in by_span.items():
        found.update(recent.since(conn, ids, now - span))
    return found


def _follow(rule: TimeToThreshold, series: Sequence[recent.Series]) -> Tracks:
    """Follow all of them side by side: the k-th readings of those that have as many at once."""
    tracks = Tracks.empty(len(series))
    for k in range(max(len(times) for times, _ in series)):
        rows = [i for i, (times, _) in enumerate(series) if k < len(times)]
        tracks = follow(
            tracks,
            rule,
            np.array(rows, np.int64),
            np.array([series[i][0][k] for i in rows], np.int64),
            np.array([series[i][1][k] for i in rows], np.float64),
        )
    return tracks
