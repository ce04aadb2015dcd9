"""A plot over time as SVG: the parts that a picture of readings, levels and alerts is made of.

Drawn for paper: what matters has a line, a pattern or a sign of its own, and colour comes second.
"""

import html
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from api.time_ticks import ticks

INK: Final = "#1a1a1a"
QUIET: Final = "#555555"
LINE: Final = "#d5d5d5"
WATER: Final = "#123a5a"
FONT_PX: Final = 12
_TICK_PX: Final = 72  # room for "2026-11-22"


def element(name: str, text: str | None = None, /, **attributes: object) -> str:
    """Write an element; `stroke_width` becomes stroke-width, and None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}/>" if text is None else f"<{name}{given}>{html.escape(text)}</{name}>"


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def text(x: float, y: float, said: str, **attributes: object) -> str:
    """Write a text with its baseline at y."""
    return element("text", said, x=x, y=y, **{"fill": INK, **attributes})


def width_of(said: str, font_px: float = FONT_PX) -> float:
    """Estimate how wide a text is: nobody knows the font of the reader."""
    return sum(
        font_px if unicodedata.east_asian_width(sign) in "WF" else font_px * 0.58 for sign in said
    )


def document(width: float, height: float, parts: Sequence[str], label: str, language: str) -> str:
    """Put the parts on white paper."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" lang="{language}" '
        f"font-family=\"'Noto Sans CJK JP', 'Yu Gothic', Meiryo, sans-serif\" "
        f'font-size="{FONT_PX}">'
    )
    paper = element("rect", width=width, height=height, fill="white")
    return "\n".join([head, element("title", label), paper, *parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class Plot:
    """A frame with a time axis and a value axis.

    Attributes
    ----------
    left, top, width, height
        The frame, in pixels.
    start, stop
        The span of time.
    low, high
        The span of values, in the unit that is shown.
    """

    left: float
    top: float
    width: float
    height: float
    start: datetime
    stop: datetime
    low: float
    high: float

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    def x(self, moment: datetime) -> float:
        """Return where a time is; outside of the span at the edge."""
        span = (self.stop - self.start).total_seconds() or 1.0
        share = (moment - self.start).total_seconds() / span
        return self.left + min(1.0, max(0.0, share)) * self.width

    def y(self, value: float) -> float:
        """Return where a value is; outside of the span at the edge."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.bottom - min(1.0, max(0.0, share)) * self.height

    def time_axis(self, zone: ZoneInfo, separator: str = "-") -> list[str]:
        """Mark round times of a clock."""
        parts = []
        for tick in ticks(self.start, self.stop, zone, int(self.width // _TICK_PX), separator):
            x = self.x(tick.time)
            parts.append(element("line", x1=x, x2=x, y1=self.top, y2=self.bottom + 4, stroke=LINE))
            anchor = "end" if x > self.right - _TICK_PX / 2 else "middle"
            for row, said in enumerate((tick.text, tick.under)):
                if said:
                    y = self.bottom + 16 + 13 * row
                    parts.append(text(x, y, said, text_anchor=anchor, fill=QUIET, font_size=11))
        return parts

    def value_axis(self) -> list[str]:
        """Mark round values."""
        rough = (self.high - self.low) / max(2.0, self.height / 34.0)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        parts = []
        for count in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step) + 1):
            y = self.y(count * step)
            parts += [
                element("line", x1=self.left - 4, x2=self.right, y1=y, y2=y, stroke=LINE),
                text(
                    self.left - 7,
                    y + 4,
                    f"{count * step:.{digits}f}",
                    text_anchor="end",
                    fill=QUIET,
                    font_size=11,
                ),
            ]
        return parts

    def frame(self) -> str:
        """Draw the edge."""
        return element(
            "rect",
            x=self.left,
            y=self.top,
            width=self.width,
            height=self.height,
            fill="none",
            stroke=QUIET,
        )

    def level(self, value: float, colour: str) -> list[str]:
        """Draw a level: a dashed line with an edge, for yellow on white."""
        y = self.y(value)
        dashed = {"x1": self.left, "x2": self.right, "y1": y, "y2": y, "stroke_dasharray": "7 4"}
        return [
            element("line", **dashed, stroke=QUIET, stroke_width=2.6),
            element("line", **dashed, stroke=colour, stroke_width=1.4),
        ]

    def names(self, named: Sequence[tuple[float, str]]) -> list[str]:
        """Write the names of levels on their lines; where two would touch, the lower one."""
        parts = []
        above = math.inf
        for value, said in sorted(named):
            y = self.y(value)
            if not self.low <= value <= self.high or above - y < FONT_PX + 2:
                continue
            above = y
            room = {"y": y - FONT_PX - 2, "height": FONT_PX + 1, "width": width_of(said, 11) + 6}
            parts += [
                element("rect", x=self.left + 3, **room, fill="white", fill_opacity=0.85),
                text(self.left + 6, y - 4, said, font_size=11),
            ]
        return parts

    def shade(self, start: datetime, stop: datetime, colour: str, opacity: float) -> str:
        """Shade a stretch of time."""
        return element(
            "rect",
            x=self.x(start),
            y=self.top,
            width=max(1.0, self.x(stop) - self.x(start)),
            height=self.height,
            fill=colour,
            fill_opacity=opacity,
        )

    def line(self, points: Sequence[tuple[datetime, float]]) -> str:
        """Draw readings in a row; one alone is a point."""
        if len(points) == 1:
            [(moment, value)] = points
            return element("circle", cx=self.x(moment), cy=self.y(value), r=1.5, fill=WATER)
        path = " ".join(f"{self.x(moment):.1f},{self.y(value):.1f}" for moment, value in points)
        return element("polyline", points=path, fill="none", stroke=WATER, stroke_width=1.4)

    def band(self, points: Sequence[tuple[datetime, float, float]]) -> str:
        """Draw lowest to highest of readings in a row."""
        path = " ".join(
            f"{self.x(moment):.1f},{self.y(value):.1f}"
            for moment, value in [
                *((moment, high) for moment, _, high in points),
                *((moment, low) for moment, low, _ in reversed(points)),
            ]
        )
        return element("polygon", points=path, fill=WATER, fill_opacity=0.22)
