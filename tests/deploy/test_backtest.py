"""`mizumori backtest` as a person types it."""

import os
import subprocess
import sys

import pytest
from psycopg.conninfo import conninfo_to_dict

from store.database import Database
from tests.api.seed import Seed
from tests.api.test_backtest import SERIES, add_neighbours, commit
from tests.fixtures.database import PASSWORD
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
def mizumori(database_dsn, tmp_path):
    parts = conninfo_to_dict(database_dsn.owner)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MIZUMORI_")} | {
        "MIZUMORI_DATABASE__DSN": f"postgresql://{parts['host']}:{parts['port']}/{parts['dbname']}",
        "MIZUMORI_DATABASE__OWNER_PASSWORD": PASSWORD,
        "COLUMNS": "200",
    }

    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "backtest", *words], cwd=tmp_path,
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def lines_of(said, word):
    return [line for line in said.splitlines() if word in line]


def test_it_says_what_the_ledger_has_and_draws_it(town, mizumori):
    said = mizumori("sakata", "--rule", "street-depth")
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


def test_a_stricter_rule_from_a_file_raises_fewer(town, mizumori, tmp_path):
    (tmp_path / "strict.json").write_text('{"levels": [{"on": 0.2, "off": 0.1}]}')
    said = mizumori("sakata", "--rule", "street-depth", "--params", "strict.json")
    assert lines_of(said, "would not have been raised")
    count = town.one("select count(*) from alert where rule_code = 'street-depth'")
    assert len(lines_of(said, "changed, alert")) < count


def test_real_events_make_false_alarms(town, mizumori, tmp_path):
    onset = town.one("select min(onset_time) from alert where rule_code = 'street-depth'")
    lines = ("# seen by the crew", f"f1 {onset.isoformat()}", "f3,2025-11-22")
    (tmp_path / "real.txt").write_text("\n".join(lines))
    said = mizumori("sakata", "--rule", "street-depth", "--real", "real.txt")
    assert len(lines_of(said, ", real")) == 1
    assert lines_of(said, ", false")
    assert "False alarms per sensor-month:" in said
    assert len(lines_of(said, "missed: real, and no alert")) == 1


@pytest.mark.usefixtures("town")
def test_the_range_and_the_device_narrow_it(mizumori):
    said = mizumori("sakata", "--rule", "street-depth", "--device", "f1", "--since", "2030-01-01",
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
         "levels[1].on: level 2 must go on at 0.2 or higher, as level 1 does, got 0.1"),
        (("sakata", "--rule", "street-depth", "--params", "{"), 2, "This is no JSON"),
        (("sakata", "--rule", "street-depth", "--params", "none.json"), 2, "neither a JSON object"),
        (("sakata", "--rule", "street-depth", "--since", "soon"), 2, "is no time"),
        (("sakata", "--rule", "street-depth", "--real", "none.txt"), 2, "cannot be read"),
        (("sakata", "--rule", "street-depth", "--device", "f9"), 1, "There is no device 'f9'"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("town")
def test_a_mistake_is_one_sentence(mizumori, words, code, said):
    assert said in mizumori(*words, code=code)


def test_another_town_s_readings_are_not_taken(town, mizumori):
    town.add_town("tsuruoka")
    said = mizumori("tsuruoka", "--rule", "street-depth")
    assert " 0 readings of " in said
    assert "f2" not in said


def test_weeks_are_told_apart(town, mizumori, database_dsn):
    commit(database_dsn.gateway, town, town.streams["f1", "depth_m"], SERIES, START_MS + WEEK_MS)
    both = mizumori("sakata", "--rule", "street-depth")
    one = mizumori("sakata", "--rule", "street-depth", "--since", "2025-11-26")
    assert len(lines_of(both, ", alert ")) == 2 * len(lines_of(one, ", alert "))
