import re
from datetime import timedelta

import psycopg
import pytest

from deploy.grafana.dashboard import DASHBOARDS, build_dashboard, datasource_uid, read_dashboard
from tests.grafana.conftest import NOW

PANELS = [(name, panel["title"]) for name in DASHBOARDS for panel in read_dashboard(name)["panel"]]


def expanded(sql, *, hours=6, interval_s=60):
    """What Grafana's PostgreSQL data source makes of its macros (documented there)."""
    begin, end = (NOW - timedelta(hours=hours)).isoformat(), (NOW + timedelta(1)).isoformat()
    sql = sql.replace("$__interval", f"{interval_s}s")
    sql = re.sub(r"\$__timeFilter\(([^)]*)\)", rf"\1 BETWEEN '{begin}' AND '{end}'", sql)
    sql = re.sub(
        r"\$__timeGroup\(([^,)]*), *'?(\d+)s'?\)",
        r"floor((extract(epoch from \1))/\2)*\2",
        sql,
    )
    assert "$__" not in sql, "a macro that Grafana may know and this test does not"
    return sql


def panel_of(name, title):
    built = build_dashboard(name, "kawabe", "川辺町", training=True)
    return next(panel for panel in built["panels"] if panel["title"] == title)


def answer(town, name, title, **options):
    """Rows of a panel as dictionaries, asked as the town's own role."""
    sql = expanded(panel_of(name, title)["targets"][0]["rawSql"], **options)
    with psycopg.connect(town.dsn) as conn:
        cursor = conn.execute(sql)
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def test_every_panel_answers_with_the_columns_its_format_needs(towns):
    for name, title in PANELS:
        panel = panel_of(name, title)
        rows = answer(towns["kawabe"], name, title)
        assert rows, f"the town of the test has something for {title}"
        if panel["targets"][0]["format"] == "time_series":
            assert list(rows[0]) == ["time", "metric", "value"], title
            assert all(row["value"] is not None for row in rows), title
            assert [row["time"] for row in rows] == sorted(row["time"] for row in rows), title


def test_panels_of_a_town_without_readings_are_no_error_and_claim_nothing(towns, owner):
    with owner.transaction() as conn:
        for table in ("alert", "observation", "position", "latest", "latest_position",
                      "rollup_hour", "link_state"):  # fmt: skip
            conn.execute(f"truncate {table} cascade")
    for name, title in PANELS:
        panel = panel_of(name, title)
        rows = answer(towns["kawabe"], name, title)
        if panel["targets"][0]["format"] == "time_series":
            assert rows == [], title
    ponds = answer(towns["kawabe"], "ponds", "いまの池 · Ponds now")
    assert [row["通信 · link"] for row in ponds] == ["不明 · unknown"] * 6
    plows = answer(towns["kawabe"], "snow", "車両 · Vehicles")
    assert [row["状態 · state"] for row in plows] == ["不明 · unknown"] * 5
    [silent] = answer(towns["kawabe"], "flood", "通信のないセンサー · Sensors without link")
    assert silent == {"不明 · unknown": 12}


def test_depth_leaves_out_what_failed_and_what_is_missing(towns):
    rows = answer(towns["kawabe"], "flood", "浸水深 · Depth")
    by_place = {row["metric"] for row in rows}
    assert by_place == {"駅西地下道 浸水深計", "銀座通り 浸水深計"}
    assert max(row["value"] for row in rows) == pytest.approx(0.12)
    assert len(rows) == 2 * 119


def test_a_wider_interval_keeps_the_peak(towns):
    rows = answer(towns["kawabe"], "flood", "浸水深 · Depth", interval_s=3600)
    assert len(rows) <= 2 * 4
    assert max(row["value"] for row in rows) == pytest.approx(0.12)


def test_a_silent_sensor_has_no_value_and_is_counted(towns):
    rows = {
        row["機器 · device"]: row for row in answer(towns["kawabe"], "flood", "センサー · Sensors")
    }
    dry = rows["銀座通り 浸水深計"]  # its last word was 0.0: that is not known to be so now
    assert dry["値 · value"] is None
    assert dry["観測 · measured"] is None
    assert dry["通信 · link"] == "通信なし · silent"
    assert rows["駅西地下道 浸水深計"]["値 · value"] == pytest.approx(0.12)
    [counted] = answer(towns["kawabe"], "flood", "通信のないセンサー · Sensors without link")
    assert counted == {"不明 · unknown": 2}


def test_open_alerts_have_the_name_of_their_level_and_ended_ones_are_apart(towns):
    [alert] = answer(towns["kawabe"], "flood", "発生中の警告 · Open alerts")
    assert alert["場所 · place"] == "駅西地下道"
    assert " · " in alert["段階 · level"]
    [ended] = answer(towns["kawabe"], "flood", "終了した警告 · Ended alerts")
    assert ended["場所 · place"] == "銀座通り"


def test_work_and_deadhead_are_minutes_by_vehicle(towns):
    rows = answer(towns["kawabe"], "snow", "作業・回送・待機 (分) · Working, deadhead, idle (min)")
    assert [(row["作業 · working"], row["回送 · deadhead"]) for row in rows] == [
        (30, None),
        (None, 30),
    ]


def test_a_role_sees_its_own_town_whatever_is_typed(towns):
    here, other = towns["kawabe"], towns["yamabe"]
    with psycopg.connect(here.dsn, autocommit=True) as conn:
        conn.execute("select set_config('mizumori.tenant_id', %s, false)",
                     (str(other.tenant.tenant_id),))  # fmt: skip
        assert conn.execute("select code from tenant").fetchall() == [("kawabe",)]
        for table in ("tenant_observation", "tenant_rollup_hour", "latest", "alert"):
            [[foreign]] = conn.execute(
                f"select count(*) from {table} where datastream_id = any(%s)",
                (list(other.streams.values()),),
            ).fetchall()
            [[own]] = conn.execute(f"select count(*) from {table}").fetchall()
            assert (foreign, own > 0) == (0, True)
        for forbidden in ("observation", "position", "broker_account", "alert_transition"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"select 1 from {forbidden}")


def test_a_role_cannot_write_even_if_it_leaves_read_only(towns):
    with psycopg.connect(towns["kawabe"].dsn, autocommit=True) as conn:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            conn.execute("create temporary table x (y int)")
        conn.execute("set default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("update alert set level = 0")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("insert into town_role values ('mizumori_town_kawabe', 2)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute('set role "mizumori_town_yamabe"')


def joined(rows):
    """As Grafana joins rows of time, metric and value: one column each, None where it has none."""
    times = sorted({row["time"] for row in rows})
    values = {(row["metric"], row["time"]): row["value"] for row in rows}
    metrics = sorted({row["metric"] for row in rows})
    return times, {metric: [values.get((metric, time)) for time in times] for metric in metrics}


def pieces(times, values, span_ms):
    """How many pieces Grafana draws a column in, which spans nulls for less than `span_ms`."""
    found, last = 0, None
    for time, value in zip(times, values, strict=True):
        if value is not None:
            found += last is None or 1000 * (time - last) >= span_ms
            last = time
    return found


def test_a_line_goes_on_where_only_another_sensor_has_a_value_and_ends_where_none_has(towns, owner):
    town = towns["kawabe"]
    with owner.transaction() as conn:
        # Both report every ten minutes, five minutes apart; one is silent for an hour.
        conn.execute(
            "delete from observation where datastream_id = %s"
            " and extract(minute from phenomenon_time)::int %% 10 <> 0",
            (town.streams["flood-01", "depth_m"],),
        )
        conn.execute(
            "delete from observation where datastream_id = %s"
            " and (extract(minute from phenomenon_time)::int %% 10 <> 5"
            " or phenomenon_time between %s and %s)",
            (town.streams["flood-03", "depth_m"], NOW - timedelta(minutes=90),
             NOW - timedelta(minutes=30)),
        )  # fmt: skip
    title = "浸水深 · Depth"
    custom = panel_of("flood", title)["fieldConfig"]["defaults"]["custom"]
    times, columns = joined(answer(town, "flood", title))
    assert {
        metric: pieces(times, values, custom["spanNulls"]) for metric, values in columns.items()
    } == {"駅西地下道 浸水深計": 1, "銀座通り 浸水深計": 2}


@pytest.mark.parametrize(
    ("name", "title", "every_s"),
    [
        ("flood", "浸水深 · Depth", 60),
        ("ponds", "酸素 · Dissolved oxygen", 600),
        ("ponds", "時間別の最低酸素 · Lowest oxygen by hour", 3600),
        ("snow", "速度 · Speed", 10),
        ("snow", "ブレード · Blade", 10),
    ],
)
def test_values_at_their_usual_interval_are_joined(name, title, every_s):
    custom = panel_of(name, title)["fieldConfig"]["defaults"]["custom"]
    assert custom["insertNulls"] == custom["spanNulls"] > 1000 * every_s


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_what_grafana_takes(name):
    built = build_dashboard(name, "a" * 31, "町", training=True)
    assert len(built["uid"]) <= 40
    assert built["title"].startswith("【訓練】")
    assert "【訓練】" not in build_dashboard(name, "a", "町", training=False)["title"]
    taken = set()
    for panel in built["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["datasource"]["uid"] == datasource_uid("a" * 31)
        assert panel["targets"][0]["rawSql"].startswith(("select", "with"))
        assert panel["type"] != "geomap"  # it fetches tiles from the internet
    assert len({panel["id"] for panel in built["panels"]}) == len(built["panels"])
