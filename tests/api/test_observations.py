"""Observations: pages, buckets, times as people write them, and files for spreadsheets."""

import csv
import io
import math
from datetime import UTC, datetime, timedelta

import pytest

MIDNIGHT = datetime(2026, 1, 9, 15, tzinfo=UTC)  # 10 January in Tokyo


def minutes(count, start=MIDNIGHT):
    return [(start + timedelta(minutes=m), m / 100) for m in range(count)]


def read(api, stream, **query):
    query = {"from": "2026-01-01", "to": "2026-02-01", **query}
    return api.ok(f"/sakata/datastreams/{stream}/observations", **query)


def test_pages_join_to_the_whole_without_gap_or_double(api, seed, stream):
    points = minutes(10)
    # Two readings within a millisecond stand on both sides of a page's end.
    points.insert(3, (points[2][0] + timedelta(microseconds=1), 9.0))
    seed.readings(stream, points)
    items, cursor = [], None
    while True:
        page = read(api, stream, limit=3, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= 3
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [item["value"] for item in items] == [value for _, value in points]
    assert items[0] == {
        "time": "2026-01-09T15:00:00Z", "value": 0.0, "flag": 1, "revised_flag": None,
    }  # fmt: skip


def test_a_full_last_page_has_no_next(api, seed, stream):
    seed.readings(stream, minutes(3))
    assert read(api, stream, limit=3)["next"] is None


def test_what_is_not_a_number_is_null(api, seed, stream):
    seed.readings(stream, [(MIDNIGHT, math.nan)], flag=9)
    seed.readings(stream, [(MIDNIGHT + timedelta(minutes=1), math.inf)], flag=4)
    assert [(i["value"], i["flag"]) for i in read(api, stream)["items"]] == [(None, 9), (None, 4)]


def revise(seed, stream, points, flag, source="quality"):
    for time, _ in points:
        seed.execute(
            "insert into flag_revision (datastream_id, phenomenon_time, flag, evaluated, source)"
            " values (%s, %s, %s, 32, %s)",
            stream, time, flag, source,
        )  # fmt: skip


def test_a_flag_stands_as_it_was_given_beside_what_was_found_since(api, seed, stream):
    points = minutes(25)
    seed.readings(stream, points[:20])
    seed.readings(stream, points[20:], flag=3)
    other = seed.streams["c1", "depth_m"]
    seed.readings(other, points[:2])
    revise(seed, other, points[:2], 4)
    revise(seed, stream, points[2:5], 3)
    revise(seed, stream, points[3:4], 1)  # taken back
    revise(seed, stream, points[4:5], 4, "flood")
    revise(seed, stream, points[20:22], 1, "gateway")  # a late neighbour explained it
    revise(seed, stream, points[21:22], 3, "drift")
    for pages in (read(api, stream)["items"], read(api, stream, limit=4)["items"]):
        revised = [item["revised_flag"] for item in pages]
        assert revised[:5] == [None, None, 3, 1, 4][: len(revised)]
        assert [item["flag"] for item in pages[:20]] == [1] * len(pages[:20])
    items = read(api, stream)["items"]
    assert [item["revised_flag"] for item in items[19:23]] == [None, 1, 3, None]
    tens = read(api, stream, bucket="10m")["items"]
    assert [(ten["n"], ten["n_suspect"]) for ten in tens] == [(10, 2), (10, 0), (5, 4)]
    assert [hour["n_suspect"] for hour in read(api, stream, bucket="1h")["items"]] == [6]
    text = api.get(
        f"/sakata/datastreams/{stream}/observations",
        **{"from": "2026-01-01", "to": "2026-02-01", "format": "csv"},
    ).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["flag"], row["revised_flag"], row["revised_flag_ja"]) for row in rows[3:6]] == [
        ("1", "1", "良"), ("1", "4", "不良"), ("1", "", ""),
    ]  # fmt: skip


def test_a_newest_reading_that_failed_since_says_nothing_of_the_present(api, seed, stream):
    now = datetime.now(UTC)
    seed.readings(stream, [(now, 0.0)])
    seed.latest(stream, 0.0, time=now, received=now)
    seed.link("f1", "online")

    def shown():
        [one] = [f for f in api.ok("/sakata/map/flood")["features"] if f["id"] == "f1"]
        device = api.ok("/sakata/devices/f1")
        [latest] = [s["latest"] for s in device["datastreams"] if s["id"] == stream]
        properties = one["properties"]
        assert latest["revised_flag"] == properties["revised_flag"]
        assert latest["flag"] == properties["flag"] == 1
        return properties["state"], properties["unknown_reason"], latest["revised_flag"]

    assert shown() == ("normal", None, None)
    revise(seed, stream, [(now, 0.0)], 3)
    assert shown() == ("normal", None, 3)
    revise(seed, stream, [(now, 0.0)], 4, "plateau")
    assert shown() == ("unknown", "failed", 4)
    seed.latest(stream, 0.0, time=now + timedelta(seconds=1), received=now)
    assert shown() == ("normal", None, None)


def test_a_range_takes_its_start_and_not_its_end(api, seed, stream):
    seed.readings(stream, minutes(3))
    page = read(api, stream, **{"from": "2026-01-09T15:01:00Z", "to": "2026-01-09T15:02:00Z"})
    assert [item["value"] for item in page["items"]] == [0.01]


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-10",  # midnight of the town
        "2026-01-10T00:00",
        "2026-01-10 00:00:00",
        "2026-01-10T00:00:00+09:00",
        "2026-01-10T00:00:00 09:00",  # as a + arrives that was not escaped
        "2026-01-09T15:00:00Z",
        "20260110T000000",
    ],
)
def test_times_are_read_in_the_town_s_zone_unless_they_say_otherwise(api, seed, stream, written):
    seed.readings(stream, [(MIDNIGHT - timedelta(seconds=1), 1.0), (MIDNIGHT, 2.0)])
    page = read(api, stream, **{"from": written, "to": "2026-01-11"})
    assert [item["value"] for item in page["items"]] == [2.0]


def test_without_a_range_the_last_day_is_read(api, seed, stream):
    now = datetime.now(UTC)
    seed.readings(stream, [(now - timedelta(hours=25), 1.0), (now - timedelta(hours=23), 2.0)])
    page = api.ok(f"/sakata/datastreams/{stream}/observations")
    assert [item["value"] for item in page["items"]] == [2.0]


def test_ten_minutes_are_summed_up_without_the_missing(api, seed, stream):
    seed.readings(stream, minutes(10))
    seed.readings(stream, [(MIDNIGHT + timedelta(minutes=10), math.nan)], flag=9)
    seed.readings(stream, [(MIDNIGHT + timedelta(minutes=11), 7.0)], flag=3)
    first, second = read(api, stream, bucket="10m")["items"]
    assert first == {
        "time": "2026-01-09T15:00:00Z", "n": 10, "n_suspect": 0, "min": 0.0, "max": 0.09,
        "mean": pytest.approx(0.045), "last": 0.09,
    }  # fmt: skip
    assert second["n"] == 1
    assert second["n_suspect"] == 1
    assert second["mean"] == 7.0


def test_hours_come_from_rollups_and_out_of_date_ones_from_readings(api, seed, stream):
    # The rollup says something else than the readings, to show which of them was read.
    for hour in range(3):
        start = MIDNIGHT + timedelta(hours=hour)
        seed.readings(stream, minutes(2, start), dirty=hour == 2)
        if hour < 2:
            seed.execute(
                "insert into rollup_hour values (%s, %s, 2, 0, 100, 102, 101, 102)", stream, start
            )
    seed.execute(
        "insert into rollup_dirty (datastream_id, bucket) values (%s, %s)",
        stream, MIDNIGHT + timedelta(hours=1),
    )  # fmt: skip
    assert [i["mean"] for i in read(api, stream, bucket="1h")["items"]] == [
        101.0, pytest.approx(0.005), pytest.approx(0.005),
    ]  # fmt: skip


def test_days_begin_at_the_town_s_midnight_and_pages_of_them_join(api, seed, stream):
    start = MIDNIGHT - timedelta(hours=1)
    seed.readings(stream, [(start + timedelta(hours=h), float(h)) for h in range(50)])
    whole = read(api, stream, bucket="1d")["items"]
    assert [(i["time"], i["n"], i["last"]) for i in whole] == [
        ("2026-01-08T15:00:00Z", 1, 0.0),
        ("2026-01-09T15:00:00Z", 24, 24.0),
        ("2026-01-10T15:00:00Z", 24, 48.0),
        ("2026-01-11T15:00:00Z", 1, 49.0),
    ]
    assert whole[1]["mean"] == pytest.approx(12.5)
    first = read(api, stream, bucket="1d", limit=2)
    assert first["items"] + read(api, stream, bucket="1d", cursor=first["next"])["items"] == whole


def test_days_with_a_clock_change_have_23_and_25_hours(api, seed):
    berlin = seed.add_town("hof", time_zone="Europe/Berlin")
    stream = seed.streams_of(berlin)["f1", "depth_m"]
    start = datetime(2026, 3, 27, 23, tzinfo=UTC)
    seed.readings(stream, [(start + timedelta(hours=h), 1.0) for h in range(24 * 3)])
    path = f"/hof/datastreams/{stream}/observations"
    query = {"from": "2026-03-28", "to": "2026-03-31", "bucket": "1d", "limit": 1}
    found, cursor = [], {}
    while cursor is not None:
        page = api.ok(path, **query, **cursor)
        found += [item["n"] for item in page["items"]]
        cursor = {"cursor": page["next"]} if page["next"] else None
    assert found == [24, 23, 24]


def test_csv_is_whole_and_read_by_a_spreadsheet(api, seed, stream):
    count = 12_000  # more than two visits to the database
    seed.readings(stream, [(MIDNIGHT + timedelta(seconds=s), 0.5) for s in range(count)])
    seed.readings(stream, [(MIDNIGHT + timedelta(days=1), math.nan)], flag=9)
    answer = api.get(
        f"/sakata/datastreams/{stream}/observations",
        **{"from": "2026-01-01", "to": "2026-02-01", "format": "csv", "limit": 5},
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="f1_depth_m_raw_20260101.csv"' in answer.headers["content-disposition"]
    assert answer.content.startswith(b"\xef\xbb\xbf")  # Excel in Japan needs it
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert len(rows) == count + 1
    assert rows[0] == {
        "time": "2026-01-09T15:00:00Z", "local_time": "2026-01-10 00:00:00", "value": "0.5",
        "unit": "m", "flag": "1", "flag_ja": "良", "revised_flag": "", "revised_flag_ja": "",
    }  # fmt: skip
    assert (rows[-1]["value"], rows[-1]["flag_ja"]) == ("", "欠測")
    assert len({row["time"] for row in rows}) == count + 1
    assert b"\r\n" in answer.content


def test_csv_of_buckets_has_their_columns(api, seed, stream):
    seed.readings(stream, minutes(10))
    answer = api.get(
        f"/sakata/datastreams/{stream}/observations",
        **{"from": "2026-01-01", "to": "2026-02-01", "format": "csv", "bucket": "10m"},
    )
    [row] = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert (row["n"], row["min"], row["max"], row["unit"]) == ("10", "0.0", "0.09", "m")


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from", "is not before `to`"),
        ({"from": "2026-01-01", "to": "2026-01-01"}, "from", "is not before `to`"),
        ({"from": "yesterday"}, "from", "is not a time"),
        ({"to": "0001-01-01T00:00:00+23:00"}, "to", "is not a time"),
        ({"to": "9999-01-01"}, "to", "outside of the years"),
        ({"limit": "0"}, "limit", "must be at least 1"),
        ({"limit": "10001"}, "limit", "must be at most 10000"),
        ({"limit": "many"}, "limit", "must be a whole number"),
        ({"bucket": "5m"}, "bucket", "must be one of: 'raw', '10m', '1h', '1d'"),
        ({"cursor": "-1"}, "cursor", "unchanged"),
        ({"cursor": "9223372036854775807"}, "cursor", "unchanged"),
        ({"bucket": "10m", "from": "2025-01-01", "to": "2026-01-01"}, "from", "62 days"),
    ],
)
def test_a_mistake_is_named_with_its_field(api, stream, query, field, words):
    path = f"/sakata/datastreams/{stream}/observations"
    body = api.problem(path, 422, "mistake-in-request", **query)
    [error] = body["errors"]
    assert error["field"] == field
    assert words in error["message"]
    assert field in body["detail"]
