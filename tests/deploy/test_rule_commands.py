"""`mizumori rule` as a person types it."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from store.database import Database
from tests.api.seed import Seed


@pytest.fixture
def town(database_dsn):
    with Database(database_dsn.owner, name="test-seed", max_size=2) as database:
        yield Seed(database)


@pytest.fixture
def rule(mizumori, town):  # noqa: ARG001 (every test has its town)
    def run(command, *words, code=0):
        return mizumori("rule", command, "sakata", *words, code=code)

    return run


def line_of(said, code):
    [line] = [line for line in said.splitlines() if line.split()[0] == code]
    return re.sub(r" +", " ", line)


def test_the_closing_level_of_one_underpass_is_tried_saved_seen_and_given_up(rule, mizumori, town):
    words = ("street-depth", "--site", "ekimae", "--level", "3=0.25/0.2")
    before = town.one("select count(*) from rule")
    tried = rule("set", *words, "--dry-run")
    assert "Nothing was written." in tried
    assert town.one("select count(*) from rule") == before
    [trial] = [line for line in tried.splitlines() if line.startswith("  mizumori backtest")]
    assert "street-depth, " in mizumori(*shlex.split(trial)[1:])
    said = rule("set", *words)
    assert "street-depth, version 2, site ekimae: 1 from 0.05 to 0.025" in said
    assert "3 from 0.25 to 0.2, 4 from 0.3 to 0.25" in said
    assert re.search(r"measured from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(Asia/Tokyo\) on", said)
    assert trial in said
    levels = town.one("select params -> 'levels' from rule where version = 2")
    assert levels[2] == {"on": 0.25, "off": 0.2, "delay_on_s": 0, "delay_off_s": 1800}
    at_device = line_of(rule("list", "--device", "f1"), "street-depth")
    assert "threshold depth_m site ekimae 1 from 0.05" in at_device
    assert "; version 2, since 20" in at_device
    assert "town 1 from" in line_of(rule("list", "--device", "c1"), "street-contact")
    everywhere = [line for line in rule("list").splitlines() if line.startswith("street-depth ")]
    assert len(everywhere) == 2
    wide = rule("set", "street-depth", "--level", "4=0.4/0.3", "--dry-run")
    assert "street-depth, town: 1 from 0.05" in wide
    assert "These keep their own version: site ekimae." in wide
    assert "keep their own" not in said
    shown = rule("show", "street-depth").splitlines()
    assert shown[0] == "version 1, town, since the beginning, by Mizumori"
    assert re.fullmatch(r"version 2, site ekimae, since .*, by terminal:\S+", shown[2])
    assert json.loads(shown[3])["levels"] == levels
    back = ("street-depth", "--site", "ekimae")
    assert "as for town: 1 from 0.05" in rule("reset", *back, "--dry-run")
    assert "version 3, site ekimae: as for town: 1 from 0.05" in rule("reset", *back)
    assert "; version 1, since the beginning" in line_of(
        rule("list", "--device", "f1"), "street-depth"
    )
    assert rule("show", "street-depth").rstrip().endswith(", given up")
    assert "'ekimae' has no version of its own" in rule("reset", *back, code=1)


def test_a_rule_of_a_later_day_is_tried_saved_listed_and_replaced(rule, town):
    words = ("street-depth", "--site", "ekimae", "--level", "3=0.25/0.2")
    at = (datetime.now(UTC) + timedelta(days=300)).astimezone(ZoneInfo("Asia/Tokyo"))
    day = ("--from", f"{at:%Y-%m-%d}")
    before = town.one("select count(*) from rule")
    assert "Nothing was written." in rule("set", *words, *day, "--dry-run")
    assert town.one("select count(*) from rule") == before
    said = rule("set", *words, *day)
    assert f"measured from {at:%Y-%m-%d} 00:00:00 (Asia/Tokyo) on" in said
    waits = f"version 2 of street-depth waits until {at:%Y-%m-%d} 00:00:00"
    assert waits in rule("list")
    assert "town 1 from 0.05" in line_of(rule("list", "--device", "f1"), "street-depth")
    said = rule("set", "street-depth", "--site", "ekimae", "--disable")
    assert f"From {at:%Y-%m-%d} 00:00:00 on version 2 holds in its place" in said
    gone = rule("reset", "street-depth", "--site", "ekimae", *day)
    assert "version 4, site ekimae: as for town: 1 from 0.05" in gone
    assert "holds in its place" not in gone


def test_a_rule_is_added_switched_off_and_on(rule, tmp_path):
    (tmp_path / "battery.json").write_text('{"direction": "falling"}')
    said = rule("set", "battery-low", "--kind", "threshold", "--property", "battery_v", "--params",
                "battery.json", "--level", "1=3.2/3.3", "--level", "2=3.1/3.2", "--labels", "pond",
                "--site-kind", "underpass", "--site-kind", "street")  # fmt: skip
    assert "battery-low, version 1, town: 1 from 3.2 to 3.3, 2 from 3.1 to 3.2" in said
    assert "device f1: switched off" in rule(
        "set", "battery-low", "--device", "f1", "--disable", "--dry-run"
    )
    rule("set", "battery-low", "--device", "f1", "--disable")
    assert "device f1 switched off; version 2" in line_of(
        rule("list", "--device", "f1"), "battery-low"
    )
    assert "town 1 from 3.2 to 3.3" in line_of(rule("list", "--site", "ekimae"), "battery-low")
    assert "battery-low" not in rule("list", "--site", "pond-1")
    said = rule("set", "battery-low", "--device", "f1", "--enable", "--params", '{"noise": 0.1}')
    assert "1 from 3.2 to 3.3" in said
    assert "switched off" in rule("show", "battery-low")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("set", "street-depth", "--level", "2=0.01/0.005"), 1,
         "params.levels[1].on level 2 must go on at 0.05 m (5 cm) or higher, as level 1 does"),
        (("set", "street-depth", "--params", '{"nois": 0.1}'), 1,
         "threshold has no such parameter; did you mean 'noise'?"),
        (("set", "street-depth"), 1, "nothing would be different"),
        (("set", "street-dept", "--level", "1=1/0"), 1, "did you mean 'street-depth'?"),
        (("set", "street-dept", "--disable"), 1, "did you mean 'street-depth'?"),
        (("set", "street-depth", "--device", "c1", "--level", "1=1/0"), 1,
         "'c1' is a flood_contact; this rule is for flood_level"),
        (("set", "street-depth", "--level", "2=deep/0"), 2, "write NUMBER=ON/OFF"),
        (("set", "street-depth", "--params", '{"levels": [1]}', "--level", "2=1/0"), 1,
         "params.levels[0] expected an object with on and off"),
        (("set", "street-depth", "--level", "9=1/0"), 2, "with a number from 1 to 5"),
        (("set", "street-rise", "--level", "1=1/0"), 2, "write --params for rate_of_rise"),
        (("set", "new", "--kind", "threshold", "--property", "ph", "--level", "1=9/8",
          "--site-kind", "sea"), 1, "'sea' is not one of street, underpass"),
        (("set", "street-depth", "--disable", "--from", "2020-01-01"), 1, "has passed"),
        (("set", "street-depth", "--disable", "--from", "2199-01-01"), 1, "two years ahead"),
        (("set", "street-depth", "--disable", "--from", "May"), 2, "'May' is no time"),
        (("set", "second-range", "--kind", "gross_range", "--property", "depth_m", "--params",
          '{"sensor_span": [0, 5]}', "--dry-run"), 1, "of one kind only one counts there"),
        (("set", "street-depth", "--params", "[1]"), 2, "neither a JSON object nor a file"),
        (("set", "street-depth", "--site", "moon", "--disable"), 1, "add the site first"),
        (("list", "--site", "ekimae", "--device", "f1"), 1, "goes without site"),
        (("reset", "street-depth"), 1, "the whole town has nothing wider"),
        (("show", "nothing"), 1, "mizumori rule list sakata"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(rule, town, words, code, said):
    before = town.one("select count(*) from rule")
    command, *rest = words
    assert said in rule(command, *rest, code=code)
    assert town.one("select count(*) from rule") == before
