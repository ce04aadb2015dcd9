"""Anybody may decide an alert again from what it keeps, and sees when something was changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from detectors.rules import Level, Threshold
from store.errors import RefusedError
from store.replay import replay
from tests.jobs.door import at, iso
from tests.jobs.rule_sets import RISE, rule_set

DEPTH = Threshold((Level(0.1, 0.05), Level(0.2, 0.15)), ceiling_per_h=1.0, unconfirmed_from=2)
RULES = rule_set(("depth", DEPTH), ("rise", RISE))
FLOOD = [0.0, 0.02, 0.12, 0.15, 0.45, 0.46, 0.24, 0.11, 0.03, 0.0]


def again(place):
    with place.owner.transaction() as conn:
        [*ids] = conn.execute("select alert_id from alert order by alert_id").fetchall()
        return [one for (alert_id,) in ids for one in replay(conn, alert_id)]


def tamper(place, change):
    """Change the evidence of the first transition as nobody but the owner of the schema can."""
    with place.owner.transaction() as conn:
        number, evidence = conn.execute(
            "select transition_id, evidence from alert_transition order by transition_id limit 1"
        ).fetchone()
        change(evidence)
        conn.execute("update alert_transition set evidence = %s where transition_id = %s",
                     (Jsonb(evidence), number))  # fmt: skip


def differences(place):
    return " ".join(text for one in again(place) for text in one.differences)


@pytest.fixture
def flooded(place):
    """A flood, read one by one, with a restart in the middle."""
    _, stream = place.sensor(RULES)
    place.door.load()
    for minute, depth in enumerate(FLOOD):
        if minute == 5:
            place.door.restart()
        place.door.take([(stream, at(minute), depth)])
    place.stream = stream
    return place


def test_what_was_decided_live_is_equal(flooded):
    found = again(flooded)
    assert len(found) >= 5
    assert {one.reason for one in found} == {"live"}
    assert not differences(flooded)
    assert flooded.value("select bool_or((evidence ->> 'unconfirmed')::boolean)"
                         " from alert_transition")  # fmt: skip


def test_what_was_decided_in_a_backlog_of_thousands_is_equal(place):
    _, stream = place.sensor(RULES)
    place.door.load()
    depths = [0.0] * 1500 + FLOOD + [0.0] * 700 + FLOOD
    place.door.take([(stream, at(minute), depth) for minute, depth in enumerate(depths)])
    assert len(again(place)) >= 10
    assert not differences(place)
    assert place.value("select max(jsonb_array_length(evidence -> 'readings'))"
                       " from alert_transition") <= 240  # fmt: skip


def test_what_was_decided_late_and_settled_is_equal(place):
    _, stream = place.sensor(RULES)
    place.door.load()
    for minute in (0, 8, 5, 6, 2, 9, 4, 3, 7):
        place.door.take([(stream, at(minute), FLOOD[minute])])
    place.door.take([(stream, at(600 + minute), FLOOD[minute]) for minute in range(10)])
    place.door.take([(stream, at(300 + minute), FLOOD[minute]) for minute in range(10)])
    place.settlement.drain()
    found = again(place)
    assert {"late", "settled"} <= {one.reason for one in found}
    assert any(one.withdrawn for one in found)
    assert not differences(place)


@pytest.mark.parametrize(
    "loss", ["update detector_state set state = '\\x63'", "delete from detector_state"]
)
def test_what_was_decided_after_a_lost_state_is_equal(place, loss):
    """Readings come from among those that the lost state knew, and that the new one never saw."""
    _, stream = place.sensor(RULES)
    place.door.load()
    place.door.take([(stream, at(minute), 0.0) for minute in range(30) if minute != 26])
    with place.owner.transaction() as conn:
        conn.execute(loss)
    place.door.restart()
    for minute, depth in ((30, 0.07), (26, 0.3), (32, 0.07), (31, 0.03), (34, 0.12), (33, 0.3)):
        place.door.take([(stream, at(minute), depth)])
    found = again(place)
    assert {(one.time, one.to_level) for one in found} >= {(iso(33), 2), (iso(34), 1)}
    assert not differences(place)
    place.settlement.drain()
    assert len(again(place)) > len(found)
    assert not differences(place)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e["readings"][-1].__setitem__(1, 0.04), "does not change"),
        (lambda e: e["readings"][-1].__setitem__(1, 0.13), "in storage"),
        (lambda e: e["context"][0].__setitem__(1, 0.01), "in storage"),
        (lambda e: e["rule"]["params"]["levels"][0].__setitem__("on", 0.01), "as it was saved"),
        (lambda e: e["profile"]["rules"][0]["params"]["levels"][0].__setitem__("on", 0.3),
         "not the one"),
        (lambda e: e["rule"].__setitem__("version", 7), "version 7"),
        (lambda e: e.__setitem__("state", "AQ"), "cannot be read"),
        (lambda e: e.__setitem__("unconfirmed", True), "confirmed"),
        (lambda e: e.pop("profile"), "cannot be read"),
    ],
)  # fmt: skip
def test_changed_evidence_is_seen(flooded, change, said):
    tamper(flooded, change)
    assert said in differences(flooded)


def test_a_changed_rule_is_seen(flooded):
    with flooded.owner.transaction() as conn:
        conn.execute("update rule set params = jsonb_set(params, '{levels,0,on}', '0.09')"
                     " where kind = 'threshold'")  # fmt: skip
    assert "as it was saved" in differences(flooded)


def test_a_changed_reading_is_seen_and_a_lost_one_is_told(flooded):
    with flooded.owner.transaction() as conn:
        conn.execute("delete from observation where value = 0.02")
    assert not differences(flooded)
    assert "not stored any more" in " ".join(r for one in again(flooded) for r in one.remarks)
    with flooded.owner.transaction() as conn:
        conn.execute("update observation set value = 0.11 where value = 0.12")
    assert "in storage" in differences(flooded)


def test_there_is_no_such_alert(place):
    with place.owner.transaction() as conn, pytest.raises(RefusedError, match="no alert 77"):
        replay(conn, 77)


def test_evidence_keeps_what_json_cannot_hold(place):
    """Values that are no numbers come back as they were."""
    _, stream = place.sensor(RULES)
    place.door.load()
    depths = [0.0, float("inf"), float("nan"), float("-inf"), 0.12, 0.12]
    place.door.take([(stream, at(minute), depth) for minute, depth in enumerate(depths)])
    assert again(place)
    assert not differences(place)
    assert json.dumps(["inf", None, "-inf"])[1:-1] in json.dumps(
        place.value("select evidence -> 'readings' from alert_transition limit 1")
    ).replace("[", "").replace("]", "").replace(str(at(1)) + ", ", "").replace(
        str(at(2)) + ", ", "").replace(str(at(3)) + ", ", "")  # fmt: skip


def test_the_command_says_equal_or_not_in_words_and_by_its_exit_code(
    flooded, database_dsn, tmp_path
):
    parts = conninfo_to_dict(database_dsn.owner)
    (tmp_path / "mizumori.toml").write_text(
        f'[database]\ndsn = "postgresql://{parts["host"]}:{parts["port"]}/{parts["dbname"]}"\n'
    )
    environment = {**os.environ, "MIZUMORI_DATABASE__OWNER_PASSWORD": parts["password"]}

    def run(alert):
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", "replay", str(alert)], cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    alert = flooded.value("select min(alert_id) from alert")
    done = run(alert)
    assert done.returncode == 0, done.stderr
    assert "transitions of alert" in done.stdout
    assert "are equal" in done.stdout
    tamper(flooded, lambda e: e["readings"][-1].__setitem__(1, 0.04))
    done = run(alert)
    assert done.returncode == 1
    assert "not equal" in done.stdout
    assert "does not change" in done.stdout
    assert not done.stderr
    done = run(4711)
    assert (done.returncode, done.stderr) == (1, "There is no alert 4711.\n")
