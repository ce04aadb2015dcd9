"""A backtest says what the ledger says, and what another rule would have raised."""

import re
import threading

import pytest

from store.database import Database
from store.device_catalog import NewDevice, add_devices
from tests.api import japanese
from tests.api.conftest import serving
from tests.api.seed import Seed
from tests.fixtures.broker import wait_until
from tests.jobs.door import START_MS, Door, iso

# Two floods, of 0.26 and 0.12 m; a minute apart, a spike and a missing value among them.
SERIES = [
    *[0.0] * 20, 0.02, 0.08, 0.12, 0.22, 0.26, 0.24, 0.11, 0.03, *[0.0] * 60,
    0.02, 0.06, 0.11, 0.12, float("nan"), 0.11, 0.06, 0.01, *[0.0] * 60, 0.4, *[0.0] * 40,
]  # fmt: skip
STRICT = {"levels": [{"on": 0.2, "off": 0.1, "delay_off_s": 300}]}
RANGE = {"since": iso(-60).isoformat(), "until": iso(len(SERIES) + 60).isoformat()}
LEDGER = (
    "select alert_id, onset_time, clear_time, peak_level, peak_value from alert where rule_code = "
    "'street-depth' and not withdrawn and merged_into is null order by onset_time"
)


def ask(api, town="sakata", language="en", **body):
    return api.client.post(
        f"/api/v1/{town}/backtest",
        json={"rule": "street-depth", **body},
        headers={"Accept-Language": language},
    )


def ok(api, **body):
    answer = ask(api, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(api, status, slug, town="sakata", **body):
    answer = ask(api, town, **body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:mizumori:problem:{slug}"
    if status == 422:
        japanese.said(ask(api, town, "ja", **body))
    return answer.json()


def add_neighbours(seed):
    """Give the town two more sensors, and the gateway its intake."""
    with seed.database.transaction() as conn:
        add_devices(
            conn,
            seed.town.tenant_id,
            [NewDevice(code, "flood_level", "", "", 60) for code in ("f2", "f3")],
        )
        conn.execute(
            "insert into intake (tenant_id, partition_no, epoch) values (%s, 0, 1)",
            (seed.town.tenant_id,),
        )


def commit(gateway_dsn, seed, stream, series, start_ms=START_MS):
    """Send a series through the gateway's own commit, in batches of seven."""
    with Database(gateway_dsn, name="test-gateway", answer_within_s=60) as database:
        door = Door(database, seed.town.tenant_id)
        door.load()
        rows = [(stream, start_ms + 60_000 * i, value) for i, value in enumerate(series)]
        for at in range(0, len(rows), 7):
            door.take(rows[at : at + 7])


@pytest.fixture
def flooded(database_dsn, seed) -> Seed:
    """A town whose sensor f1 has seen the series, by way of the gateway."""
    add_neighbours(seed)
    commit(database_dsn.gateway, seed, seed.streams["f1", "depth_m"], SERIES)
    return seed


def test_the_rule_in_force_raises_what_the_gateway_wrote(api, flooded):
    with flooded.database.transaction() as conn:
        rows = conn.execute(LEDGER).fetchall()
    assert len(rows) >= 2
    found = ok(api, **RANGE)
    said = [
        (a["alert"], a["onset"], a["clear"], a["peak_level"], a["peak_value"])
        for a in found["alerts"]
    ]
    assert said == [
        (alert, as_json(onset), as_json(clear), level, value)
        for alert, onset, clear, level, value in rows
    ]
    assert (found["same"], found["changed"], found["new"], found["gone"]) == (len(rows), 0, 0, [])
    assert found["readings"] == len(SERIES)
    assert found["sensor_months"] == pytest.approx((len(SERIES) - 1) / (30 * 24 * 60))
    assert sum(found["by_level"].values()) == len(rows)


def as_json(moment):
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def test_nothing_is_written(api, flooded):
    before = flooded.one("select count(*) from revision")
    ok(api, params=STRICT, **RANGE)
    assert flooded.one("select count(*) from revision") == before


@pytest.mark.usefixtures("flooded")
def test_a_stricter_rule_raises_fewer_and_says_which_are_gone(api):
    whole, strict = ok(api, **RANGE), ok(api, params=STRICT, **RANGE)
    assert len(strict["alerts"]) < len(whole["alerts"])
    assert strict["changed"] == len(strict["alerts"])  # begun later, and with one level only
    kept = {alert["alert"] for alert in strict["alerts"]}
    gone = {alert["alert"] for alert in strict["gone"]}
    assert gone
    assert kept | gone == {alert["alert"] for alert in whole["alerts"]}
    assert not kept & gone


def test_an_alert_that_the_ledger_does_not_have_is_new(api, flooded):
    flooded.execute(
        "update alert set withdrawn = true where alert_id = "
        "(select min(alert_id) from alert where rule_code = 'street-depth')"
    )
    assert [a["ledger"] for a in ok(api, **RANGE)["alerts"]][:2] == ["new", "same"]


@pytest.mark.usefixtures("flooded")
def test_an_alert_under_way_at_either_end_of_the_range_is_the_ledger_s(api):
    first = ok(api, **RANGE)["alerts"][0]
    # From the middle of the first flood to before its end.
    found = ok(api, since=iso(24).isoformat(), until=iso(26).isoformat())
    [alert] = found["alerts"]
    assert (alert["onset"], alert["clear"], alert["ledger"]) == (first["onset"], None, "same")
    assert found["rate"]["count"] == 0  # it began before the range


def test_an_alert_of_a_sensor_that_fell_silent_is_not_gone(api, database_dsn, seed):
    add_neighbours(seed)
    stream = seed.streams["f1", "depth_m"]
    commit(database_dsn.gateway, seed, stream, [0.0] * 5 + [0.12] * 5)
    found = ok(api, since=iso(100).isoformat(), until=iso(200).isoformat())
    assert [(a["ledger"], a["clear"]) for a in found["alerts"]] == [("same", None)]
    assert found["gone"] == []
    assert found["readings"] == 0


@pytest.mark.usefixtures("flooded")
def test_false_alarms_are_counted_with_their_exact_interval(api):
    alerts = ok(api, **RANGE)["alerts"]
    real = [{"device": "f1", "time": alerts[0]["onset"]}, {"device": "f1", "time": "2025-11-01"}]
    found = ok(api, real=real, **RANGE)
    assert [alert["real"] for alert in found["alerts"]] == [True] + [False] * (len(alerts) - 1)
    rate, months = found["rate"], found["sensor_months"]
    assert rate["count"] == len(alerts) - 1
    assert rate["per_sensor_month"] == pytest.approx(rate["count"] / months)
    assert rate["low"] < rate["per_sensor_month"] < rate["high"]
    assert [missed["time"] for missed in found["missed"]] == ["2025-10-31T15:00:00Z"]
    # All of them real: the bound of no event, 3.689 (Garwood).
    every = [{"device": "f1", "time": alert["onset"]} for alert in alerts]
    rate = ok(api, real=every, **RANGE)["rate"]
    assert (rate["count"], rate["low"]) == (0, 0.0)
    assert rate["high"] * months == pytest.approx(3.6889, abs=1e-3)


@pytest.mark.usefixtures("flooded")
def test_the_series_shows_the_peak_and_where_nothing_was_measured(api):
    [stream] = ok(api, device="f1", **RANGE)["datastreams"]
    highs = [each["max"] for each in stream["series"]]
    assert len(highs) == 240
    assert max(high for high in highs if high is not None) == 0.4
    assert highs[0] is None  # before the first reading
    assert highs[-1] is None


@pytest.mark.usefixtures("flooded")
def test_a_site_and_a_device_narrow_it(api):
    assert {s["device"] for s in ok(api, **RANGE)["datastreams"]} == {"f1", "f2", "f3"}
    assert [s["device"] for s in ok(api, site="ekimae", **RANGE)["datastreams"]] == ["f1"]
    found = ok(api, device="f2", **RANGE)
    assert (found["readings"], found["alerts"], found["rate"]) == (0, [], None)


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"rule": "street-dept"}, "rule", "known: .*street-depth"),
        ({"rule": "silence"}, "rule", "no|not"),
        ({"rule": "Street"}, "rule", "is no code"),
        ({"rule": "\0"}, "rule", "is no code"),
        ({"device": "f9"}, "device", "no device 'f9'"),
        ({"device": "a\0"}, "device", "is no code"),
        ({"site": "x9"}, "site", "no site 'x9'"),
        ({"device": "p1"}, "rule", "not in force"),
        ({"params": {"levels": [{"on": 0.2, "off": 0.1}, {"on": 0.1, "off": 0.05}]}},
         "params.levels[1].on",
         r"on at 0.2 m \(20 cm\) or higher, as level 1 does, got 0.1 m \(10 cm\)"),
        ({"params": {"level": []}}, "params.level", "did you mean 'levels'"),
        ({"params": {"levels": [{"on": 10**400, "off": 0}]}}, "params", "finite"),
        ({"params": []}, "params", "must be an object"),
        ({"since": "yesterday"}, "since", "is not a time"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "since", "must be before"),
        ({"real": [{"device": "f1", "time": "x"}]}, "real.0.time", "is not a time"),
        ({"sinse": "2026-01-02"}, "sinse", "not permitted"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_field(api, body, field, words):
    found = problem(api, 422, "mistake-in-request", **body)
    [error] = found["errors"]
    assert error["field"].startswith(field)
    assert re.search(words, error["message"]), error["message"]


def test_another_town_s_data_are_not_seen(api, flooded):
    flooded.add_town("tsuruoka")
    assert problem(api, 404, "unknown-town", town="nowhere")
    other = ask(api, "tsuruoka", **RANGE).json()
    assert (other["readings"], other["alerts"], other["gone"]) == (0, [], [])
    assert problem(api, 422, "mistake-in-request", town="tsuruoka", device="f2")


@pytest.mark.usefixtures("flooded")
def test_too_much_is_said_and_how_to_ask_for_less(api, monkeypatch):
    monkeypatch.setattr("api.routes.backtest.MOST_READINGS", len(SERIES) - 1)
    found = problem(api, 413, "too-much", **RANGE)
    assert f"more than {len(SERIES) - 1} readings" in found["detail"]
    assert "one site or one device" in found["detail"]
    later = iso(50).isoformat()
    monkeypatch.setattr("api.routes.backtest.MOST_READINGS", len(SERIES))
    assert ok(api, since=later)["readings"] == len(SERIES) - 50


@pytest.mark.usefixtures("flooded")
def test_too_long_is_said(api, monkeypatch):
    monkeypatch.setattr("api.routes.backtest.TIME_SHARE", 0.0)
    assert "seconds" in problem(api, 413, "too-much", **RANGE)["detail"]


def test_a_second_one_is_asked_to_wait(database_dsn, flooded):
    with serving(database_dsn.api) as api:
        with flooded.database.transaction() as conn:
            conn.execute("lock table site in access exclusive mode")
            first = threading.Thread(target=ask, args=(api,), kwargs=RANGE)
            first.start()
            wait_until(api.app.state.backtests.locked)
            answer = ask(api, **RANGE)
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:mizumori:problem:busy"
            assert answer.headers["retry-after"] == "5"
        first.join()
        assert ok(api, **RANGE)["alerts"]


@pytest.mark.usefixtures("flooded")
def test_reading_in_pieces_changes_nothing(api, monkeypatch):
    whole = ok(api, **RANGE)
    monkeypatch.setattr("store.backtest_readings.PIECE", 9)
    assert ok(api, **RANGE) == whole


def test_get_is_refused_with_the_right_method(api):
    answer = api.get("/sakata/backtest")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert "use POST" in answer.json()["detail"]
