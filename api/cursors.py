"""Cursors: where the page before this one ended."""

from datetime import UTC, datetime, timedelta

from api.errors import ApiError, mistake
from detectors.sentence import Sentence
from store.alerts import Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST = 2**63 - 1  # bigint


def of_time(moment: datetime) -> str:
    """Write a time: microseconds since 1970, the resolution of stored time."""
    return str((moment - _EPOCH) // _MICROSECOND)


def time(cursor: str) -> datetime:
    """Read what `of_time` wrote.

    Raises
    ------
    ApiError
        If it is something else.
    """
    try:
        return _EPOCH + timedelta(microseconds=_number(cursor))
    except OverflowError:
        raise _refused() from None


def of_place(place: Place) -> str:
    """Write a place in the list of alerts."""
    return f"{of_time(place.onset)}-{place.alert_id}"


def place(cursor: str) -> Place:
    """Read what `of_place` wrote.

    Raises
    ------
    ApiError
        If it is something else.
    """
    onset, _, alert_id = cursor.partition("-")
    return Place(time(onset), _number(alert_id))


def number(cursor: str) -> int:
    """Read a plain id.

    Raises
    ------
    ApiError
        If it is something else.
    """
    return _number(cursor)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _MOST):
        raise _refused()
    return int(text)


def _refused() -> ApiError:
    return mistake("cursor", Sentence("take it unchanged from `next` of the page before"))
