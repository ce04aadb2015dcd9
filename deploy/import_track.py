"""Positions in the files of GPS loggers: GPX, and NMEA lines."""

import io
import math
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree as ET

from deploy.import_item import Found, ImportFileError, Item, Skipped
from gateway.codecs import nmea
from gateway.codecs.reading import MEASURE_LIMIT, Fix, Reading

KMH_PER_M_S = 3.6
_POINTS = frozenset({"trkpt", "rtept", "wpt"})


def read_gpx(data: bytes) -> Iterator[Found]:
    """Read the points of a GPX file (1.0 or 1.1), counted from 1.

    A track that breaks off, as a logger leaves it when its battery is empty, gives the points
    before the break.

    Raises
    ------
    ImportFileError
        If it is no GPX.
    """
    # Zeros aside, for UTF-16. Without declarations nothing expands.
    if any(word in data.replace(b"\0", b"") for word in (b"<!DOCTYPE", b"<!ENTITY")):
        raise ImportFileError("The GPX file declares a document type, which no logger does.")
    count = 0
    try:
        for element in _elements(data):
            if _name(element) in _POINTS:
                count += 1
                yield _point(count, element)
                element.clear()
    except (ET.ParseError, ValueError, LookupError) as error:
        if not count:
            raise ImportFileError(f"The file is not GPX: {error}.") from error
        yield Skipped(count + 1, f"the file breaks off after point {count}: {error}")


def _elements(data: bytes) -> Iterator[ET.Element]:
    """Yield each element at its end."""
    root = None
    for event, element in ET.iterparse(io.BytesIO(data), ("start", "end")):  # noqa: S314 - as above
        if root is None:
            root = element
            if _name(root) != "gpx":
                raise ImportFileError(f"The file is not GPX: it holds {_name(root)[:60]!r}.")
        if event == "end":
            yield element


def _point(count: int, element: ET.Element) -> Found:
    said = {_name(child): (child.text or "").strip() for child in element.iter()}
    try:
        moment = datetime.fromisoformat(said.get("time", ""))
    except ValueError:
        return Skipped(count, "the point has no usable time")
    if moment.tzinfo is None:
        return Skipped(count, "the point's time names no zone")
    lat, lon = _number(element.get("lat", "")), _number(element.get("lon", ""))
    if lat is None or lon is None:
        return Skipped(count, "the point has no usable place")
    speed = _number(said.get("speed", ""))
    fix = Fix(
        lat,
        lon,
        None if speed is None else speed * KMH_PER_M_S,
        _number(said.get("course", "")),
        _number(said.get("hdop", "")),
    )
    return Item(count, None, Reading(math.floor(moment.timestamp() * 1000 + 0.5), None, None, fix))


def _name(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) * KMH_PER_M_S <= MEASURE_LIMIT else None


def read_nmea(data: bytes) -> Iterator[Found]:
    """Read a logger's NMEA lines, a moment once; it stands where its first line stands.

    Raises
    ------
    ImportFileError
        If there is no usable sentence.
    """
    log = nmea.parse(data.decode("ascii", errors="replace"))
    if not log.epochs:
        raise ImportFileError("The file holds no usable RMC or GGA sentence.")
    for epoch in log.epochs:
        fix = Fix(epoch.lat, epoch.lon, epoch.speed_kmh, epoch.course_deg, epoch.hdop)
        yield Item(epoch.line, None, Reading(round(epoch.at.timestamp() * 1000), None, None, fix))
    for line, reason in log.skipped:
        yield Skipped(line, reason)
