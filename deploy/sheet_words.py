"""What the columns and choices of a device sheet are called, in English and in Japanese."""

import difflib
import unicodedata

# Column: (English title, Japanese title). The English one is its name in the code too.
TITLES: dict[str, str] = {
    "site": "地点",
    "site_kind": "地点の種類",
    "site_name_ja": "地点名",
    "site_name_en": "地点名(英語)",
    "site_lat": "地点の緯度",
    "site_lon": "地点の経度",
    "close_at_m": "通行止め水深(m)",
    "crew_minutes": "到着まで(分)",
    "ground_m": "地盤高(m)",
    "device": "機器",
    "kind": "種類",
    "name_ja": "機器名",
    "name_en": "機器名(英語)",
    "lat": "緯度",
    "lon": "経度",
    "interval_s": "送信間隔(秒)",
    "state": "状態",
    "datastreams": "測定項目",
    "codec": "形式",
    "model": "型式",
    "map": "対応",
}
# What offices call them as well.
_ALSO = {
    "地点コード": "site",
    "地点種別": "site_kind",
    "機器コード": "device",
    "機器番号": "device",
    "種別": "kind",
    "名称": "name_ja",
    "送信間隔": "interval_s",
}
CHOICES: dict[str, dict[str, str]] = {
    "site_kind": {
        "street": "道路",
        "underpass": "アンダーパス",
        "river": "河川",
        "pond": "養魚池",
        "depot": "車庫",
    },
    "kind": {
        "flood_contact": "接触式冠水センサー",
        "flood_level": "水位センサー",
        "pond_probe": "養魚池センサー",
        "plow": "除雪車",
    },
    "state": {
        "active": "運用中",
        "maintenance": "保守",
        "out_of_season": "休止",
        "quarantined": "隔離",
        "retired": "廃止",
    },
}


def folded(text: str) -> str:
    """Return a word as it is compared: full-width letters, blanks and case make no difference."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


_COLUMNS = {
    **{folded(name): name for name in TITLES},
    **{folded(title): name for name, title in TITLES.items()},
    **{folded(title): name for title, name in _ALSO.items()},
}
_CHOICES = {
    column: {
        **{folded(word): word for word in words},
        **{folded(title): word for word, title in words.items()},
    }
    for column, words in CHOICES.items()
}


def column(title: str) -> str | None:
    """Find a column by its title in either language; None: there is none called so."""
    return _COLUMNS.get(folded(title))


def choice(name: str, word: str) -> str | None:
    """Find what a word means in a column of choices; None: nothing."""
    return _CHOICES[name].get(folded(word))


def nearest(title: str) -> str:
    """Say which title was meant, perhaps, or which there are."""
    close = difflib.get_close_matches(folded(title), _COLUMNS, n=1, cutoff=0.6)
    if close:
        name = _COLUMNS[close[0]]
        return f"did you mean {name} ({TITLES[name]})?"
    return "the columns are " + ", ".join(f"{name} ({said})" for name, said in TITLES.items())


def choices(name: str) -> str:
    """List what may stand in a column of choices."""
    return ", ".join(f"{word} ({title})" for word, title in CHOICES[name].items())
