"""The page by keyboard and for a screen reader."""

# ruff: noqa: ARG001 (asking for the town puts it there)

import itertools

from playwright.sync_api import expect

from store import device_catalog
from store.device_catalog import NewDevice
from tests.api.seed import ago
from tests.console.test_page import row
from tests.fixtures.broker import wait_until
from tests.fixtures.browser import NARROW

UNNAMED = """() => [...document.querySelectorAll(
  'button, a, input, select, summary, img, svg, [tabindex="0"]')].filter((e) => {
  if (!e.checkVisibility()) return false;
  if (e.tagName === 'IMG') return !e.hasAttribute('alt');
  if (e.tagName.toLowerCase() === 'svg') return e.getAttribute('aria-hidden') !== 'true';
  if (e.labels && e.labels.length) return !e.labels[0].textContent.trim();
  return !(e.getAttribute('aria-label') || e.textContent).trim();
}).map((e) => e.outerHTML.slice(0, 120))"""
DOUBLE_IDS = """() => {
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  return ids.filter((id, i) => ids.indexOf(id) !== i);
}"""
# The marks are a picture: the octagon is found by its red.
OCTAGON = """() => {
  const c = document.querySelector('.leaflet-marks-pane canvas');
  const r = c.getBoundingClientRect();
  const copy = new OffscreenCanvas(c.width, c.height)
    .getContext('2d', { willReadFrequently: true });
  copy.drawImage(c, 0, 0);
  const d = copy.getImageData(0, 0, c.width, c.height).data;
  let n = 0, x = 0, y = 0;
  for (let i = 0; i < d.length; i += 4) {
    if (d[i] !== 168 || d[i + 1] !== 0 || d[i + 2] !== 0) continue;
    n += 1; x += (i / 4) % c.width; y += Math.floor(i / 4 / c.width);
  }
  const scale = r.width / c.width;
  return n ? [r.left + (x / n) * scale, r.top + (y / n) * scale] : null;
}"""
SMALL = """() => [...document.querySelectorAll('.row, .desks a, .top .tool, .view-switch')]
  .map((e) => [e.className || e.id, e.getBoundingClientRect().height])
  .filter(([, height]) => height > 0 && height < 36)"""
RING = "getComputedStyle(document.activeElement).outlineStyle"


def test_landmarks_names_headings_and_tables_are_in_order(town, visit):
    page = visit("/#/kawabe/flood/deep").page
    expect(page.locator("#panel .uplot canvas")).to_be_visible()
    expect(page.locator("#panel .panel-alerts table").first).to_be_visible()
    for landmark in ("banner", "navigation", "main", "complementary"):
        assert page.get_by_role(landmark).count() >= 1
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(DOUBLE_IDS) == []
    assert page.locator("h1").count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])")
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for table in page.locator("#panel section table:not(.u-legend)").all():
        assert table.locator("caption").count() == 1
        assert table.locator("thead th[scope=col]").count() >= 3
    assert page.locator("#say-polite").get_attribute("aria-live") == "polite"
    assert page.locator("#say-now").get_attribute("aria-live") == "assertive"
    canvas = page.locator("#panel .uplot")
    assert "駅西地下道" in canvas.get_attribute("aria-label")


def test_everything_is_done_by_keyboard(town, visit):
    page = visit("/#/kawabe/flood").page
    row(page, "deep").wait_for()
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#list")).to_be_focused()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.device") == "deep":
            break
    assert page.evaluate("document.activeElement.dataset.device") == "deep"
    assert page.evaluate(RING) != "none"
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#panel-title")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#panel .panel-close")).to_be_focused()
    assert page.evaluate(RING) != "none"
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(row(page, "deep")).to_be_focused()
    assert page.url.endswith("#/kawabe/flood")


def test_focus_and_place_stay_while_the_list_changes(town, visit):
    page = visit("/#/kawabe/flood").page
    row(page, "watch").focus()
    town.rise("dry", 0.22, 3)
    expect(row(page, "dry")).to_have_attribute("data-state", "alert")
    assert page.evaluate("document.activeElement.dataset.device") == "watch"


def test_focus_goes_with_a_row_to_its_new_section(town, visit):
    page = visit("/#/kawabe/flood").page
    row(page, "dry").focus()
    town.rise("dry", 0.22, 3)
    expect(page.locator('.section-alert .row[data-device="dry"]')).to_be_focused()


def test_focus_stays_on_the_desk_that_was_chosen(town, visit):
    page = visit("/#/kawabe/flood").page
    ponds = page.locator('[data-desk="ponds"]')
    ponds.focus()
    page.keyboard.press("Enter")
    expect(ponds).to_have_attribute("aria-current", "page")
    expect(ponds).to_be_focused()


def test_a_count_leads_to_the_places_it_counts(town, visit):
    with town.database.transaction() as conn:
        plow = NewDevice("plow-2", "plow", "除雪2号", "Plow 2", 30)
        device_catalog.add_devices(conn, town.town.tenant_id, [plow])
    town.hear("plow-2")
    town.positions("plow-2", [(ago(seconds=10), 38.9, 139.93, False)])
    stopped = town.devices_of(town.town)["plow-2"]
    town.execute("update latest_position set speed_kmh = 0 where device_id = %s", stopped)
    page = visit("/#/kawabe/snow").page
    page.locator(".count-plow_stopped").click()
    expect(page.locator(".section-plows_stopped summary")).to_be_focused()


def test_on_a_phone_nothing_behind_the_panel_takes_the_focus(town, visit, api_process):
    page = visit("/#/kawabe/flood/deep", size=NARROW, strict=False).page
    expect(page.locator("#panel")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#panel .panel-close")).to_be_focused()
    api_process.kill()
    expect(page.locator("#lost-retry")).to_be_visible()
    page.locator("#lost-retry").click(trial=True)  # nothing lies on it


def test_list_and_map_point_at_the_same_place(town, visit):
    page = visit("/#/kawabe/flood").page
    row(page, "deep").click()
    expect(row(page, "deep")).to_have_attribute("aria-current", "true")
    row(page, "watch").click()
    expect(row(page, "deep")).not_to_have_attribute("aria-current", "true")
    expect(page.locator("#panel h2")).to_have_text("銀座通り")


def test_a_click_on_a_mark_of_the_map_opens_its_panel(town, visit):
    page = visit("/#/kawabe/flood").page
    row(page, "deep").wait_for()
    spots = [None]

    def stands():
        page.wait_for_timeout(100)
        spots.append(page.evaluate(OCTAGON))
        return spots[-1] is not None and spots[-1] == spots[-2]

    wait_until(stands, message="the mark is not drawn")
    spot = spots[-1]
    box = page.locator("#map").bounding_box()
    assert box["x"] < spot[0] < box["x"] + box["width"]
    page.mouse.click(*spot)
    expect(page.locator("#panel h2")).to_have_text("駅西地下道")


def test_targets_are_large_enough_for_a_thumb(town, visit):
    page = visit("/#/kawabe/flood", size=NARROW).page
    row(page, "deep").wait_for()
    assert page.evaluate(SMALL) == []


def test_motion_is_left_out_for_those_who_ask(town, visit):
    page = visit("/#/kawabe/flood", reduced_motion="reduce").page
    moving = "document.getAnimations().filter((a) => a.playState === 'running').length"
    assert page.evaluate(moving) == 0
