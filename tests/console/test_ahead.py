"""What is ahead of a sensor, and what speaks against its alert, in the list and the panel."""

import re

from playwright.sync_api import expect

from tests.api.seed import now
from tests.api.test_ahead import play, steady
from tests.api.test_map import beacon, heard_by


def test_list_and_panel_say_when_the_next_level_may_be_reached_and_how_deep_it_will_be(town, visit):
    play(town, town.streams["watch", "depth_m"], steady(0.01), rate=0.6)
    page = visit("/#/kawabe/flood/watch").page
    row = page.locator('.row[data-device="watch"]')
    expect(row).to_contain_text("ごろ「")
    hints = page.locator("#panel .panel-hints")
    expect(hints).to_contain_text("に達する")
    expect(hints).to_contain_text("いま出動すると8分後に到着")
    assert "null" not in hints.inner_text()
    expect(page.locator('.row[data-device="dry"]')).not_to_contain_text("ごろ「")


def test_nothing_is_said_of_water_that_does_not_rise(town, visit):
    play(town, town.streams["watch", "depth_m"], steady(0.0), rate=0.0)
    page = visit("/#/kawabe/flood/watch").page
    expect(page.locator("#panel .panel-says")).to_contain_text("cm")
    expect(page.locator("#panel .panel-hints")).not_to_contain_text("に達する")


def test_a_silent_beacon_whose_gateway_hears_others_may_be_under_water(town, visit):
    beacon(town, ["roof"], code="silent")
    page = visit("/#/kawabe/flood/silent").page
    row = page.locator('.row[data-device="silent"]')
    expect(row).to_contain_text("途絶")
    expect(row).not_to_contain_text("水没")
    heard_by(town, "dry", "roof")
    page.reload()
    expect(row).to_contain_text("水没のおそれがあります")
    expect(page.locator("#panel")).to_contain_text("水没のおそれがあります")


def test_an_alert_that_rests_on_one_reading_says_so_until_it_is_borne_out(town, visit):
    page = visit("/#/kawabe/flood/dry").page
    town.rise("dry", 0.6, 4, unconfirmed=True)
    row = page.locator('.row[data-device="dry"]')
    hints = page.locator("#panel .panel-hints")
    expect(row).to_contain_text("△ 未確認")
    expect(hints).to_contain_text("未確認")
    stream = town.streams["dry", "depth_m"]
    # It returned, then the water came, and last it was as deep as that one reading.
    for depth, said in ((0.0, r"^0\D"), (0.2, r"^20\D"), (0.6, r"^60\D")):
        expect(hints).to_contain_text("未確認")
        town.latest(stream, depth, time=now())
        town.notify(datastreams=[stream])
        expect(row.locator(".row-value")).to_have_text(re.compile(said))
    expect(row).not_to_contain_text("未確認")
    expect(hints).not_to_contain_text("未確認")
    expect(row).to_have_attribute("data-state", "alert")
