"""From simulated devices through the broker to the browser, as a stranger starts it."""

import pytest
from playwright.sync_api import expect


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
