"""Contrast of the palette by computation (WCAG 2.2: 4.5 for text, 3 for signs and edges)."""

import re
from pathlib import Path

import pytest

from detectors.level_labels import LEVEL_LABELS

CSS = (Path(__file__).parents[2] / "api" / "web" / "css" / "palette.css").read_text("utf-8")
TEXT = [
    ("ink", "surface"), ("ink", "surface-2"), ("ink", "ground"), ("ink", "accent-soft"),
    ("ink-2", "surface"), ("ink-2", "surface-2"), ("ink-2", "ground"), ("ink-2", "accent-soft"),
    ("ink", "line"), ("accent", "surface"), ("accent-ink", "accent"), ("top-ink", "top"),
    ("top-ink-2", "top"), ("training-ink", "training"), ("training-ink", "training-stripe"),
    ("lost-ink", "lost"), ("alert", "surface"), ("unknown", "surface-2"), ("unknown", "surface"),
    ("suspect", "surface"), ("failed", "surface"), ("ink", "map-halo"), ("unknown", "unknown-fill"),
]  # fmt: skip
SIGNS = [
    ("mark-edge", "map-land"), ("unknown", "map-land"), ("calm", "map-land"), ("idle", "map-land"),
    ("plow", "map-land"), ("mark-edge", "map-sea"), ("unknown", "map-sea"), ("calm", "map-sea"),
    ("chart-line", "surface"), ("accent", "ground"), ("live", "top"),
]  # fmt: skip


def block(start):
    begin = CSS.index(start)
    body = CSS[CSS.index("{", begin) + 1 : CSS.index("}", begin)]
    return dict(re.findall(r"--([\w-]+): ([^;]+);", body))


DAY = block(":root {")
NIGHT = block(':root:not([data-theme="light"])')


def channel(value):
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def luminance(colour):
    red, green, blue = (channel(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", [DAY, NIGHT], ids=["day", "night"])
@pytest.mark.parametrize(("text", "ground"), TEXT)
def test_text_can_be_read(theme, text, ground):
    assert contrast(theme[text], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [DAY, NIGHT], ids=["day", "night"])
@pytest.mark.parametrize(("sign", "ground"), SIGNS)
def test_signs_can_be_seen(theme, sign, ground):
    assert contrast(theme[sign], theme[ground]) >= 3


def test_the_mark_of_every_level_can_be_read():
    for label in LEVEL_LABELS:
        assert max(contrast(label.colour, ink) for ink in ("#000000", "#ffffff")) >= 4.5


def test_the_night_is_the_same_whoever_chose_it():
    assert block(':root[data-theme="dark"]') == NIGHT
    assert DAY.keys() == NIGHT.keys()


def test_levels_of_a_scheme_differ_in_shape_not_only_in_colour():
    shapes = {}
    for label in LEVEL_LABELS:
        if label.level:
            shapes.setdefault((label.scheme, label.valid_from), []).append(label.symbol)
    for symbols in shapes.values():
        assert len(set(symbols)) == len(symbols)
    script = (Path(__file__).parents[2] / "api" / "web" / "js" / "symbols.js").read_text("utf-8")
    for label in LEVEL_LABELS:
        assert f"{label.symbol}: " in script
