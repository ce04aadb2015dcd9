"""The picture of a backtest: what a person must be able to read from it on paper."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from api.backtest_picture import MOST_PANELS, draw
from api.dictionary import dictionary
from api.time_ticks import ticks
from detectors.level_labels import LEVEL_LABELS
from store.backtest_result import (
    Bin,
    LedgerAlert,
    LevelTried,
    Raised,
    RealEvent,
    Result,
    Standing,
    Stream,
    StreamResult,
    judge,
)
from tests.api.test_backtest import RANGE, flooded  # noqa: F401 - a fixture

TOKYO = ZoneInfo("Asia/Tokyo")
START = datetime(2026, 6, 30, 15, tzinfo=UTC)  # midnight in Tokyo
HOUR = timedelta(hours=1)
STREET = {label.level: label for label in LEVEL_LABELS if label.scheme == "street"}
LEVELS = tuple(LevelTried(n, on, STREET[n]) for n, on in enumerate((0.05, 0.1, 0.2, 0.3), 1))
SVG = "{http://www.w3.org/2000/svg}"


def stream(number=1, device="f<1>", **changes):
    values = {
        "datastream_id": number,
        "device": device,
        "site": "ekimae",
        "property": "depth_m",
        "unit": "m",
        "expected_interval_s": 60.0,
    }
    return Stream(**{**values, **changes})


def bins(values):
    """A value for each tenth of an hour of a day; None: nothing came."""
    return tuple(
        Bin(START + i * HOUR / 10, value, None if value is None else value + 0.01)
        for i, value in enumerate(values)
    )


def raised(at, number=1, level=3, standing=Standing.SAME, **changes):
    begin = START + at * HOUR
    values = {"onset": begin, "clear": begin + HOUR, "peak_level": level, "peak_value": 0.26}
    stands = {"standing": standing, "unconfirmed": False}
    return Raised(stream=stream(number), **{**values, **stands, **changes})


def found(number=1, values=None, own=(), **changes):
    made = StreamResult(
        stream=stream(number),
        kind="threshold",
        levels=LEVELS,
        readings=240,
        length_ms=86_400_000,
        raised=tuple(own),
        bins=bins(values or [0.0] * 240),
    )
    return replace(made, **changes)


def result(streams, alerts=(), gone=()):
    return Result(
        "street-depth", START, START + 24 * HOUR, tuple(streams), tuple(alerts), tuple(gone)
    )


def drawn(made, language="ja", zone=TOKYO):
    return ET.fromstring(draw(made, zone, dictionary(language)))  # noqa: S314 - our own


def texts(picture):
    return [node.text for node in picture.iter(f"{SVG}text")]


def bars(picture):
    """The alerts that are drawn: patterns by level (white: gone), left to right."""
    return [
        (float(node.get("x")), float(node.get("width")), node.get("fill"))
        for node in picture.iter(f"{SVG}rect")
        if node.get("height") == "9"
    ]


def test_an_alert_is_drawn_from_onset_to_clear_with_its_level_and_its_standing():
    alerts = [raised(6), raised(12, level=2, standing=Standing.NEW)]
    picture = drawn(result([found(own=alerts)], alerts))
    [(x1, w1, fill1), (x2, w2, fill2)] = bars(picture)
    hour = (900 - 62 - 14) / 24
    assert x1 == pytest.approx(62 + 6 * hour, abs=0.1)
    assert w1 == pytest.approx(hour, abs=0.1)
    assert x2 == pytest.approx(62 + 12 * hour, abs=0.1)
    assert w2 == pytest.approx(hour, abs=0.1)
    assert (fill1, fill2) == ("url(#level3)", "url(#level2)")
    assert {"= 3", "+ 2"} <= set(texts(picture))


def test_one_that_is_not_over_reaches_to_the_end_and_one_that_is_gone_is_dashed():
    alert = raised(20, clear=None)
    gone = LedgerAlert(7, 1, START + HOUR, START + 2 * HOUR, 2, 0.12)
    picture = drawn(result([found(own=[alert])], [alert], [gone]))
    [first, last] = bars(picture)
    assert first[2] == "white"
    assert last[0] + last[1] == pytest.approx(900 - 14, abs=0.1)
    assert "− 2" in texts(picture)


def test_levels_have_a_line_a_name_and_a_pattern_each():
    picture = drawn(result([found(values=[0.0, 0.4] * 120)]))
    said = texts(picture)
    assert {"1  注意", "2  出動・通行止め判断"} <= set(said)
    dashed = [n for n in picture.iter(f"{SVG}line") if n.get("stroke-dasharray")]
    assert len(dashed) == 2 * len(LEVELS)
    shapes = {
        node.get("id"): node.find(f"{SVG}path").get("d") for node in picture.iter(f"{SVG}pattern")
    }
    assert len({shapes[f"level{n}"] for n in (1, 2, 3, 4)}) == 4


def test_where_nothing_was_measured_is_hatched_and_not_joined():
    values = [0.1] * 60 + [None] * 60 + [0.1] * 120
    picture = drawn(result([found(values=values)]))
    unknown = [n for n in picture.iter(f"{SVG}rect") if n.get("fill") == "url(#unknown)"]
    wide = max(float(node.get("width")) for node in unknown)
    assert wide == pytest.approx((900 - 62 - 14) / 4, rel=0.05)
    assert len(list(picture.iter(f"{SVG}polyline"))) == 2


def test_readings_rarer_than_the_bins_are_joined():
    values = [0.1 if i % 10 == 0 else None for i in range(240)]
    hourly = stream(expected_interval_s=3600.0)
    picture = drawn(result([found(values=values, stream=hourly)]))
    assert len(list(picture.iter(f"{SVG}polyline"))) == 1


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ja", ["f<1> (ekimae)  水深 (cm)", "2026-07-01 00:00 ～ 2026-07-02 00:00（Asia/Tokyo）",
                "2026/07/01"]),
        ("en", ["f<1> (ekimae)  Depth (cm)", "2026-07-01 00:00 to 2026-07-02 00:00 (Asia/Tokyo)",
                "2026-07-01"]),
    ],
)  # fmt: skip
def test_it_is_written_in_one_language_and_in_the_town_s_time(language, words):
    picture = drawn(result([found()]), language)
    said = [text for text in texts(picture) if text]
    assert [word for word in words if word not in said] == []
    assert picture.get("lang") == language
    assert not [text for text in said if "{" in text or "picture." in text]


def test_false_alarms_are_counted_and_marked():
    alerts = [raised(6), raised(12)]
    made = judge(result([found(own=alerts)], alerts), [RealEvent("f<1>", START + 6.5 * HOUR)])
    said = texts(drawn(made, "en"))
    assert {"=○ 3", "=× 3"} <= set(said)
    assert any(text.startswith("False alarms: 1; 30.00 for each sensor and month") for text in said)
    assert "○ real, × false alarm" in said


def test_a_rule_of_rise_says_its_limits_beside_the_plot():
    tried = tuple(LevelTried(n, on, None) for n, on in enumerate((0.6, 3.0), 1))
    said = texts(drawn(result([found(kind="rate_of_rise", levels=tried)]), "en"))
    assert "Limits of the rise: 1 = 60 cm/h, 2 = 300 cm/h" in said


def test_of_many_sensors_those_with_alerts_are_drawn_and_the_others_counted():
    alert = raised(6, number=40)
    made = result([found(number) for number in range(1, 42)], [alert])
    said = texts(drawn(made, "en"))
    assert sum("Depth (cm)" in text for text in said) == MOST_PANELS
    assert "= 3" in said
    assert any(text.startswith("21 more datastreams are not drawn") for text in said)


def test_nothing_stored_is_a_picture_that_says_so():
    picture = drawn(result([found(values=[None] * 240, readings=0, length_ms=0)]), "ja")
    assert "この期間の観測はありません" in texts(picture)


@pytest.mark.parametrize(
    ("start", "stop", "zone", "said"),
    [
        ("2026-07-01T00:10", "2026-07-01T02:10", "Asia/Tokyo",
         ["00:30", "01:00", "01:30", "02:00"]),
        ("2026-06-28T12:00", "2026-07-02T12:00", "Asia/Tokyo",
         ["06-29", "06-30", "07-01", "07-02"]),
        ("2025-01-15", "2026-01-15", "Asia/Tokyo",
         ["04", "07", "10", "01"]),
        # The clock goes from 2 to 3: an axis by the hour has no 02:00.
        ("2026-03-29T00:30", "2026-03-29T05:30", "Europe/Berlin",
         ["01:00", "03:00", "04:00", "05:00"]),
    ],
)  # fmt: skip
def test_marks_are_at_round_times_of_the_town_s_clock(start, stop, zone, said):
    zone = ZoneInfo(zone)
    first, last = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in (start, stop))
    found = ticks(first.astimezone(UTC), last.astimezone(UTC), zone, len(said) + 1)
    assert [tick.text for tick in found] == said
    assert found[0].under


@pytest.mark.usefixtures("flooded")
@pytest.mark.parametrize(("wished", "spoken"), [("ja,en;q=0.5", "ja"), ("fr, en-GB;q=0.3", "en")])
def test_the_route_draws_in_the_language_that_is_asked_for(api, wished, spoken):
    answer = api.client.post(
        "/api/v1/sakata/backtest?format=svg",
        json={"rule": "street-depth", **RANGE},
        headers={"Accept-Language": wished},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-language"] == spoken
    picture = ET.fromstring(answer.text)  # noqa: S314 - our own
    assert len(bars(picture)) >= 2
    assert picture.get("lang") == spoken
