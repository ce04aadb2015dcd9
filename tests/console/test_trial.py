"""A rule tried on what is stored, in the panel of a sensor."""

# ruff: noqa: ARG001 (asking for the town puts it there)

import re
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import expect

from store import provisioning_tokens
from tests.fixtures.browser import NARROW


def open_trial(page):
    trial = page.locator("#panel .panel-trial")
    trial.locator("summary").click()
    return trial


def said(trial):
    return trial.locator("> .trial-said")


def run(trial, name="Try it"):
    trial.get_by_role("button", name=name).click()
    expect(trial.get_by_role("button", name=name)).to_be_enabled()


def test_a_rule_is_tried_as_it_stands_and_changed_and_nothing_is_written(town, visit):
    before = town.one("select count(*) from alert")
    page = visit("/#/kawabe/flood/deep", language="en").page
    trial = open_trial(page)
    run(trial)
    expect(said(trial)).to_contain_text(re.compile(r"^Alerts: [1-9]\d* \(in \d+ readings\)"))
    expect(trial.locator(".trial-alerts tbody tr").first).to_contain_text("cm")
    expect(trial.get_by_role("img")).to_have_attribute("aria-label", re.compile("Depth"))
    # Nothing that was measured, not even what failed, reaches levels of twenty metres.
    for level, box in enumerate(trial.locator("input[type=number]").all()):
        box.fill(str(2000 + level // 2 * 10 - level % 2 * 5))
    run(trial)
    expect(said(trial)).to_contain_text(re.compile(r"^Alerts: 0 \(in \d+ readings\)"))
    expect(said(trial)).to_contain_text("only on record: 1")
    expect(trial.locator(".trial-alerts")).to_contain_text("only on record")
    assert town.one("select count(*) from alert") == before


def test_the_picture_is_kept_in_the_language_of_the_page(town, visit):
    page = visit("/#/kawabe/flood/deep").page
    trial = open_trial(page)
    run(trial, "試す")
    with page.expect_download() as kept:
        trial.get_by_role("button", name="図を保存").click()
    assert kept.value.suggested_filename == "deep-street-depth.svg"
    assert "水深 (cm)" in Path(kept.value.path()).read_text("utf-8")


def test_levels_that_do_not_nest_are_refused_in_words(town, visit):
    page = visit("/#/kawabe/flood/deep", language="en", strict=False).page
    trial = open_trial(page)
    trial.get_by_label("On").first.fill("4000")
    run(trial)
    expect(said(trial)).to_contain_text("It could not be tried: ")
    expect(said(trial)).to_contain_text("level 2 must go on at 40 m (4000 cm) or higher")


def test_a_refusal_is_said_in_the_language_of_the_page(town, visit):
    page = visit("/#/kawabe/flood/deep", strict=False).page
    trial = open_trial(page)
    trial.get_by_label("検知").first.fill("4000")
    run(trial, "試す")
    expect(said(trial)).to_have_text(
        "試せませんでした：基準「street-depth」のパラメーターを使えません："
        "段階2の検知は、段階1と同じ 40 m (4000 cm) 以上にしてください（いまは 0.1 m (10 cm)）"
        "（params.levels[1].on）。"
    )


def test_the_form_fits_a_phone_and_speaks_japanese(town, visit):
    page = visit("/#/kawabe/flood/deep", size=NARROW).page
    trial = open_trial(page)
    run(trial, "試す")
    expect(said(trial)).to_contain_text("検知")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= NARROW["width"]


def test_what_was_tried_is_saved_with_a_token_and_in_force_at_once(town, visit, api_process):
    token = provisioning_tokens.new_token()
    with town.database.transaction() as conn:
        provisioning_tokens.add(conn, town.town.tenant_id, "desk", token, timedelta(days=1))
    page = visit("/#/kawabe/flood/deep", language="en", strict=False).page
    trial = open_trial(page)
    save = trial.get_by_role("button", name="Save", exact=True)
    trial.get_by_label("Deep enough to close On").fill("25")
    expect(save).to_be_hidden()  # first it is tried
    run(trial)
    trial.get_by_label("Where").select_option("site")
    trial.get_by_label("Token").fill(token[:-1])
    save.click()
    expect(trial.locator(".rule-save")).to_contain_text("This token is not valid here")
    trial.get_by_label("Token").fill(token)
    save.click()
    expect(trial.locator(".rule-save")).to_contain_text("Saved as street-depth, version 2")
    expect(trial.get_by_label("Token")).to_have_value("")
    [own] = [rule for rule in api_process.get("/kawabe/rules") if rule["site"] == "deep"]
    assert [level["on"] for level in own["params"]["levels"]] == [0.05, 0.1, 0.25, 0.3]
    # The page hears of it, and leaves the form and its words where they are.
    rules = page.locator("#panel .panel-rules")
    rules.locator("summary").click()
    expect(rules).to_contain_text("at or above 25\u202fcm: “Deep")
    expect(trial.locator(".rule-save")).to_contain_text("Saved as street-depth, version 2")


def test_a_plow_has_no_rule_to_try(town, visit):
    page = visit("/#/kawabe/snow/plow-1").page
    expect(page.locator("#panel .panel-link")).to_be_visible()
    expect(page.locator("#panel .panel-trial")).to_have_count(0)
