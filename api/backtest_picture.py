"""The picture of a backtest: readings, levels, and when an alert would have stood.

For a printed page: levels differ by pattern and number, standings by a sign.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from api import plot
from api.dictionary import Dictionary
from api.plot import Plot, element, text
from detectors.rules import RateOfRise
from store.backtest_result import LedgerAlert, LevelTried, Raised, Result, StreamResult

MEDIA_TYPE: Final = "image/svg+xml"
MOST_PANELS: Final = 20  # on one picture; those with alerts come first

_WIDTH: Final = 900
_LEFT: Final = 62
_RIGHT: Final = 14
_LANE: Final = 30  # of the alerts, above the readings
_TALL, _LOW = 260, 130  # of one panel alone, and of one among others
_FOOT: Final = 44  # times and dates below a panel
_ROW: Final = 18
_GAP: Final = 3.0  # a line of readings ends where so many were due and none came
_SIGNS: Final = {"same": "=", "changed": "≠", "new": "+", "gone": "−"}  # noqa: RUF001 - a minus
# Denser from level to level; the paths lie in a square of eight.
_HATCHES: Final = ("M0 8 8 0", "M0 8 8 0M-2 2 2-2M6 10 10 6M0 4 4 0M4 8 8 4", "M0 0 8 8M0 8 8 0")
# As it is spoken of in the street; everything else in the unit of the datastream.
_CENTIMETRES: Final = "depth_m"


@dataclass(frozen=True)
class _Bar:
    """An alert of the picture; `stop` is where it is drawn to."""

    sign: str
    start: datetime
    stop: datetime
    level: int
    gone: bool


def draw(result: Result, zone: ZoneInfo, words: Dictionary) -> str:
    """Draw a backtest.

    Parameters
    ----------
    result
        As `store.backtest.run` found it.
    zone
        The town's: times are written in it.
    words
        Language of what is written.

    Returns
    -------
    str
        An SVG document.
    """
    chosen = _chosen(result)
    height = _TALL if len(chosen) == 1 else _LOW
    title = words.say("picture.title", rule=result.rule)
    parts = [_patterns(result.streams), text(14, 26, title, font_size=17, font_weight="bold")]
    y = 46.0
    for said in _sentences(result, zone, words):
        parts.append(text(14, y, said, font_size=13))
        y += _ROW
    for each in chosen:
        parts += _panel(each, result, zone, words, y + 20, height)
        y += 20 + _LANE + height + _FOOT
    rest = len(result.streams) - len(chosen)
    legend = _legend(result, words)
    if rest:
        legend.append([(None, words.say("picture.rest", n=rest))])
    for row in legend:
        y += _ROW
        parts += _row(row, y)
    return plot.document(_WIDTH, y + 16, parts, title, words.language)


def _chosen(result: Result) -> Sequence[StreamResult]:
    if len(result.streams) <= MOST_PANELS:
        return result.streams
    told = {alert.stream.datastream_id for alert in result.raised}
    told |= {alert.datastream_id for alert in result.gone}
    # The order of devices is kept among those with alerts, and among those without.
    ordered = sorted(result.streams, key=lambda each: each.stream.datastream_id not in told)
    return ordered[:MOST_PANELS]


def _sentences(result: Result, zone: ZoneInfo, words: Dictionary) -> Iterator[str]:
    start, stop = (
        f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in (result.start, result.stop)
    )
    yield words.say("picture.range", start=start, stop=stop, zone=zone.key)
    if not result.readings:
        yield words.say("chart.nothing")
        return
    yield words.say("trial.summary", n=len(result.raised), readings=f"{result.readings:,}")
    rate = result.rate()
    if rate is not None:
        said = words.say("picture.false_alarms", n=rate.count) if result.judged else ""
        numbers = {
            "rate": f"{rate.per_sensor_month:.2f}",
            "low": f"{rate.low:.2f}",
            "high": f"{rate.high:.2f}",
        }
        yield said + words.say("trial.rate", **numbers)
    standings = {"same": 0, "changed": 0, "added": 0}
    for alert in result.raised:
        standings["added" if alert.standing == "new" else alert.standing.value] += 1
    yield words.say("trial.compared", gone=len(result.gone), **standings)


def _panel(
    found: StreamResult, result: Result, zone: ZoneInfo, words: Dictionary, top: float, height: int
) -> list[str]:
    stream = found.stream
    factor = 100.0 if stream.property == _CENTIMETRES else 1.0
    unit = "cm" if stream.property == _CENTIMETRES else stream.unit
    own = [alert for alert in result.raised if alert.stream == stream]
    gone = [alert for alert in result.gone if alert.datastream_id == stream.datastream_id]
    is_value = found.kind != RateOfRise.kind
    levels = [(level, level.on * factor) for level in found.levels if is_value]
    values = [
        value * factor
        for each in found.bins
        for value in (each.low, each.high)
        if value is not None
    ]
    low, high = _span([*values, *(on for _, on in levels)], height)
    frame = Plot(
        _LEFT,
        top + _LANE,
        _WIDTH - _LEFT - _RIGHT,
        height,
        result.start,
        result.stop,
        low,
        high,
    )
    bars = _bars(own, gone, result.stop)
    place = f"{stream.device} ({stream.site})" if stream.site else stream.device
    quantity = words.quantity(stream.property)
    name = f"{place}  {quantity} ({unit})" if unit not in {"", "1"} else f"{place}  {quantity}"
    parts = [text(14, top + 4, name, font_weight="bold", font_size=13)]
    parts += [frame.shade(bar.start, bar.stop, plot.INK, 0.07) for bar in bars if not bar.gone]
    parts += frame.time_axis(zone, "/" if words.language == "ja" else "-")
    parts += frame.value_axis()
    for level, on in levels:
        parts += frame.level(on, level.label.colour if level.label else plot.QUIET)
    parts += _readings(frame, found, factor)
    parts += frame.names([(on, f"{level.level}  {_name(level, words)}") for level, on in levels])
    parts.append(frame.frame())
    parts += _lane(frame, bars)
    return parts


def _span(values: Sequence[float], height: int) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(0.0, *values), max(0.0, *values)
    # Not from nought where everything is far above it: the temperature of a pond, say.
    if low == 0.0 and min(values) > 0.5 * high:
        low = min(values) - 0.1 * (high - min(values))
    room = (high - low) * _ROW / (height - _ROW) or 1.0  # for the name of the uppermost level
    return low, high + room


def _readings(frame: Plot, found: StreamResult, factor: float) -> Iterator[str]:
    """Draw readings without a break as one band with its highest values; breaks are hatched."""
    bins = found.bins
    width = bins[1].time - bins[0].time
    due = max(width, timedelta(seconds=_GAP * found.stream.expected_interval_s))
    row: list[tuple[datetime, float, float]] = []
    edge = bins[0].time  # from here on nothing is known
    for each in bins:
        if each.low is None or each.high is None:
            continue
        middle = each.time + width / 2
        if middle - edge > due + width:
            yield from _run(frame, row)
            yield _unknown(frame, edge, each.time)
            row = []
        row.append((middle, each.low * factor, each.high * factor))
        edge = middle
    yield from _run(frame, row)
    end = bins[-1].time + width
    if end - edge > due + width:
        yield _unknown(frame, edge, end)


def _run(frame: Plot, row: Sequence[tuple[datetime, float, float]]) -> Iterator[str]:
    if row:
        yield frame.band(row)
        yield frame.line([(moment, high) for moment, _, high in row])


def _unknown(frame: Plot, start: datetime, stop: datetime) -> str:
    left, right = frame.x(start), frame.x(stop)
    return element(
        "rect",
        x=left,
        y=frame.bottom - 9,
        width=max(1.0, right - left),
        height=8,
        fill="url(#unknown)",
        stroke=plot.QUIET,
        stroke_width=0.5,
    )


def _bars(raised: Sequence[Raised], gone: Sequence[LedgerAlert], stop: datetime) -> list[_Bar]:
    bars = []
    for alert in raised:
        sign = _SIGNS[alert.standing]
        if alert.real is not None:
            sign += "○" if alert.real else "×"  # noqa: RUF001 - a cross, not a letter
        bars.append(_Bar(sign, alert.onset, alert.clear or stop, alert.peak_level, gone=False))
    bars += [
        _Bar(_SIGNS["gone"], alert.onset, alert.clear or stop, alert.peak_level, gone=True)
        for alert in gone
    ]
    return sorted(bars, key=lambda bar: bar.start)


def _lane(frame: Plot, bars: Sequence[_Bar]) -> Iterator[str]:
    """Draw the alerts above the frame, from onset to clear, with sign and peak level."""
    free = -math.inf
    for bar in bars:
        left = frame.x(bar.start)
        width = max(2.5, frame.x(bar.stop) - left)
        yield element(
            "rect",
            x=left,
            y=frame.top - 10,
            width=width,
            height=9,
            fill="white" if bar.gone else f"url(#level{min(bar.level, len(_HATCHES) + 1)})",
            stroke=plot.INK,
            stroke_dasharray="3 2" if bar.gone else None,
        )
        said = f"{bar.sign} {bar.level}"
        if left >= free:  # signs would cover each other
            yield text(left, frame.top - 13, said, font_size=11, font_weight="bold")
            free = left + plot.width_of(said, 11) + 4


def _patterns(streams: Sequence[StreamResult]) -> str:
    colours = {
        level.level: level.label.colour
        for each in streams
        for level in each.levels
        if level.label is not None
    }
    hatches = [(f"level{n}", colours.get(n, "white"), path) for n, path in enumerate(_HATCHES, 1)]
    last = len(_HATCHES) + 1
    hatches.append(
        (f"level{last}", colours.get(last, "#444444"), "M0 2 8 2M0 6 8 6M2 0 2 8M6 0 6 8")
    )
    hatches.append(("unknown", "white", "M1 2h2M5 6h2"))
    return (
        "<defs>"
        + "".join(
            f'<pattern id="{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
            + element("rect", width=8, height=8, fill=colour)
            + element("path", d=path, stroke=plot.INK, stroke_width=1.1, fill="none")
            + "</pattern>"
            for name, colour, path in hatches
        )
        + "</defs>"
    )


def _name(level: LevelTried, words: Dictionary) -> str:
    if level.label is None:
        return ""
    return level.label.label_ja if words.language == "ja" else level.label.label_en


def _legend(result: Result, words: Dictionary) -> list[list[tuple[str | None, str]]]:
    """Explain patterns and signs: rows of a pattern (None: none) and its words."""
    levels = {level.level: level for each in result.streams for level in each.levels}
    of_rate = {each.kind for each in result.streams} == {RateOfRise.kind}
    rows: list[list[tuple[str | None, str]]] = [
        [
            (f"level{min(n, len(_HATCHES) + 1)}", f"{n}  {_name(level, words)}")
            for n, level in sorted(levels.items())
        ],
        [("unknown", words.say("picture.unknown"))],
        [(None, words.say("trial.signs"))],
    ]
    if of_rate:
        limits = ", ".join(_slope(n, levels[n], result, words) for n in sorted(levels))
        rows.insert(1, [(None, words.say("picture.slopes", limits=limits))])
    if result.judged:
        rows.append([(None, words.say("picture.judged"))])
    return rows


def _slope(number: int, level: LevelTried, result: Result, words: Dictionary) -> str:
    stream = result.streams[0].stream
    is_depth = stream.property == _CENTIMETRES
    unit = "cm" if is_depth else stream.unit
    return words.say(
        "picture.slope", n=number, on=f"{level.on * (100 if is_depth else 1):g}", unit=unit
    )


def _row(entries: Sequence[tuple[str | None, str]], y: float) -> Iterator[str]:
    x = 14.0
    for pattern, said in entries:
        if pattern is not None:
            yield element(
                "rect", x=x, y=y - 10, width=22, height=11, fill=f"url(#{pattern})", stroke=plot.INK
            )
            x += 28
        yield text(x, y, said)
        x += plot.width_of(said) + 20
