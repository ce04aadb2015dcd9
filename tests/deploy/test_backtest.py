"""`mizumori backtest` as a person types it."""

import functools

import pytest

from store.database import Database
from tests.api.seed import Seed
from tests.api.test_backtest import SERIES, add_neighbours, commit
from tests.jobs.door import START_MS

WEEK_MS = 7 * 86_400_000


@pytest.fixture
def town(database_dsn):
    with Database(database_dsn.owner, name="test-seed", max_size=2) as database:
        seed = Seed(database)
        add_neighbours(seed)
        commit(database_dsn.gateway, seed, seed.streams["f1", "depth_m"], SERIES)
        yield seed


@pytest.fixture
def backtest(mizumori):
    return functools.partial(mizumori, "backtest")


def lines_of(said, word):
    return [line for line in said.splitlines() if word in line]


def test_it_says_what_the_ledger_has_and_draws_it(town, backtest):
    said = backtest("sakata", "--rule", "street-depth")
    count = town.one("select count(*) from alert where rule_code = 'street-depth'")
    assert count >= 2
    assert len(lines_of(said, "  same, alert ")) == count
    assert f"Beside the ledger: {count} same, 0 changed, 0 new, 0 gone." in said
    assert "Alerts per sensor-month:" in said
    [drawn] = [line.split("|")[1] for line in lines_of(said, "|") if " f1 " in line]
    assert len(drawn) == 60
    assert {".", "2", "3"} <= set(drawn)
    [silent] = [line.split("|")[1] for line in lines_of(said, "|") if " f2 " in line]
    assert silent == " " * 60


def test_a_stricter_rule_from_a_file_raises_fewer(town, backtest, tmp_path):
    (tmp_path / "strict.json").write_text('{"levels": [{"on": 0.2, "off": 0.1}]}')
    said = backtest("sakata", "--rule", "street-depth", "--params", "strict.json")
    assert lines_of(said, "would not have been raised")
    count = town.one("select count(*) from alert where rule_code = 'street-depth'")
    assert len(lines_of(said, "changed, alert")) < count


def test_real_events_make_false_alarms(town, backtest, tmp_path):
    onset = town.one("select min(onset_time) from alert where rule_code = 'street-depth'")
    lines = ("# seen by the crew", f"f1 {onset.isoformat()}", "f3,2025-11-22")
    (tmp_path / "real.txt").write_text("\n".join(lines))
    said = backtest("sakata", "--rule", "street-depth", "--real", "real.txt")
    assert len(lines_of(said, ", real")) == 1
    assert lines_of(said, ", false")
    assert "False alarms per sensor-month:" in said
    assert len(lines_of(said, "missed: real, and no alert")) == 1


@pytest.mark.usefixtures("town")
def test_the_range_and_the_device_narrow_it(backtest):
    said = backtest("sakata", "--rule", "street-depth", "--device", "f1", "--since", "2030-01-01",
                    "--until", "2030-02-01")  # fmt: skip
    assert " 0 readings of 1 datastreams" in said
    assert "0 alerts." in said
    assert "per sensor-month:" not in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere", "--rule", "street-depth"), 1, "There is no town nowhere; known: sakata."),
        (("sakata", "--rule", "street-dept"), 1, "There is no rule 'street-dept'; known:"),
        (("sakata", "--rule", "street-depth", "--params",
          '{"levels": [{"on": 0.2, "off": 0.1}, {"on": 0.1, "off": 0.05}]}'), 1,
         "levels[1].on: level 2 must go on at 0.2 m (20 cm) or higher, as level 1 does"),
        (("sakata", "--rule", "street-depth", "--params", "{"), 2, "This is no JSON"),
        (("sakata", "--rule", "street-depth", "--params", "none.json"), 2, "neither a JSON object"),
        (("sakata", "--rule", "street-depth", "--since", "soon"), 2, "is no time"),
        (("sakata", "--rule", "street-depth", "--real", "none.txt"), 2, "cannot be read"),
        (("sakata", "--rule", "street-depth", "--device", "f9"), 1, "There is no device 'f9'"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("town")
def test_a_mistake_is_one_sentence(backtest, words, code, said):
    assert said in backtest(*words, code=code)


def test_another_town_s_readings_are_not_taken(town, backtest):
    town.add_town("tsuruoka")
    said = backtest("tsuruoka", "--rule", "street-depth")
    assert " 0 readings of " in said
    assert "f2" not in said


def test_weeks_are_told_apart(town, backtest, database_dsn):
    commit(database_dsn.gateway, town, town.streams["f1", "depth_m"], SERIES, START_MS + WEEK_MS)
    both = backtest("sakata", "--rule", "street-depth")
    one = backtest("sakata", "--rule", "street-depth", "--since", "2025-11-26")
    assert len(lines_of(both, ", alert ")) == 2 * len(lines_of(one, ", alert "))


@pytest.mark.usefixtures("town")
def test_a_picture_is_drawn_in_the_town_s_time_and_language(backtest, tmp_path):
    asked = ("sakata", "--rule", "street-depth", "--picture", "tried.svg")
    assert "The picture is in tried.svg." in backtest(*asked)
    drawn = (tmp_path / "tried.svg").read_text("utf-8")
    assert "水深 (cm)" in drawn
    assert "（Asia/Tokyo）" in drawn
    backtest(*asked, "--language", "en")
    assert "Depth (cm)" in (tmp_path / "tried.svg").read_text("utf-8")


@pytest.mark.usefixtures("town")
def test_a_picture_that_cannot_be_written_is_said_in_a_sentence(backtest, tmp_path):
    asked = ("sakata", "--rule", "street-depth", "--picture")
    assert "There is no folder" in backtest(*asked, "none/tried.svg", code=2)
    (tmp_path / "folder.svg").mkdir()
    assert "folder.svg cannot be written" in backtest(*asked, "folder.svg", code=2)
