"""A rule tried on what is stored, in the panel of a sensor."""

# ruff: noqa: ARG001 (asking for the town puts it there)

import re

from playwright.sync_api import expect

from tests.fixtures.browser import NARROW


def open_trial(page):
    trial = page.locator("#panel .panel-trial")
    trial.locator("summary").click()
    return trial


def said(trial):
    return trial.locator(".trial-said")


def run(trial):
    trial.get_by_role("button").click()
    expect(trial.get_by_role("button")).to_be_enabled()


def test_a_rule_is_tried_as_it_stands_and_changed_and_nothing_is_written(town, visit):
    before = town.one("select count(*) from alert")
    page = visit("/#/kawabe/flood/deep", language="en").page
    trial = open_trial(page)
    run(trial)
    expect(said(trial)).to_contain_text(re.compile(r"^Alerts: [1-9]\d* \(in \d+ readings\)"))
    expect(trial.locator(".trial-alerts tbody tr").first).to_contain_text("cm")
    expect(trial.get_by_role("img")).to_have_attribute("aria-label", re.compile("Depth"))
    # Nothing that was measured, not even what failed, reaches levels of twenty metres.
    for level, box in enumerate(trial.locator("form input").all()):
        box.fill(str(2000 + level // 2 * 10 - level % 2 * 5))
    run(trial)
    expect(said(trial)).to_contain_text(re.compile(r"^Alerts: 0 \(in \d+ readings\)"))
    expect(said(trial)).to_contain_text("only on record: 1")
    expect(trial.locator(".trial-alerts")).to_contain_text("only on record")
    assert town.one("select count(*) from alert") == before


def test_levels_that_do_not_nest_are_refused_in_words(town, visit):
    page = visit("/#/kawabe/flood/deep", language="en", strict=False).page
    trial = open_trial(page)
    trial.get_by_label("On").first.fill("4000")
    run(trial)
    expect(said(trial)).to_contain_text("It could not be tried: ")
    expect(said(trial)).to_contain_text("level 2 must go on at 40 or higher")


def test_the_form_fits_a_phone_and_speaks_japanese(town, visit):
    page = visit("/#/kawabe/flood/deep", size=NARROW).page
    trial = open_trial(page)
    run(trial)
    expect(said(trial)).to_contain_text("検知")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= NARROW["width"]


def test_a_plow_has_no_rule_to_try(town, visit):
    page = visit("/#/kawabe/snow/plow-1").page
    expect(page.locator("#panel .panel-link")).to_be_visible()
    expect(page.locator("#panel .panel-trial")).to_have_count(0)
