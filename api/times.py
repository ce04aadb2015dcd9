"""Times as people write them into an address."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from api.errors import mistake
from detectors.sentence import Sentence

# Outside of it a time is a slip of the pen, and arithmetic with time zones may overflow.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
# "+09:00" in an address arrives as a space and 09:00.
_LOST_PLUS = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
DESCRIPTION = (
    "ISO 8601, such as 2026-11-22T09:00:00Z, 2026-11-22T18:00:00+09:00, or without an offset, "
    "in the town's time zone: 2026-11-22T18:00 or 2026-11-22."
)


def parse(field: str, text: str, zone: ZoneInfo) -> datetime:
    """Read a time; without an offset it is in the town's time zone.

    Raises
    ------
    ApiError
        If it is no time, or lies outside of 1970 to 2200.

    Examples
    --------
    >>> parse("from", "2026-11-22", ZoneInfo("Asia/Tokyo"))
    datetime.datetime(2026, 11, 21, 15, 0, tzinfo=datetime.timezone.utc)
    """
    text = text.strip()
    mended = _LOST_PLUS.sub("+", text) if "T" in text else text
    try:
        moment = datetime.fromisoformat(mended)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        said = Sentence("{text!r} is not a time; write it as 2026-11-22T09:00:00Z", text=text[:40])
        raise mistake(field, said) from None
    if not EARLIEST <= moment < LATEST:
        said = Sentence("{text!r} lies outside of the years 1970 to 2199", text=text[:40])
        raise mistake(field, said)
    return moment


def span(
    start: str | None, stop: str | None, zone: ZoneInfo, *, default: timedelta, now: datetime
) -> tuple[datetime, datetime]:
    """Read ``from`` and ``to``: without ``to`` until now, without ``from`` the time before it.

    Raises
    ------
    ApiError
        If one is no time, or ``from`` is not before ``to``.
    """
    last = parse("to", stop, zone) if stop else now
    first = parse("from", start, zone) if start else max(EARLIEST, last - default)
    if first >= last:
        raise mistake(
            "from",
            Sentence(
                "{first} is not before `to` ({last}); swap them or choose another range",
                first=_iso(first),
                last=_iso(last),
            ),
        )
    return first, last


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
