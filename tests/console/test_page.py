"""What people see, from the database to the browser."""

# ruff: noqa: ARG001 (asking for the town puts it there)

import json
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.api.seed import ago, now
from tests.console.town import Town
from tests.fixtures.browser import NARROW, WIDE

# Leaves of the page whose text is wider than they are.
CUT = """() => [...document.querySelectorAll('.row *, .count *, .top *')]
  .filter((e) => e.childElementCount === 0 && e.clientWidth > 1 &&
    e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
  .map((e) => e.className + ': ' + e.textContent)"""


def row(page, device):
    return page.locator(f'.row[data-device="{device}"]')


def test_alerts_come_first_by_level_with_place_words_depth_rate_and_link(town, visit):
    page = visit("/#/kawabe/flood").page
    rows = page.locator(".section-alert .row")
    expect(rows).to_have_count(2)
    assert [r.get_attribute("data-device") for r in rows.all()] == ["deep", "watch"]
    text = rows.first.inner_text()
    for part in ("駅西地下道", "車が動けなくなるおそれ", "34", "cm", "+120", "通信あり"):
        assert part in text
    assert re.search("(3[89]|4[0-9])分前", text)  # of 38, and what the page took to come
    assert "訓練" not in text
    assert page.locator(".count-alert b").inner_text() == "2"
    assert page.title().startswith("(3) 川辺町")  # the pond's alert is one as well


def test_a_silent_sensor_is_unknown_in_words_and_shape_and_counted(town, visit):
    page = visit("/#/kawabe/flood").page
    silent = page.locator(".section-unknown .row")
    expect(silent).to_have_count(1)
    expect(silent).to_have_attribute("data-state", "unknown")
    assert "不明" in silent.inner_text()
    assert "途絶え" in silent.inner_text()
    assert silent.locator("svg text").text_content() == "?"
    assert page.locator(".count-unknown b").inner_text() == "1"
    assert "silent" not in [
        r.get_attribute("data-device") for r in page.locator(".section-calm .row").all()
    ]


def test_a_link_that_nobody_kept_is_unknown_and_what_was_received_is_not_denied(town, visit):
    town.execute("update link_state set state = 'unknown', last_received_time = null")
    page = visit("/#/kawabe/flood/dry").page
    expect(row(page, "dry")).to_have_attribute("data-state", "unknown")
    for part in (row(page, "dry"), page.locator("#panel")):
        expect(part).to_contain_text("通信が確認できていません")
        expect(part).not_to_contain_text("まだ一度も")
        expect(part).to_contain_text("受信")


def test_a_device_without_a_site_is_watched_by_the_rules_of_every_kind_of_site(town, visit):
    town.execute("update device set site_id = null where code in ('deep', 'dry')")
    page = visit("/#/kawabe/flood").page
    expect(row(page, "dry")).to_have_attribute("data-state", "calm")
    expect(row(page, "deep")).to_contain_text("34")
    expect(row(page, "deep")).not_to_contain_text("不明")


def test_the_page_judges_each_device_as_the_api_does(town, visit, api_process):
    town.latest(town.streams[("watch", "depth_m")], 0.07, flag=4)
    town.latest(town.streams[("dry", "depth_m")], 0.0, flag=2)
    page = visit("/#/kawabe/all").page
    layers = [api_process.get(f"/kawabe/map/{name}") for name in ("flood", "ponds", "plows")]
    said = {f["id"]: f["properties"]["state"] for layer in layers for f in layer["features"]}
    page.locator(".section").first.wait_for()
    page.evaluate("document.querySelectorAll('.section').forEach((s) => { s.open = true; })")
    ours = {"normal": "calm", "maintenance": "idle", "out_of_season": "idle"}
    for device, state in said.items():
        expect(row(page, device)).to_have_attribute("data-state", ours.get(state, state))
    assert said["dry"] == "unknown"
    assert said["watch"] == "alert"
    assert len(said) == 8


def test_an_alert_appears_by_itself_when_its_row_is_committed(town, visit):
    page = visit("/#/kawabe/flood").page
    expect(row(page, "dry")).to_have_attribute("data-state", "calm")
    town.rise("dry", 0.22, 3)
    expect(row(page, "dry")).to_have_attribute("data-state", "alert")
    assert "通行止めの目安" in row(page, "dry").inner_text()
    order = [r.get_attribute("data-device") for r in page.locator(".section-alert .row").all()]
    assert order == ["deep", "dry", "watch"]
    expect(page.locator("#say-now")).to_contain_text("役場前：通行止めの目安 22")
    expect(page.locator("#say-polite")).to_be_empty()


def test_a_low_alert_is_announced_politely_and_its_end_too(town, visit):
    page = visit("/#/kawabe/flood", language="en").page
    alert = town.rise("dry", 0.06, 1)
    expect(page.locator("#say-polite")).to_contain_text("Town Hall: Watch")
    expect(page.locator("#say-now")).to_be_empty()
    town.execute("update alert set level = 0, clear_time = now() where alert_id = %s", alert)
    town.notify(alerts=[alert])
    expect(page.locator("#say-polite")).to_contain_text("Town Hall: alert ended")
    expect(row(page, "dry").first).to_have_attribute("data-state", "calm")


def test_an_alert_whose_sensor_falls_silent_stays_an_alert_and_says_unknown(town, visit):
    page = visit("/#/kawabe/flood").page
    town.link("deep", "silent")
    town.notify(links=[town.devices_of(town.town)["deep"]])
    deep = row(page, "deep")
    expect(deep).to_contain_text("途絶")
    expect(deep).to_have_attribute("data-state", "alert")
    expect(deep.locator(".row-value")).to_have_text("不明")
    assert deep.locator("svg text").text_content() == "?"


def test_a_value_turns_unknown_on_the_page_when_it_grows_old(town, visit):
    stream = town.streams[("dry", "depth_m")]
    page = visit("/#/kawabe/flood").page
    bound = page.evaluate(
        "fetch('/api/v1/kawabe/devices/dry').then((r) => r.json()).then((d) => d.unknown_after_s)"
    )
    for left_s in (3, 10, 30, 60):  # as long as this machine takes to load the page
        old = ago(seconds=bound - left_s)
        town.latest(stream, 0.0, time=old, received=old)
        page.reload()
        row(page, "dry").wait_for()
        if row(page, "dry").get_attribute("data-state") == "calm":
            break
    else:
        pytest.fail("the page was never loaded while the value was known")
    expect(row(page, "dry")).to_have_attribute("data-state", "unknown", timeout=90_000)
    assert "古く" in row(page, "dry").inner_text()


def test_a_killed_api_is_said_and_everything_is_loaded_anew_when_it_is_back(
    town, visit, api_process
):
    watched = visit("/#/kawabe/flood", strict=False)
    page = watched.page
    expect(page.locator("#lost")).to_be_hidden()
    api_process.kill()
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("#lost-text")).to_contain_text("接続が切れています")
    expect(page.locator("#lost-text")).to_contain_text("時点のもの")
    expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
    town.rise("dry", 0.22, 3)  # nobody tells the page
    api_process.start()
    expect(page.locator("#lost")).to_be_hidden()
    expect(row(page, "dry")).to_have_attribute("data-state", "alert")
    refused = [text for text in watched.complaints if "ERR_CONNECTION" not in text
               and "ERR_INCOMPLETE" not in text and "ERR_EMPTY" not in text]  # fmt: skip
    assert refused == []
    expect(page.locator("#say-now")).to_contain_text("役場前：通行止めの目安")


def test_of_what_falls_the_lowest_is_said(town, visit):
    stream = town.streams[("probe-1", "dissolved_oxygen_mg_l")]
    town.execute("update alert set peak_value = 3.1 where datastream_id = %s", stream)
    page = visit("/#/kawabe/ponds/probe-1").page
    expect(page.locator("#panel .panel-says")).to_contain_text("最小 3.1\u202fmg/L")


def test_times_are_the_servers_where_the_terminals_clock_is_wrong(town, visit):
    watched = visit(live=False)
    page = watched.page
    page.clock.install(time=now() + timedelta(hours=5))
    began = now()
    watched.open("/?wrong#/kawabe/flood")
    last = page.locator("#connection-last").inner_text().split()[-1]
    right = {time.astimezone(ZoneInfo("Asia/Tokyo")).strftime("%H") for time in (began, now())}
    assert last[:2] in right


def test_an_alert_that_late_readings_corrected_says_so(town, visit):
    town.execute(
        "insert into journal (tenant_id, alert_id, revision_id, kind, audience, body)"
        " select tenant_id, alert_id, revision_id, 'corrected', 'desk', '{\"level\": 4}'"
        " from alert where alert_id = %s",
        town.alerts["deep"],
    )
    page = visit("/#/kawabe/flood/deep").page
    caption = page.locator("#panel .panel-alerts caption").first
    expect(caption).to_contain_text("遅れて届いた測定値により")
    expect(caption).to_contain_text("に訂正")


def test_a_clock_that_drifts_says_which_way(town, visit):
    town.execute(
        "insert into clock_lead (device_id, tenant_id, window_at, lead_s, before_at,"
        " before_lead_s, drift_s_per_day) select device_id, tenant_id, now(), -700,"
        " now() - interval '24 hours', 740, -1440 from device where code = 'deep'"
    )
    link = visit("/#/kawabe/flood/deep").page.locator("#panel")
    expect(link).to_contain_text("1日に−1,440秒ずつずれています（現在 −340秒、＋は進み）")


def test_a_pick_opens_the_panel_with_chart_values_course_and_rules(town, visit):
    page = visit("/#/kawabe/flood").page
    row(page, "deep").click()
    panel = page.locator("#panel")
    expect(panel.locator("h2")).to_have_text("駅西地下道")
    expect(panel.locator(".uplot canvas")).to_be_visible()
    expect(panel.locator(".chart-signs")).to_contain_text("要確認")
    expect(panel.locator(".chart-signs")).to_contain_text("不良")
    expect(panel.locator(".panel-alerts tbody tr").first).to_contain_text("車が動けなくなるおそれ")
    expect(panel.locator(".panel-latest tbody")).to_contain_text("34")
    panel.locator(".panel-rules summary").click()
    rule = "水深が 10\u202fcm 以上で「出動・通行止め判断」"
    expect(panel.locator(".rules")).to_contain_text(rule)
    assert page.url.endswith("#/kawabe/flood/deep")
    for hours in ("24", "168"):
        panel.locator(f'.ranges [data-hours="{hours}"]').click()
        expect(panel.locator(f'.ranges [data-hours="{hours}"]')).to_have_attribute(
            "aria-pressed", "true"
        )
        expect(panel.locator(".uplot canvas")).to_be_visible()
    assert panel.locator(".csv a").get_attribute("href").count("format=csv") == 1


def test_a_live_reading_reaches_row_panel_and_chart(town, visit):
    page = visit("/#/kawabe/flood/deep").page
    expect(page.locator("#panel .uplot canvas")).to_be_visible()
    stream = town.streams[("deep", "depth_m")]
    town.latest(stream, 0.41, rate=0.5)
    town.notify(datastreams=[stream])
    expect(row(page, "deep").locator(".row-value")).to_have_text("41\u202fcm")
    expect(page.locator("#panel .panel-says")).to_contain_text("41\u202fcm")


def test_a_farmer_reads_every_pond_on_a_phone_without_the_map(town, visit):
    page = visit("/#/kawabe/ponds", size=NARROW).page
    ponds = page.locator(".section-ponds .row")
    expect(ponds).to_have_count(2)
    text = ponds.first.inner_text()
    for part in ("二番池", "酸素", "3.6", "警戒", "水温", "13.4", "pH", "7.6", "基準内"):
        assert part in text
    expect(page.locator("#map")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    ponds.first.click()
    panel = page.locator("#panel")
    expect(panel.locator('[data-hours="24"]')).to_have_attribute("aria-pressed", "true")
    expect(panel.locator(".uplot")).to_have_count(3)
    panel.locator(".panel-close").click()
    expect(panel).to_be_hidden()
    page.locator("#view-switch").click()
    expect(page.locator("#map")).to_be_visible()


def test_plows_show_blade_heading_and_their_way(town, visit):
    page = visit("/#/kawabe/snow/plow-1").page
    text = row(page, "plow-1").inner_text()
    for part in ("除雪1号", "作業中", "ブレード下", "東へ 20 km/h"):
        assert part in text
    steps = page.locator("#panel tbody tr")
    expect(steps).to_have_count(2)
    assert ["ブレード下" in s.inner_text() for s in steps.all()] == [True, False]


def test_training_is_marked_on_the_page_and_on_each_alert(owner, visit):
    Town(owner, training=True)
    page = visit("/#/kawabe/flood").page
    expect(page.locator("#training")).to_be_visible()
    assert "訓練" in page.locator("#training").inner_text()
    rows = page.locator(".section-alert .row")
    expect(rows).to_have_count(2)
    for each in rows.all():
        expect(each.locator(".training-mark")).to_have_text("訓練")
    assert "訓練" in page.title()


def test_without_a_town_the_page_says_which_command_adds_one(visit, owner):
    page = visit(live=False).page
    expect(page.locator("#welcome")).to_contain_text("mizumori tenant add")
    Town(owner)
    page.wait_for_selector('#connection[data-state="live"]')
    expect(page.locator("#welcome")).to_be_hidden()
    expect(page.locator(".section-alert .row")).to_have_count(2)


def test_the_language_is_the_browsers_until_a_person_changes_it(town, visit):
    page = visit("/#/kawabe/flood/deep", language="en").page
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.locator("#panel h2")).to_have_text("West Underpass")
    page.locator("#language").click()
    expect(page.locator("#panel h2")).to_have_text("駅西地下道")
    assert page.evaluate("document.documentElement.lang") == "ja"
    page.reload()
    expect(row(page, "deep")).to_contain_text("駅西地下道")
    assert page.evaluate("document.documentElement.lang") == "ja"


def test_several_towns_are_chosen_from_and_kept_apart(town, owner, visit):
    with owner.transaction() as conn:
        from store import town_catalog
        from store.town_catalog import NewTenant

        town_catalog.add_tenant(
            conn,
            NewTenant(
                code="minami", name_ja="南町", name_en="Minami Town", map_lat=38.8, map_lon=139.9
            ),
        )
    page = visit("/#/kawabe/flood").page
    page.locator("#town-select").select_option("minami")
    expect(page.locator(".list-note")).to_contain_text("まだありません")
    expect(page.locator(".row")).to_have_count(0)
    assert page.url.endswith("#/minami/flood")


def test_the_night_theme_is_the_systems_until_a_person_changes_it(town, visit):
    page = visit("/#/kawabe/flood", color_scheme="dark").page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.locator("#theme").click()
    assert page.evaluate(ground) != dark
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_search_narrows_the_list(town, visit):
    page = visit("/#/kawabe/all").page
    page.locator("#search").fill("銀座")
    expect(page.locator(".row")).to_have_count(1)
    page.locator("#search").fill("どこにもない")
    expect(page.locator(".list-note")).to_contain_text("どこにもない")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("language", ["ja", "en"])
def test_nothing_sticks_out_and_no_text_is_cut(town, visit, size, language):
    for desk in ("flood", "ponds", "snow", "all"):
        page = visit(f"/#/kawabe/{desk}", size=size, language=language).page
        page.locator(".row").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        cut = page.evaluate(CUT)
        assert cut == [], json.dumps(cut, ensure_ascii=False)
        page.close()


def test_the_page_bears_to_be_told_to_load_anew_while_it_loads(town, visit):
    watched = visit("/#/kawabe/flood", live=False)
    page = watched.page
    page.add_init_script(KEEP_SOURCE)
    watched.open("/?kept#/kawabe/flood")
    page.evaluate(TWO_RELOADS)
    expect(row(page, "dry")).to_have_attribute("data-state", "calm")
    town.rise("dry", 0.22, 3)
    expect(row(page, "dry")).to_have_attribute("data-state", "alert")
    page.wait_for_timeout(2_000)  # what the loads complain of comes with their answers


KEEP_SOURCE = """window.EventSource = class extends EventSource {
  constructor(url) { super(url); window.liveSource = this; }
};"""
# As the API sends them when settings change and the database comes back in the same second.
TWO_RELOADS = """() => {
  const reload = () => new MessageEvent("reload", { data: '{"reason": "config"}' });
  for (let i = 0; i < 3; i += 1) window.liveSource.dispatchEvent(reload());
}"""
