"""Where a time axis is marked: round times of a town's own clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
# Minutes; months are no number of them.
_STEPS: Final = (5, 10, 30, 60, 180, 360, 720, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY)
_MONTHS: Final = (1, 3, 6, 12, 60)


@dataclass(frozen=True)
class Tick:
    """A mark, and what is written at it: `text`, and below it `under` where that changed."""

    time: datetime
    text: str
    under: str


def ticks(
    start: datetime, stop: datetime, zone: ZoneInfo, most: int, separator: str = "-"
) -> list[Tick]:
    """Choose marks between two times.

    Parameters
    ----------
    zone
        Whose midnights and full hours they are.
    most
        So many marks at most.
    separator
        Between month and day: 11/22 in Japanese, 11-22 in English.
    """
    whole = (stop - start).total_seconds() / 60
    step = next((step for step in _STEPS if whole / step <= most), None)
    if step is not None:
        moments = _by_minutes(start, stop, zone, step)
        form = "%H:%M" if step < _DAY else f"%m{separator}%d"
        under = f"%Y{separator}%m{separator}%d" if step < _DAY else "%Y"
    else:
        months = next((n for n in _MONTHS if whole / (n * 30 * _DAY) <= most), _MONTHS[-1])
        moments = _by_months(start, stop, zone, months)
        form, under = ("%m", "%Y") if months < _MONTHS[-2] else ("%Y", "")
    marks, last = [], None
    for moment in moments:
        local = moment.astimezone(zone)
        below = local.strftime(under)
        marks.append(Tick(moment, local.strftime(form), below if below != last else ""))
        last = below
    return marks


def _by_minutes(start: datetime, stop: datetime, zone: ZoneInfo, step: int) -> Iterator[datetime]:
    """Go by the clock on the wall: a day of 23 hours has a midnight too."""
    wall = start.astimezone(zone).replace(tzinfo=None)
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    if step < _DAY:
        wall = midnight + (wall - midnight) // timedelta(minutes=step) * timedelta(minutes=step)
    else:
        wall = midnight - timedelta(days=midnight.toordinal() % (step // _DAY))
    end = stop.astimezone(zone).replace(tzinfo=None)
    after = start
    while wall <= end:
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        # 02:00 and 03:00 are one where the clock goes forward.
        if after <= moment <= stop:
            yield moment
            after = moment + timedelta(milliseconds=1)
        wall += timedelta(minutes=step)


def _by_months(start: datetime, stop: datetime, zone: ZoneInfo, step: int) -> Iterator[datetime]:
    local = start.astimezone(zone)
    month = (local.year * 12 + local.month - 1) // step * step
    while True:
        moment = datetime(month // 12, month % 12 + 1, 1, tzinfo=zone).astimezone(UTC)
        if moment > stop:
            return
        if moment >= start:
            yield moment
        month += step
