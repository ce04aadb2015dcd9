"""Readings in a CSV file: a column a property, or a row a value."""

import csv
import io
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo

from deploy.import_item import Found, ImportFileError, Item, Skipped
from deploy.office_text import delimiter, mostly_decoded
from gateway.codecs.reading import MEASURE_LIMIT, Fix, Reading

# As the recordings of `mizumori sim replay` call it, and shorter.
TIMES = ("time_utc", "time")
DEVICE = "device"
SEQ = "seq"
_LONG = ("property", "value")
_FIX = ("lat", "lon", "speed_kmh", "course_deg", "hdop", "blade")
_MISSING = frozenset({"nan", "null", "na", "n/a", "-", "欠測"})
_BLADE = {"1": True, "true": True, "down": True, "0": False, "false": False, "up": False}
_AS_SHOWN = re.compile(
    r"([0-9]{4})[/-]([0-9]{1,2})[/-]([0-9]{1,2})(?:[ T]+([0-9]{1,2})(:.*))?", re.ASCII
)
# A whole number of so many digits is milliseconds since 1970, not a year.
_MS_DIGITS = 12


def read(data: bytes, zone: tzinfo | None) -> Iterator[Found]:
    """Read a file: UTF-8, UTF-16 of Excel or, as Japanese loggers write it, CP932.

    A line is a row: a quotation mark without its other one takes no rows after it along.

    Parameters
    ----------
    zone
        Of times that name none; None: such rows are skipped.

    Raises
    ------
    ImportFileError
        If it has no usable header.
    """
    text = mostly_decoded(data)
    between = delimiter(text)
    lines = io.StringIO(text, newline=None)
    header = [name.strip() for name in _cells(lines.readline(), between)]
    if not any(header):
        raise ImportFileError("The file is empty.")
    columns = {name: place for place, name in enumerate(header) if name}
    time = next((name for name in TIMES if name in columns), None)
    if time is None or len(columns) < 2 or len(columns) != sum(map(bool, header)):
        raise ImportFileError(
            "The first line must name the columns, each once, among them 'time': such as "
            f"time,depth_m,battery_v; it is {','.join(header)[:200]!r}."
        )
    for number, line in enumerate(lines, 2):
        try:
            row = [cell.strip() for cell in _cells(line, between)]
        except csv.Error as error:
            yield Skipped(number, f"not CSV: {error}")
            continue
        if any(row):
            yield _row(columns, time, row, number, zone)


def _cells(line: str, between: str) -> list[str]:
    return next(csv.reader([line], delimiter=between), [])


def _row(
    columns: dict[str, int], time: str, row: list[str], line: int, zone: tzinfo | None
) -> Found:
    cells = {name: row[place] for name, place in columns.items() if place < len(row)}
    try:
        ts = _time(cells.pop(time, ""), zone)
        number = _sequence(cells.pop(SEQ, ""))
        device = cells.pop(DEVICE, "") or None
        fix = _fix({name: cells.pop(name) for name in _FIX if name in cells})
        if all(name in columns for name in _LONG):
            name = cells.get("property", "")
            m = {name: _number(name, cells.get("value", ""))} if name else {}
        else:
            m = {name: _number(name, cell) for name, cell in cells.items() if cell}
    except ValueError as error:
        return Skipped(line, str(error))
    if not m and fix is None:
        return Skipped(line, "no value")
    return Item(line, device, Reading(ts, number, m or None, fix))


def _sequence(cell: str) -> int | None:
    if not cell:
        return None
    if not cell.isdecimal() or len(cell) > 18:
        raise ValueError(f"the number {cell[:40]!r} is not a whole number from 0 on")
    return int(cell)


def _time(text: str, zone: tzinfo | None) -> int:
    """Return milliseconds since 1970 UTC."""
    if text.isdecimal() and len(text) >= _MS_DIGITS:
        return _bounded(int(text))
    try:
        moment = datetime.fromisoformat(_padded(text))
    except ValueError:
        raise ValueError(f"the time {text[:40]!r} is not like 2026-01-31T09:30:00+09:00") from None
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("the time names no zone: say which with --time-zone")
        moment = moment.replace(tzinfo=zone)
    past = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return _bounded((past.days * 86_400 + past.seconds) * 1000 + past.microseconds // 1000)


def _padded(text: str) -> str:
    """Return a time as ISO 8601 has it, of one as Excel shows it here: 2026/1/31 9:05."""
    match = _AS_SHOWN.fullmatch(text)
    if match is None:
        return text
    year, month, day, hour, rest = match.groups()
    date = f"{year}-{month:0>2}-{day:0>2}"
    return date if hour is None else f"{date}T{hour:0>2}{rest}"


def _bounded(ms: int) -> int:
    if abs(ms) > 2**53:
        raise ValueError("the time is out of range")
    return ms


def _number(name: str, cell: str) -> float | None:
    if not cell or cell.lower() in _MISSING:
        return None
    try:
        number = float(cell)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} {cell[:40]!r} is not a number")
    return number


def _fix(cells: dict[str, str]) -> Fix | None:
    if not any(cells.values()):
        return None
    blade = cells.pop("blade", "").lower()
    if blade and blade not in _BLADE:
        raise ValueError(f"blade {blade[:40]!r} is not down or up")
    numbers = {name: _number(name, cell) for name, cell in cells.items()}
    for name, number in numbers.items():
        if number is not None and abs(number) > MEASURE_LIMIT:
            raise ValueError(f"{name} {number:g} is out of range")
    return Fix(**numbers, blade=_BLADE.get(blade))
