"""NMEA 0183 lines of a GPS logger: RMC for place, date and speed, GGA for the dilution.

Other sentences are passed over. A sentence whose checksum does not fit was damaged on its way and
is left out, and counted; its neighbours stand. A receiver without a fix says so, and that is
kept: a position that is missing, never the last one it had.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.codecs.report import Report, Scalar, measures
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

KMH_PER_KNOT = 1.852
# The GPS epoch is 1980: the two digits of a year mean a time since then.
_FIRST_YEAR = 80
_HALF_DAY = timedelta(hours=12)
_UNDATED = "no date or time"

_SENTENCE = re.compile(r"\$([A-Z0-9]{5}),([^*$]*)\*([0-9A-Fa-f]{2})\s*\Z", re.ASCII)
_TIME = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})(?:\.([0-9]{1,6}))?\Z", re.ASCII)
_DATE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})\Z", re.ASCII)
_ANGLE = re.compile(r"([0-9]{2,3})([0-9]{2}(?:\.[0-9]{1,10})?)\Z", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?\Z", re.ASCII)


@dataclass(slots=True)
class Epoch:
    """What the receiver says of one moment; `lat` and `lon` None: no fix.

    `line` is the first that says it, counted from 1.
    """

    at: datetime
    lat: float | None = None
    lon: float | None = None
    speed_kmh: float | None = None
    course_deg: float | None = None
    hdop: float | None = None
    line: int = field(default=0, compare=False)

    def report(self) -> Report:
        """Return it under the names that a plow's mapping knows."""
        values: dict[str, Scalar] = {"latitude": self.lat, "longitude": self.lon}
        for name in ("speed_kmh", "course_deg", "hdop"):
            if (value := getattr(self, name)) is not None:
                values[name] = value
        return Report(measures(values), ts_ms=round(self.at.timestamp() * 1000))


@dataclass
class Log:
    """A logger's lines: epochs in their order, and which lines were left out and why."""

    epochs: list[Epoch] = field(default_factory=list)
    skipped: list[tuple[int, str]] = field(default_factory=list)

    @property
    def reasons(self) -> Counter[str]:
        """How many lines were left out, by reason."""
        return Counter(reason for _, reason in self.skipped)


def decode(payload: bytes) -> Log:
    """Decode the lines of one message.

    Raises
    ------
    RefusedReadingError
        If there is no usable line in it.
    """
    log = parse(payload.decode("ascii", errors="replace"))
    if not log.epochs:
        found = ", ".join(f"{count} {reason}" for reason, count in sorted(log.reasons.items()))
        raise RefusedReadingError(
            Reason.BAD_PAYLOAD, f"no usable RMC or GGA sentence ({found or 'none at all'})"
        )
    return log


def parse(text: str) -> Log:
    """Read lines; raises nothing.

    Examples
    --------
    >>> line = "$GPRMC,045849.000,A,3519.9048,N,13640.2631,E,0.10,92.17,270705,,*31"
    >>> parse(line).epochs[0].lat
    35.33174666666667
    """
    log = Log()
    newest: Epoch | None = None
    waiting: list[tuple[int, list[str]]] = []  # GGA of which the date is not known yet
    for number, line in enumerate(text.splitlines(), 1):
        start = line.find("$")
        if start < 0:
            continue
        match = _SENTENCE.match(line[start:])
        if match is None:
            log.skipped.append((number, "malformed"))
        elif _checksum(f"{match[1]},{match[2]}") != int(match[3], 16):
            log.skipped.append((number, "bad checksum"))
        elif match[1].endswith("RMC"):
            epoch = _rmc(number, match[2].split(","))
            if epoch is None:
                log.skipped.append((number, _UNDATED))
                continue
            newest = _joined(log, newest, epoch)
            for earlier, fields in waiting:
                newest = _gga(log, newest, earlier, fields)
            waiting = []
        elif match[1].endswith("GGA"):
            if newest is None:
                waiting.append((number, match[2].split(",")))
            else:
                newest = _gga(log, newest, number, match[2].split(","))
    log.skipped += [(number, _UNDATED) for number, _ in waiting]
    log.skipped.sort()
    log.epochs.sort(key=lambda epoch: epoch.at)
    return log


def _checksum(body: str) -> int:
    total = 0
    for letter in body:
        total ^= ord(letter)
    return total


def _joined(log: Log, newest: Epoch | None, epoch: Epoch) -> Epoch:
    """Add an epoch; the same moment said twice (GP and GN) is one."""
    if newest is not None and newest.at == epoch.at:
        if newest.lat is None:
            newest.lat, newest.lon = epoch.lat, epoch.lon
        newest.speed_kmh = epoch.speed_kmh if newest.speed_kmh is None else newest.speed_kmh
        newest.course_deg = epoch.course_deg if newest.course_deg is None else newest.course_deg
        return newest
    log.epochs.append(epoch)
    return epoch


def _rmc(line: int, fields: list[str]) -> Epoch | None:
    if len(fields) < 9:
        return None
    date = _DATE.match(fields[8])
    clock = _clock(fields[0])
    if date is None or clock is None:
        return None
    day, month, year = (int(part) for part in date.groups())
    try:
        midnight = datetime(year + (1900 if year >= _FIRST_YEAR else 2000), month, day, tzinfo=UTC)
    except ValueError:
        return None
    epoch = Epoch(midnight + clock, line=line)
    mode = fields[11][:1] if len(fields) > 11 else ""
    if fields[1] == "A" and mode != "N":
        epoch.lat = _angle(fields[2], fields[3], "NS")
        epoch.lon = _angle(fields[4], fields[5], "EW")
        knots = _number(fields[6])
        epoch.speed_kmh = None if knots is None else knots * KMH_PER_KNOT
        epoch.course_deg = _number(fields[7])
    return epoch


def _gga(log: Log, newest: Epoch, line: int, fields: list[str]) -> Epoch:
    """Take in a GGA sentence: its time of day is the one nearest to the newest date."""
    clock = _clock(fields[0])
    if clock is None or len(fields) < 8:
        log.skipped.append((line, _UNDATED))
        return newest
    at = newest.at.replace(hour=0, minute=0, second=0, microsecond=0) + clock
    if at - newest.at > _HALF_DAY:
        at -= timedelta(days=1)
    elif newest.at - at > _HALF_DAY:
        at += timedelta(days=1)
    fixed = fields[5] not in ("", "0")
    hdop = _number(fields[7]) if fixed else None
    if at == newest.at:
        newest.hdop, newest.line = hdop, min(newest.line, line)
        return newest  # RMC has the place, or says that it is not to be used
    epoch = Epoch(at, hdop=hdop, line=line)
    if fixed:
        epoch.lat = _angle(fields[1], fields[2], "NS")
        epoch.lon = _angle(fields[3], fields[4], "EW")
    return _joined(log, newest, epoch)


def _clock(text: str) -> timedelta | None:
    match = _TIME.match(text)
    if match is None:
        return None
    hour, minute, second = (int(part) for part in match.groups()[:3])
    if hour > 23 or minute > 59 or second > 60:
        return None
    micro = int((match[4] or "0").ljust(6, "0"))
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micro)


def _angle(text: str, side: str, sides: str) -> float | None:
    """Return degrees; None if it is not an angle on this earth."""
    match = _ANGLE.match(text)
    if match is None or side not in sides or not side or float(match[2]) >= 60:
        return None
    degrees = int(match[1]) + float(match[2]) / 60
    if degrees > (90 if sides == "NS" else 180):
        return None
    return -degrees if side == sides[1] else degrees


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.match(text) else None
