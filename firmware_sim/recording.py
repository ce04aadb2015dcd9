"""Recordings: CSV files of readings or positions, plain or gzipped.

The format is described for users in `docs/recordings.md`.
"""

import csv
import gzip
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from firmware_sim.errors import RecordingError
from firmware_sim.payload import Fix, Sample

POSITION_COLUMNS = ("lat", "lon", "speed_kmh", "course_deg", "hdop", "blade")
PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,62}")
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BLADE = {"1": True, "true": True, "down": True, "0": False, "false": False, "up": False, "": None}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a recording.

    Parameters
    ----------
    device
        Device code.
    due_ms
        When it was sent: the newest time that its device had shown until then. A clock that
        steps back does not turn the order round.
    sample
        The reading, with the time as recorded.
    """

    device: str
    due_ms: int
    sample: Sample


@dataclass(frozen=True)
class Recording:
    """A whole recording.

    Parameters
    ----------
    rows
        In the order of sending; per device that is the order of the file.
    properties
        Device code to the properties it reports; none for a device that sends positions.
    """

    rows: tuple[Row, ...]
    properties: dict[str, tuple[str, ...]]

    @property
    def devices(self) -> tuple[str, ...]:
        """Device codes, sorted."""
        return tuple(sorted(self.properties))

    @property
    def last_time_ms(self) -> int:
        """The newest time in the recording."""
        return max(row.sample.time_ms or 0 for row in self.rows)

    @property
    def span_ms(self) -> int:
        """From the first sending to the last."""
        return self.rows[-1].due_ms - self.rows[0].due_ms


def read_recording(path: Path) -> Recording:
    """Read a recording.

    Parameters
    ----------
    path
        A `.csv` or `.csv.gz` file.

    Returns
    -------
    Recording
        With at least one row.

    Raises
    ------
    RecordingError
        If the file cannot be read, or a line is not as described; the message names the line.
    """
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="")
            if path.suffix == ".gz"
            else (path.open(encoding="utf-8", newline="")) as lines
        ):
            parsed = list(_parse(csv.reader(lines, strict=True), path))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"The recording {path} cannot be read: {error}.") from error
    if not parsed:
        raise RecordingError(f"The recording {path} holds no reading.")
    seen: dict[str, int] = {}
    count: dict[str, int] = {}
    properties: dict[str, set[str]] = {}
    rows = []
    for device, time_ms, values, fix in parsed:
        seen[device] = max(seen.get(device, time_ms), time_ms)
        count[device] = count.get(device, 0) + 1
        properties.setdefault(device, set()).update(values)
        rows.append(Row(device, seen[device], Sample(time_ms, count[device], values, fix)))
    rows.sort(key=lambda row: row.due_ms)  # stable: each device keeps its order
    return Recording(
        tuple(rows), {device: tuple(sorted(names)) for device, names in properties.items()}
    )


def _parse(
    lines: Iterator[list[str]], path: Path
) -> Iterator[tuple[str, int, dict[str, float], Fix | None]]:
    header = next(lines, [])
    names = _names(header, path)
    positions = "lat" in names
    for number, cells in enumerate(lines, start=2):
        if not cells:
            continue
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            raise RecordingError(f"{where}: {len(cells)} cells instead of {len(header)}.")
        if not DEVICE.fullmatch(cells[1]):
            raise RecordingError(f"{where}: {cells[1]!r} is no device code.")
        time_ms = _time_ms(cells[0], where)
        row = dict(zip(names, cells[2:], strict=True))
        if positions:
            yield cells[1], time_ms, {}, _fix(row, where)
        else:
            values = {name: _number(cell, name, where) for name, cell in row.items() if cell}
            if values:  # an empty cell says that the device did not report this property then
                yield cells[1], time_ms, values, None


def _names(header: list[str], path: Path) -> list[str]:
    where = f"{path}, line 1"
    if header[:2] != ["time_utc", "device"] or len(header) < 3:
        raise RecordingError(
            f"{where}: the columns must be time_utc, device and then properties or lat and lon, "
            f"not {', '.join(header) or 'nothing'}."
        )
    names = header[2:]
    if "lat" in names or "lon" in names:
        strange = [name for name in names if name not in POSITION_COLUMNS]
        if strange or "lat" not in names or "lon" not in names:
            raise RecordingError(
                f"{where}: a recording of positions has lat and lon, and may have "
                f"{', '.join(POSITION_COLUMNS[2:])}; it has {', '.join(names)}."
            )
    for name in names:
        if not PROPERTY.fullmatch(name):
            raise RecordingError(
                f"{where}: {name!r} is no property; write small letters, digits and _."
            )
    return names


def _fix(row: dict[str, str], where: str) -> Fix:
    blade = row.get("blade", "").lower()
    if blade not in BLADE:
        raise RecordingError(f"{where}: blade is {blade!r}; write 1, 0 or nothing.")
    numbers = {
        name: _number(row[name], name, where) for name in POSITION_COLUMNS[:-1] if row.get(name, "")
    }
    if "lat" not in numbers or "lon" not in numbers:
        raise RecordingError(f"{where}: lat or lon is empty.")
    return Fix(**numbers, blade=BLADE[blade])


def _time_ms(cell: str, where: str) -> int:
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError as error:
        raise RecordingError(f"{where}: {cell!r} is no time in ISO 8601.") from error
    if moment.tzinfo is None:
        raise RecordingError(f"{where}: {cell!r} names no time zone; end it with Z for UTC.")
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _number(cell: str, name: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise RecordingError(f"{where}: {name} is {cell!r}, which is no number.") from error
    if math.isinf(value):
        raise RecordingError(f"{where}: {name} is infinite.")
    return value
