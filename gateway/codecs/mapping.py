"""From the names and units of a message to a device's own properties."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from detectors.sentence import Sentence
from gateway.codecs.reading import MEASURE_LIMIT, Fix, Reading
from gateway.codecs.report import Measure, Report, Scalar
from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_ENTRY = re.compile(
    r"(?P<property>[a-z][a-z0-9_]{0,62}(?:\.[a-z_]{1,20})?)"
    rf"(?:\*(?P<scale>{_NUMBER}))?(?P<offset>[-+](?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)?"
    r"(?P<words>(?::[^:=]+=[^:=]+)*)\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIX_FIELDS = frozenset({"lat", "lon", "speed_kmh", "course_deg", "hdop", "blade"})
# What a plow's position is called where nobody has said otherwise; "@…" are units of SenML.
_POSITION = {
    "latitude": "fix.lat", "longitude": "fix.lon", "lat": "fix.lat", "lon": "fix.lon",
    "@lat": "fix.lat", "@lon": "fix.lon", "speed_kmh": "fix.speed_kmh",
    "course_deg": "fix.course_deg", "hdop": "fix.hdop", "blade": "fix.blade",
}  # fmt: skip
# What may be said of a message itself: when it was measured (ISO 8601, or a count since 1970), and
# its number.
_MESSAGE_FIELDS = {"msg.time": 0, "msg.time_s": 1000, "msg.time_ms": 1, "msg.seq": 1}
_LARGEST = 2**53
_SEPARATORS = re.compile(r"[:/.]")
# Names come from outside: what is remembered of them has an end, in number and in length.
_REMEMBERED = 500
_REMEMBERED_LENGTH = 200


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a value goes: property = value * scale + offset.

    Attributes
    ----------
    property
        A property of the device, or `fix.lat` and the like for a position; empty: the value is
        of no interest here.
    words
        What texts mean as numbers, before scale and offset.
    """

    property: str = ""
    scale: float = 1.0
    offset: float = 0.0
    words: dict[str, float] = {}

    def __post_init__(self) -> None:
        """Check what only a person can mend.

        Raises
        ------
        ValueError
            If a number is not finite or the position has no such part.
        """
        if not all(map(math.isfinite, (self.scale, self.offset, *self.words.values()))):
            raise ValueError(
                Sentence(
                    "scale, offset and words of {property!r} must be finite numbers",
                    property=self.property,
                )
            )
        if self.property.startswith("msg.") and self.property not in _MESSAGE_FIELDS:
            raise ValueError(
                Sentence(
                    "a message has no {property!r}; it has {known}",
                    property=self.property,
                    known=", ".join(_MESSAGE_FIELDS),
                )
            )
        part = self.property.partition("fix.")[2]
        if self.property.startswith("fix.") and part not in _FIX_FIELDS:
            raise ValueError(
                Sentence(
                    "a position has no {part!r}; it has {known}",
                    part=part,
                    known=", ".join(sorted(_FIX_FIELDS)),
                )
            )

    def number(self, name: str, value: Scalar) -> float | None:
        """Return a value in the property's unit; None: reported as missing.

        Raises
        ------
        RefusedReadingError
            If it is no number and no word that has one.
        """
        if isinstance(value, str):
            if value not in self.words:
                raise RefusedReadingError(
                    Reason.BAD_PAYLOAD,
                    f"{name[:60]!r} is the text {value[:60]!r}: say in the device's mapping which "
                    "number it means",
                )
            value = self.words[value]
        if value is None or math.isnan(value):
            return None
        try:
            number = float(value) * self.scale + self.offset
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise RefusedReadingError(Reason.BAD_PAYLOAD, f"{name[:60]!r} is not a finite number")
        return number


class CodecParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a device's codec must know beside the payload: the column `device.codec_params`.

    Attributes
    ----------
    map
        From names in the message (or `name@unit`, or `@unit`) to properties.
    model
        Which raw decoder a network server's undecoded bytes go through.
    """

    map: dict[str, Target] = {}
    model: str = ""


def parse_entry(text: str) -> tuple[str, Target]:
    """Read ``NAME=PROPERTY[*SCALE][+OFFSET][:WORD=NUMBER…]``; without PROPERTY: ignore it.

    Raises
    ------
    ValueError
        With a sentence that says what is wrong.

    Examples
    --------
    >>> parse_entry("distance=depth_m*-0.001+2.5")[1].number("distance", 2100)
    0.3999999999999999
    >>> parse_entry("leakage_status=contact:leak=1:normal=0")[1].words
    {'leak': 1.0, 'normal': 0.0}
    """
    name, equals, rest = text.partition("=")
    if not equals or not name:
        raise ValueError(
            Sentence("{text!r} is not NAME=PROPERTY, such as water_level=depth_m*0.01", text=text)
        )
    if not rest:
        return name, Target()
    match = _ENTRY.match(rest)
    if match is None:
        raise ValueError(
            Sentence(
                "{text!r} is not PROPERTY, PROPERTY*SCALE, PROPERTY*SCALE+OFFSET or "
                "PROPERTY:WORD=NUMBER, such as depth_m*0.01",
                text=rest,
            )
        )
    words = {}
    for pair in match["words"].split(":")[1:]:
        word, _, number = pair.partition("=")
        try:
            words[word] = float(number)
        except ValueError:
            raise ValueError(
                Sentence("{number!r} in {pair!r} is not a number", number=number, pair=pair)
            ) from None
    return name, Target(
        match["property"], float(match["scale"] or 1), float(match["offset"] or 0), words
    )


class Mapping:
    """One device's mapping.

    A name is looked for as it stands, with and without its unit, then by its last part
    (``urn:dev:ow:10e2:voltage``: ``voltage``), then by its unit alone. What is in no mapping and
    is no property of the device is left out; but if nothing of a message is known, the message
    is refused: a device that was set up wrongly must not fall silent.

    Parameters
    ----------
    params
        The device's own.
    properties
        The properties it has a datastream for.
    moves
        Whether it reports positions.
    """

    def __init__(self, params: CodecParams, properties: Iterable[str], *, moves: bool) -> None:
        self._targets = {name: Target(name) for name in properties}
        if moves:
            self._targets |= {name: Target(where) for name, where in _POSITION.items()}
        self._targets |= params.map
        self._found: dict[tuple[str, str], Target | None] = {}

    def find(self, name: str, unit: str = "") -> Target | None:
        """Find where a value goes; None: nowhere."""
        key = (name, unit)
        if key in self._found:
            return self._found[key]
        last = _SEPARATORS.split(name)[-1]
        tries = [name, last, f"@{unit}"]
        if unit:
            tries = [f"{name}@{unit}", name, f"{last}@{unit}", last, f"@{unit}"]
        found = next((self._targets[one] for one in tries if one in self._targets), None)
        if len(self._found) < _REMEMBERED and len(name) + len(unit) < _REMEMBERED_LENGTH:
            self._found[key] = found
        return found

    def readings(self, reports: Sequence[Report]) -> list[Reading]:
        """Turn reports into readings; none where all of it is known to be of no interest.

        Raises
        ------
        RefusedReadingError
            If nothing is known, a value is no number, or two values claim one property.
        """
        readings: list[Reading] = []
        unknown: list[str] = []
        ignored = False
        for report in reports:
            m: dict[str, float | None] = {}
            fix: dict[str, float | None] = {}
            ts_ms, seq = report.ts_ms, report.seq
            for measure in report.measures:
                target = self.find(measure.name, measure.unit)
                if target is None:
                    unknown.append(_label(measure))
                elif not target.property:
                    ignored = True
                elif target.property == "msg.seq":
                    seq = _whole(measure, 1)
                elif target.property in _MESSAGE_FIELDS:
                    ts_ms = _time(measure, _MESSAGE_FIELDS[target.property])
                else:
                    _put(m, fix, target, measure)
            if m or fix:
                readings.append(
                    Reading(
                        ts_ms,
                        seq,
                        m or None,
                        _fix(fix) if fix else None,
                        age_ms=report.age_ms,
                        routers=report.routers,
                    )
                )
        if unknown and not readings and not ignored:
            names = ", ".join(sorted(set(unknown)))[:300]
            raise RefusedReadingError(
                Reason.UNKNOWN_PROPERTY,
                f"none of {names} is a property of the device or in its mapping",
            )
        return readings

    def native(self, readings: list[Reading]) -> list[Reading]:
        """Rename and scale the values of native readings; others stay as they are."""
        for reading in readings:
            if not reading.m:
                continue
            m: dict[str, float | None] = {}
            fix: dict[str, float | None] = {}
            for name, value in reading.m.items():
                target = self._targets.get(name) or Target(name)
                if target.property:
                    _put(m, fix, target, Measure(name, value))
            reading.m = m
            if fix and reading.fix is None:
                reading.fix = _fix(fix)
        return readings


def _time(measure: Measure, unit_ms: int) -> int:
    """Return milliseconds since 1970 from a count, or (with the unit 0) from a date in words."""
    if unit_ms:
        return _whole(measure, unit_ms)
    try:
        moment = datetime.fromisoformat(str(measure.value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise RefusedReadingError(
            Reason.BAD_PAYLOAD,
            f"{measure.name[:60]!r} is no time with its offset from UTC, such as "
            "2026-01-31T12:00:00+09:00",
        )
    past = moment - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1000 + past.microseconds // 1000


def _whole(measure: Measure, unit: int) -> int:
    """Return a number, or a text that is one, in whole units."""
    try:
        number = math.nan if measure.value is None else float(measure.value) * unit
    except ValueError:
        number = math.nan
    if not 0 <= number <= _LARGEST:
        raise RefusedReadingError(
            Reason.BAD_PAYLOAD, f"{measure.name[:60]!r} is no number of 0 or more"
        )
    return round(number)


def _label(measure: Measure) -> str:
    name = measure.name[:60]
    return f"{name}@{measure.unit[:20]}" if measure.unit else name


def _put(
    m: dict[str, float | None], fix: dict[str, float | None], target: Target, measure: Measure
) -> None:
    number = target.number(measure.name, measure.value)
    place, name = m, target.property
    if name.startswith("fix."):
        place, name = fix, name.removeprefix("fix.")
    if name in place:
        raise RefusedReadingError(
            Reason.BAD_PAYLOAD, f"two values for {target.property!r} at one time"
        )
    place[name] = number


def _fix(parts: dict[str, float | None]) -> Fix:
    for name, number in parts.items():
        if number is not None and abs(number) > MEASURE_LIMIT:
            raise RefusedReadingError(Reason.BAD_PAYLOAD, f"{name} {number!r} is out of range")
    blade = parts.get("blade")
    return Fix(
        parts.get("lat"),
        parts.get("lon"),
        parts.get("speed_kmh"),
        parts.get("course_deg"),
        parts.get("hdop"),
        None if blade is None else blade != 0,
    )
