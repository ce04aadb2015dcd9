"""A town's sites and devices as a sheet: a row a device, its site in the same row."""

import csv
import io
import math
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from deploy.import_item import ImportFileError
from deploy.office_text import decoded, delimiter
from deploy.sheet_words import CHOICES, choice, choices, column, nearest

# Of a cell: what it says is taken away. An empty cell says nothing.
NONE = "-"
_NUMBERS = frozenset(
    {"site_lat", "site_lon", "close_at_m", "crew_minutes", "ground_m", "lat", "lon", "interval_s"}
)
_SITE = {
    "site_kind": "kind",
    "site_name_ja": "name_ja",
    "site_name_en": "name_en",
    "site_lat": "lat",
    "site_lon": "lon",
    "close_at_m": "close_at_m",
    "crew_minutes": "crew_minutes",
    "ground_m": "ground_m",
}
_DEVICE = {
    "kind": "kind",
    "name_ja": "name_ja",
    "name_en": "name_en",
    "lat": "lat",
    "lon": "lon",
    "interval_s": "expected_interval_s",
    "state": "state",
    "site": "site",
}
_MAY_BE_NONE = _NUMBERS - {"interval_s"}
_LONGEST_CELL = 2000


@dataclass(frozen=True)
class Fault:
    """What is wrong in a row, in words."""

    line: int
    said: str


@dataclass
class SiteRow:
    """What the sheet says of a site; only what it says, by the names of the catalog."""

    line: int
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class DeviceRow:
    """What the sheet says of a device.

    Attributes
    ----------
    values
        By the names of the catalog; only what the sheet says.
    streams
        (property, unit), as far as it names any.
    codec, model, entries
        How its messages are read; None: it does not say.
    """

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    streams: tuple[tuple[str, str], ...] | None = None
    codec: str | None = None
    model: str | None = None
    entries: tuple[str, ...] | None = None


@dataclass
class Sheet:
    """Everything that a sheet says, by code, and what is wrong in it."""

    sites: dict[str, SiteRow] = field(default_factory=dict)
    devices: dict[str, DeviceRow] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def read(data: bytes) -> Sheet:
    """Read a sheet: UTF-8, UTF-16 or CP932, with or without a byte order mark, comma or tab.

    Raises
    ------
    ImportFileError
        If it has no usable header.
    """
    text = decoded(data)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter(text))
    header = next(rows, [])
    names = _columns(header)
    sheet = Sheet()
    try:
        for cells in rows:
            if any(cell.strip() for cell in cells):
                _read_row(sheet, rows.line_num, names, [cell.strip() for cell in cells])
    except csv.Error as error:
        sheet.faults.append(Fault(rows.line_num, f"is not CSV: {error}"))
    return sheet


def _columns(header: list[str]) -> list[str | None]:
    names: list[str | None] = []
    for title in header:
        name = column(title)
        if title.strip() and name is None:
            raise ImportFileError(f"There is no column {title.strip()[:60]!r}: {nearest(title)}.")
        if name is not None and name in names:
            raise ImportFileError(f"The column {name} is there twice.")
        names.append(name)
    if "device" not in names and "site" not in names:
        raise ImportFileError(
            "The first line must name the columns, among them device (機器) or site (地点)."
        )
    return names


def _read_row(sheet: Sheet, line: int, names: list[str | None], cells: list[str]) -> None:
    faults: list[str] = []
    said: dict[str, Any] = {}
    for place, cell in enumerate(cells):
        name = names[place] if place < len(names) else None
        if name is None:
            if cell:
                faults.append(f"has {cell[:40]!r} in a column without a title")
        elif cell:
            try:
                said[name] = _cell(name, cell)
            except ValueError as error:
                faults.append(f"{name} {error}")
    if not faults:
        faults += _take_site(sheet, line, said)
        faults += _take_device(sheet, line, said)
    sheet.faults += [Fault(line, fault) for fault in faults]


def _take_site(sheet: Sheet, line: int, said: dict[str, Any]) -> list[str]:
    values = {_SITE[name]: value for name, value in said.items() if name in _SITE}
    code = said.get("site")
    if code in (None, NONE):
        named = ", ".join(name for name in said if name in _SITE)
        return [f"says {named} of no site: its code is missing"] if values else []
    row = sheet.sites.setdefault(code, SiteRow(line))
    other = [name for name in values if name in row.values and row.values[name] != values[name]]
    if other:
        return [f"says another {', '.join(other)} of the site {code!r} than line {row.line}"]
    row.values.update(values)
    return []


def _take_device(sheet: Sheet, line: int, said: dict[str, Any]) -> list[str]:
    code = said.get("device")
    own = [name for name in said if name in _DEVICE or name in ("datastreams", "codec", "map")]
    if code is None:
        named = ", ".join(name for name in own if name != "site")
        return [f"says {named} of no device: its code is missing"] if named else []
    if code in sheet.devices:
        return [f"names the device {code!r} again, after line {sheet.devices[code].line}"]
    row = DeviceRow(line)
    row.values = {_DEVICE[name]: said[name] for name in own if name in _DEVICE}
    if row.values.get("site") == NONE:
        row.values["site"] = None
    row.streams = said.get("datastreams")
    row.codec, row.model, row.entries = said.get("codec"), said.get("model"), said.get("map")
    sheet.devices[code] = row
    return []


def _cell(name: str, cell: str) -> Any:
    """Return what a cell means; raises ValueError with the end of a sentence."""
    if len(cell) > _LONGEST_CELL:
        raise ValueError(f"is longer than {_LONGEST_CELL} characters")
    if cell == NONE and name in _MAY_BE_NONE:
        return None
    if name in _NUMBERS:
        return _number(cell)
    if name in CHOICES:
        found = choice(name, cell)
        if found is None:
            raise ValueError(f"{cell[:60]!r} is none of {choices(name)}")
        return found
    if name == "datastreams":
        return tuple(_stream(part) for part in cell.replace(";", " ").split())
    if name == "map":
        return tuple(part.strip() for part in cell.replace("\n", ";").split(";") if part.strip())
    return cell


def _number(cell: str) -> float:
    try:
        number = float(unicodedata.normalize("NFKC", cell))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{cell[:40]!r} is not a number")
    return number


def _stream(part: str) -> tuple[str, str]:
    name, colon, unit = part.partition(":")
    if not (name and colon and unit):
        raise ValueError(f"{part[:60]!r} is not PROPERTY:UNIT, such as depth_m:m")
    return name, unit
