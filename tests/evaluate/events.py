"""Alerts against events: what was found, how late, what was false, and how often it chattered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from detectors.backtest import poisson_interval
from detectors.outcome import Transitions

MONTH_MS: Final = 30 * 86_400_000
HEAD: Final = (
    "events | found | missed, critical | alerts | precision | recall | delay, median / p95 "
    "| false per sensor-month (95% exact), and told as unconfirmed "
    "| chatter: alerts per event found"
)


@dataclass(frozen=True)
class Span:
    """An event as it truly was, or an alert as it was raised.

    A `grave` event must not be missed; a `tentative` alert was told as unconfirmed.
    """

    sensor: int
    begin_ms: int
    end_ms: int
    grave: bool = False
    tentative: bool = False


@dataclass(frozen=True, eq=False)
class Score:
    """How alerts met events.

    Attributes
    ----------
    delay_s : float64[found]
        From each found event's begin to the first alert that stands in it; an alert that already
        stood counts as 0 late. Negative only where `ahead` allowed an alert before its event.
    """

    events: int
    found: int
    missed_grave: int
    alerts: int
    true_alerts: int
    false_tentative: int
    delay_s: np.ndarray
    months: float

    @property
    def false_alerts(self) -> int:
        """Those that were told as they were, not as unconfirmed."""
        return self.alerts - self.true_alerts - self.false_tentative

    def cells(self) -> str:
        """Return the columns of `HEAD`."""
        low, high = poisson_interval(self.false_alerts, self.months)
        delay = "-"
        if self.found:
            middle, late = np.percentile(self.delay_s, [50, 95]) / 60.0
            delay = f"{middle:.1f} / {late:.1f} min"
        per_event = f"{self.true_alerts / self.found:.2f}" if self.found else "-"
        return (
            f"{self.events} | {self.found} | {self.missed_grave} | {self.alerts} | "
            f"{share(self.true_alerts, self.alerts)} | {share(self.found, self.events)} | "
            f"{delay} | "
            f"{self.false_alerts / self.months:.2f} ({low:.2f}-{high:.2f}), "
            f"{self.false_tentative / self.months:.2f} | {per_event}"
        )


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def score(
    events: Sequence[Span], alerts: Sequence[Span], months: float, *,
    ahead_ms: int = 0, after_ms: int = 0,
) -> Score:  # fmt: skip
    """Match alerts to events of the same sensor that they overlap.

    Parameters
    ----------
    months : float
        Sensor-months watched.
    ahead_ms : int
        An alert so long before an event is still about it: a forecast.
    after_ms : int
        An alert so long after it too: a test that looks back over hours.
    """
    of: dict[int, list[Span]] = {}
    for alert in sorted(alerts, key=lambda span: span.begin_ms):
        of.setdefault(alert.sensor, []).append(alert)
    hits: set[int] = set()
    delays, missed_grave = [], 0
    for event in events:
        met = [
            alert
            for alert in of.get(event.sensor, [])
            if alert.begin_ms <= event.end_ms + after_ms
            and alert.end_ms >= event.begin_ms - ahead_ms
        ]
        hits.update(id(alert) for alert in met)
        if met:
            late_ms = met[0].begin_ms - event.begin_ms
            delays.append(max(late_ms, -ahead_ms) / 1000.0)
        else:
            missed_grave += event.grave
    tentative = sum(alert.tentative and id(alert) not in hits for alert in alerts)
    return Score(
        len(events), len(delays), missed_grave, len(alerts), len(hits), tentative,
        np.array(delays), months,
    )  # fmt: skip


def alerts_of(moves: Transitions, rule: int, level: int, end_ms: int) -> list[Span]:
    """Times at which a rule stood at or above a level."""
    mine = (moves.rule == rule) & ((moves.from_level >= level) != (moves.to_level >= level))
    spans: list[Span] = []
    standing: dict[int, Span] = {}
    for at in np.flatnonzero(mine):
        sensor, time = int(moves.sensor[at]), int(moves.time_ms[at])
        if moves.to_level[at] >= level:
            unconfirmed = bool(moves.unconfirmed[at])
            standing[sensor] = Span(sensor, time, end_ms, tentative=unconfirmed)
        else:
            spans.append(replace(standing.pop(sensor), end_ms=time))
    return spans + list(standing.values())


def runs(sensor: int, time_ms: np.ndarray, on: np.ndarray) -> list[Span]:
    """Stretches over which something holds, from its first to its last time."""
    edges = np.diff(on.astype(np.int8), prepend=0, append=0)
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [
        Span(sensor, int(time_ms[a]), int(time_ms[b])) for a, b in zip(begins, ends, strict=True)
    ]
