"""From simulated devices through the broker to the browser, as a stranger starts it."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.fixtures.browser import NARROW, WIDE

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SHOTS = [
    ("console-desktop", "en", WIDE, "/#/mizumori/flood"),
    ("console-desktop-ja", "ja", WIDE, "/#/mizumori/flood"),
    ("console-phone", "en", NARROW, "/#/mizumori/ponds"),
    ("console-phone-ja", "ja", NARROW, "/#/mizumori/ponds"),
    ("console-snow-ja", "ja", WIDE, "/#/mizumori/snow"),
    ("console-night-ja", "ja", WIDE, "/#/mizumori/all"),
]


@pytest.mark.timeout(420)
def test_the_storm_of_the_simulated_town_reaches_the_page(new_system, browse):
    new_system.start("--demo")
    page = browse(new_system.url).page
    expect(page.locator("#training")).to_be_visible()
    expect(page.locator(".section-alert .row").first).to_be_visible(timeout=120_000)
    expect(page.locator(".section-alert .training-mark").first).to_have_text("訓練")
    deepest = page.locator('.row[data-device="flood-01"]')
    expect(deepest).to_have_attribute("data-level", "3", timeout=150_000)
    before = deepest.locator(".row-value").inner_text()
    expect(deepest.locator(".row-value")).not_to_have_text(before, timeout=60_000)
    for desk, rows in (("ponds", 6), ("snow", 5)):
        page.locator(f'[data-desk="{desk}"]').click()
        expect(page.locator(".row")).to_have_count(rows)
    if os.environ.get("MIZUMORI_SCREENSHOTS"):
        page.wait_for_timeout(120_000)
        take_screenshots(browse, new_system.url)


def take_screenshots(browse, url):
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, language, size, path in SHOTS:
        night = "night" in name
        theme = "dark" if night else "light"
        page = browse(url, path, language=language, size=size, color_scheme=theme).page
        page.locator(".row").first.wait_for()
        if size == WIDE:
            page.locator(".row").first.click()
            page.wait_for_timeout(2_500)
        page.mouse.move(5, 5)
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(1_000)
        page.screenshot(path=IMAGES / f"{name}.png")
