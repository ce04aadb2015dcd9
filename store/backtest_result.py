"""The result of a backtest: alerts beside those of the ledger, and how often they come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from detectors.backtest import poisson_interval
from detectors.level_labels import LevelLabel

_MONTH_MS: Final = 30 * 86_400_000


class Standing(StrEnum):
    """How an alert of a backtest stands to the ledger."""

    SAME = "same"
    """The ledger has it, with the same onset, end and peak level."""
    CHANGED = "changed"
    """The ledger has one that overlaps it, with another onset, end or peak level."""
    NEW = "new"
    """The ledger has none there."""


@dataclass(frozen=True)
class Stream:
    """A datastream, and where it stands."""

    datastream_id: int
    device: str
    site: str | None
    property: str
    unit: str
    expected_interval_s: float


@dataclass(frozen=True)
class LedgerAlert:
    """An alert that stands in the ledger."""

    alert_id: int
    datastream_id: int
    onset: datetime
    clear: datetime | None
    peak_level: int
    peak_value: float | None


@dataclass(frozen=True)
class Raised:
    """An alert that the rule would have raised.

    Attributes
    ----------
    clear
        None: it was not over at the end of the range.
    unconfirmed
        Begun by a step that no second reading had confirmed.
    alert_id
        The ledger's alert that it overlaps.
    real
        Whether a person said so; None: nobody was asked.
    """

    stream: Stream
    onset: datetime
    clear: datetime | None
    peak_level: int
    peak_value: float | None
    unconfirmed: bool
    standing: Standing = Standing.NEW
    alert_id: int | None = None
    real: bool | None = None


@dataclass(frozen=True)
class Bin:
    """One stretch of the picture; `low` and `high` are None where no value was usable."""

    time: datetime
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LevelTried:
    """A level of the rule that was run: where it begins, and what it is called (None: nothing).

    `on` is a value of the datastream, or with a rule of rate of rise a slope per hour.
    """

    level: int
    on: float
    label: LevelLabel | None


@dataclass(frozen=True)
class StreamResult:
    """What was found at one datastream; `length_ms` is from its first to its last reading."""

    stream: Stream
    kind: str
    levels: tuple[LevelTried, ...]
    readings: int
    length_ms: int
    raised: tuple[Raised, ...]
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Rate:
    """Events per sensor-month (30 days) with the exact 95% Poisson interval."""

    count: int
    per_sensor_month: float
    low: float
    high: float


@dataclass(frozen=True)
class RealEvent:
    """What a person says was real: at this time water stood at this device."""

    device: str
    time: datetime


@dataclass(frozen=True)
class Result:
    """A backtest.

    Attributes
    ----------
    start, stop
        The range, or from the first to the last reading where it was left open.
    raised
        By device and onset.
    gone
        Alerts of the ledger that the rule would not have raised.
    missed
        Real events that no alert covers; empty where nobody was asked.
    judged
        Whether `real` of the alerts was said.
    """

    rule: str
    start: datetime
    stop: datetime
    streams: tuple[StreamResult, ...]
    raised: tuple[Raised, ...]
    gone: tuple[LedgerAlert, ...]
    missed: tuple[RealEvent, ...] = ()
    judged: bool = False

    @property
    def readings(self) -> int:
        """Readings in the range."""
        return sum(result.readings for result in self.streams)

    @property
    def sensor_months(self) -> float:
        """Time from first to last reading, summed over the datastreams, in months of 30 days."""
        return sum(result.length_ms for result in self.streams) / _MONTH_MS

    def count(self, standing: Standing) -> int:
        """Count the alerts that stand so to the ledger."""
        return sum(alert.standing is standing for alert in self.raised)

    def by_level(self) -> dict[int, int]:
        """Count alerts by peak level."""
        levels = sorted({alert.peak_level for alert in self.raised})
        return {level: sum(a.peak_level == level for a in self.raised) for level in levels}

    def rate(self) -> Rate | None:
        """How often it raises an alert, or a false one if it was said which are real.

        Alerts that began before the range are left out. None without a length of time.
        """
        months = self.sensor_months
        if months <= 0.0:
            return None
        count = sum(not alert.real and alert.onset >= self.start for alert in self.raised)
        low, high = poisson_interval(count, months)
        return Rate(count, count / months, low, high)


def compare(
    rule: str,
    start: datetime,
    stop: datetime,
    found: Sequence[StreamResult],
    ledger: Sequence[LedgerAlert],
    *,
    until: datetime | None,
) -> Result:
    """Put alerts beside those of the ledger that they overlap.

    Parameters
    ----------
    until
        Where the readings were cut off; what the ledger says of later is not compared. None: not.
    """
    left = {alert.alert_id: alert for alert in ledger}
    raised = []
    for result in found:
        for alert in result.raised:
            own = [a for a in ledger if a.datastream_id == result.stream.datastream_id]
            beside = [a for a in own if _overlap(alert, a)]
            for each in beside:
                left.pop(each.alert_id, None)
            if not beside:
                raised.append(alert)
                continue
            same = len(beside) == 1 and _equal(alert, beside[0], until)
            standing = Standing.SAME if same else Standing.CHANGED
            raised.append(replace(alert, standing=standing, alert_id=beside[0].alert_id))
    return Result(rule, start, stop, tuple(found), tuple(raised), tuple(left.values()))


def judge(result: Result, real: Sequence[RealEvent]) -> Result:
    """Tell real alerts from false ones: a real one was up at a time that a person named."""
    covered = set()
    raised = []
    for alert in result.raised:
        own = {
            event
            for event in real
            if event.device == alert.stream.device
            and alert.onset <= event.time
            and (alert.clear is None or event.time <= alert.clear)
        }
        covered |= own
        raised.append(replace(alert, real=bool(own)))
    missed = tuple(event for event in real if event not in covered)
    return replace(result, raised=tuple(raised), missed=missed, judged=True)


def _overlap(alert: Raised, other: LedgerAlert) -> bool:
    return (other.clear is None or alert.onset <= other.clear) and (
        alert.clear is None or other.onset <= alert.clear
    )


def _equal(alert: Raised, other: LedgerAlert, until: datetime | None) -> bool:
    if alert.onset != other.onset:
        return False
    if until is not None and (other.clear is None or other.clear >= until):
        return alert.clear is None
    return (alert.clear, alert.peak_level) == (other.clear, other.peak_level)
