"""What a level is called, its colour and its shape: dated rows, not code.

The store writes these rows into `level_label`; a town may add its own with a later date.
"""

# ruff: noqa: RUF001 (full-width brackets are how Japanese writes them)

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

_JAPAN = timezone(timedelta(hours=9))
# Long before any reading that could be imported.
_ALWAYS = datetime(1970, 1, 1, tzinfo=_JAPAN)
# From here on official bulletins carry the warning level in their own names (L2 注意報, L3 警報,
# L4 危険警報, L5 特別警報), so that "equivalent to level N" is no longer said beside a stage.
_NEW_NAMES = datetime(2026, 5, 28, tzinfo=_JAPAN)


@dataclass(frozen=True)
class LevelLabel:
    """One row of `level_label`.

    Attributes
    ----------
    scheme : str
        street, river, pond, lift or rate.
    level : int
        0 is below the first level.
    valid_from : datetime
        Timezone-aware; the newest row not later than a transition names it.
    label_ja, label_en : str
    colour : str
        "#rrggbb".
    symbol : str
        Shape on the map: circle, triangle, diamond, square, octagon or star. Colour is never the
        only signal.
    """

    scheme: str
    level: int
    valid_from: datetime
    label_ja: str
    label_en: str
    colour: str
    symbol: str


_YELLOW = "#f2e700"  # 242,231,0: level 2 of the unified warning colours (気象庁)
_ORANGE = "#ff9900"
_RED = "#ff2800"  # 255,40,0
_DARK_RED = "#a80000"
_CALM = "#2b7bba"

# Street sensors speak of what the crew does. River stage names, and the purple and black that
# belong to official evacuation levels, are not used here: 30 cm in a street is not "level 4".
_STREET = (
    (0, "注意の深さ未満", "Below the watch depth", _CALM, "circle"),
    (1, "注意", "Watch", _YELLOW, "triangle"),
    (2, "出動・通行止め判断", "Send the crew, decide on closing", _ORANGE, "diamond"),
    (3, "通行止めの目安", "Deep enough to close", _RED, "square"),
    (4, "車が動けなくなるおそれ", "Cars may be stopped", _DARK_RED, "octagon"),
)
_RIVER = (
    (0, "水防団待機水位未満", "Below the standby stage", _CALM, "circle"),
    (1, "水防団待機水位", "Flood-fighting standby stage", "#ffffff", "triangle"),
    (2, "氾濫注意水位", "Flood caution stage", _YELLOW, "diamond"),
    (3, "避難判断水位", "Evacuation decision stage", _RED, "square"),
    (4, "氾濫危険水位", "Flood danger stage", "#aa00aa", "octagon"),
    (5, "氾濫発生", "Overflowing", "#0c000c", "star"),
)
_POND = (
    (0, "注意の値に達していない", "Short of the watch value", _CALM, "circle"),
    (1, "注意", "Watch", _YELLOW, "triangle"),
    (2, "警戒", "Warning", _ORANGE, "diamond"),
    (3, "危険", "Critical", _RED, "square"),
    (4, "緊急（鼻上げ・へい死のおそれ）", "Emergency: fish may die", _DARK_RED, "octagon"),
)
# No danger and no calm: nothing is known of the water until the probes are back in it.
_LIFT = (
    (0, "プローブは水中", "Probes in the water", _CALM, "circle"),
    (1, "保守（プローブ引き上げ）", "Maintenance: probes lifted out", "#808080", "diamond"),
)
_RATE = (
    (0, "上昇は緩やか", "Not rising fast", _CALM, "circle"),
    (1, "上昇に注意", "Rising: watch", _YELLOW, "triangle"),
    (2, "急上昇", "Rising fast", _RED, "square"),
)


def _rows(scheme: str, rows: tuple[tuple[int, str, str, str, str], ...]) -> tuple[LevelLabel, ...]:
    return tuple(LevelLabel(scheme, row[0], _ALWAYS, *row[1:]) for row in rows)


def _old_river() -> tuple[LevelLabel, ...]:
    return tuple(
        LevelLabel("river", level, _ALWAYS, ja + equal_ja, en + equal_en, colour, symbol)
        for level, ja, en, colour, symbol in _RIVER
        for equal_ja, equal_en in [
            (f"（警戒レベル{level}相当）", f" (warning level {level})") if level >= 2 else ("", "")
        ]
    )


LEVEL_LABELS: Final[tuple[LevelLabel, ...]] = (
    *_rows("street", _STREET),
    *_old_river(),
    *(LevelLabel("river", row[0], _NEW_NAMES, *row[1:]) for row in _RIVER),
    *_rows("pond", _POND),
    *_rows("lift", _LIFT),
    *_rows("rate", _RATE),
)
