"""What is said to be ahead of a flood sensor: a real flood, and when nothing is said."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api import desk, lookout
from api.routes import ahead
from api.routes import map as town_map
from detectors.forecast import TimeToThreshold
from firmware_sim.recording import read_recording
from store import recent, rules
from store.errors import DatabaseAwayError
from tests.api.seed import now

FLOODS = Path(__file__).parents[1] / "data" / "nyc_street_floods_2023-09-29.csv.gz"
SENSOR = "BK-wallabout-st-throop-ave-19qu40"  # of FloodNet NYC: 4 to 32 cm within 17 minutes


@pytest.fixture(scope="module")
def flood():
    samples = [row.sample for row in read_recording(FLOODS).rows if row.device == SENSOR]
    return [(sample.time_ms / 1000.0, sample.values["depth_m"]) for sample in samples]


@pytest.fixture
def stream(seed, stream):
    seed.link("f1", "online")
    return stream


def play(seed, stream, readings, *, rate=None, age_s=5.0):
    """Store readings so that the last one came just now; returns what to add to their times."""
    shift = now().timestamp() - age_s - readings[-1][0]
    points = [(datetime.fromtimestamp(round(t + shift, 3), UTC), value) for t, value in readings]
    seed.execute("delete from observation where datastream_id = %s", stream)
    seed.readings(stream, points)
    seed.latest(stream, readings[-1][1], time=points[-1][0], rate=rate)
    return shift


def shown(api, device="f1"):
    return next(
        f["properties"] for f in api.ok("/sakata/map/flood")["features"] if f["id"] == device
    )


def steady(rise_m, readings=20, start=0.06):
    return [(60.0 * k, start + rise_m * k) for k in range(readings)]


def test_what_was_said_before_a_real_crossing_and_what_came(api, seed, stream, flood):
    crossing = next(t for t, depth in flood if depth >= 0.2)
    said = []
    for k in range(1, len(flood)):
        if flood[k][0] >= crossing:
            break
        shift = play(seed, stream, flood[: k + 1])
        forecast = shown(api)["forecast"]
        if forecast is not None and forecast["level"] == 3:
            assert forecast["label"] == {"ja": "通行止めの目安", "en": "Deep enough to close"}
            times = [
                forecast[name] and datetime.fromisoformat(forecast[name]).timestamp() - shift
                for name in ("earliest", "at", "latest")
            ]
            said.append((forecast["reach"], flood[k][1], times))
    # From 10 cm on, six minutes before it came; "expected" from 17 cm on.
    assert [reach for reach, _, _ in said] == ["may", "may", "may", "expected", "expected"]
    assert said[0][1] == pytest.approx(0.105, abs=0.001)
    for _, _, (earliest, at, latest) in said:
        assert earliest <= at
        assert earliest - 1.0 <= crossing
        assert latest is None or at <= latest
        assert latest is None or crossing <= latest + 1.0
    assert abs(said[-1][2][1] - crossing) < 60.0


def test_an_open_alert_is_told_of_the_level_above_it(api, seed, stream, flood):
    play(seed, stream, flood[:8])
    seed.execute("update site set crew_minutes = 10")
    alert = seed.alert(stream, level=2, peak=0.19)
    view, detail = shown(api), api.ok(f"/sakata/alerts/{alert}")
    assert view["forecast"]["reach"] == "expected"
    assert detail["forecast"]["level"] == view["forecast"]["level"] == 3
    assert view["crew"]["minutes"] == detail["crew"]["minutes"] == 10
    assert view["crew"]["low_m"] < view["crew"]["depth_m"] < view["crew"]["high_m"]
    then = next(depth for t, depth in flood if t >= flood[7][0] + 605)
    assert then > 0.3
    assert view["crew"]["low_m"] <= then <= view["crew"]["high_m"]


def test_an_ended_alert_and_the_list_are_told_of_nothing_ahead(api, seed, stream, flood):
    play(seed, stream, flood[:8])
    alert = seed.alert(stream, clear=now() - timedelta(minutes=1))
    detail = api.ok(f"/sakata/alerts/{alert}")
    assert (detail["forecast"], detail["crew"]) == (None, None)
    [item] = api.ok("/sakata/alerts", state="ended")["items"]
    assert "forecast" not in item


def test_standing_water_has_no_forecast_but_a_depth_for_the_crew(api, seed, stream):
    play(seed, stream, [(60.0 * k, 0.12 + 0.001 * (k % 3)) for k in range(25)], rate=0.0)
    view = shown(api)
    assert view["forecast"] is None
    assert view["crew"]["depth_m"] == pytest.approx(0.12, abs=0.02)
    assert 0.0 <= view["crew"]["low_m"] < 0.12 < view["crew"]["high_m"] < 0.3


@pytest.mark.parametrize(
    "change",
    [
        lambda seed: seed.link("f1", "silent"),
        lambda seed: seed.state("f1", "maintenance"),
        lambda seed: seed.execute("update latest set flag = 4"),
        lambda seed: seed.execute("delete from rule where code = 'street-forecast'"),
        lambda seed: seed.execute("delete from rule where kind = 'threshold'"),
        lambda seed: seed.execute(
            "update rule set params = '{\"noise\": -1}' where code = 'street-forecast'"
        ),
    ],
    ids=("silent", "maintenance", "failed", "rule off", "no levels", "rule refused"),
)
def test_nothing_is_said_of_what_is_not_known(api, seed, stream, flood, change):
    play(seed, stream, flood[:8])
    assert shown(api)["forecast"]
    change(seed)
    view = shown(api)
    assert (view["forecast"], view["crew"]) == (None, None)


def test_a_site_without_a_crew_time_or_one_beyond_the_horizon_has_no_depth(
    api, seed, stream, flood
):
    play(seed, stream, flood[:8])
    for minutes in (None, 45):
        seed.execute("update site set crew_minutes = %s", minutes)
        view = shown(api)
        assert view["forecast"]
        assert view["crew"] is None
    with seed.database.transaction() as conn:
        rules.save(
            conn, seed.town.tenant_id, "street-forecast", kind="time_to_threshold",
            observed_property="depth_m", params=TimeToThreshold(horizon_s=3600.0).to_params(),
            device_kind="flood_level", site_kinds=["street", "underpass"],
        )  # fmt: skip
    assert shown(api)["crew"]["minutes"] == 45


def test_contacts_and_dry_or_falling_streets_are_not_read(api, seed, stream, flood, monkeypatch):
    contact = seed.streams["c1", "depth_m"]
    seed.link("c1", "online")
    play(seed, contact, [(60.0 * k, 0.1 if k > 5 else 0.0) for k in range(20)])
    dry = [(60.0 * k, 0.004) for k in range(20)]
    play(seed, stream, dry, rate=0.3)

    asked, since = [], recent.since

    def read(conn, ids, start):
        asked.extend(ids)
        return since(conn, ids, start)

    monkeypatch.setattr(recent, "since", read)
    assert shown(api, "c1")["forecast"] is None
    assert shown(api)["forecast"] is None
    play(seed, stream, steady(-0.001, start=0.04), rate=-0.06)
    assert shown(api)["crew"] is None
    assert asked == []
    play(seed, stream, flood[:8], rate=2.0)
    assert shown(api)["forecast"]
    assert asked == [stream]


def test_a_reading_that_failed_is_not_followed(api, seed, stream, flood):
    shift = play(seed, stream, flood[:8])
    before = shown(api)
    time = datetime.fromtimestamp(round(flood[6][0] + 20.0 + shift, 3), UTC)
    seed.readings(stream, [(time, 9.99)], flag=4)
    seed.readings(stream, [(time + timedelta(seconds=1), float("nan"))], flag=9)
    assert shown(api)["forecast"] == before["forecast"]


def test_consoles_that_ask_at_once_share_one_computation(api, seed, stream, monkeypatch):
    """Those who come while one is answered share the next answer.

    What is asked anew, of another reading or seconds later, is answered anew.
    """
    monkeypatch.setattr(lookout, "KEPT_S", 600.0)
    play(seed, stream, steady(0.01), rate=0.6)
    asked, since = [], recent.since
    reading, go_on = threading.Event(), threading.Event()

    def read(conn, ids, start):
        asked.append(ids)
        reading.set()
        assert go_on.wait(60)
        return since(conn, ids, start)

    class Flight(Future):
        def result(self, timeout=None):
            joined.release()
            return super().result(timeout)

    joined, desks, read_desk = threading.Semaphore(0), [], desk.desk
    monkeypatch.setattr(lookout, "Future", Flight)
    monkeypatch.setattr(ahead, "desk", lambda *a: desks.append(a) or read_desk(*a))
    monkeypatch.setattr(recent, "since", read)
    with ThreadPoolExecutor(5) as consoles:
        first = consoles.submit(api.ok, "/sakata/ahead")
        assert reading.wait(60)
        others = [consoles.submit(api.ok, "/sakata/ahead") for _ in range(3)]
        mapped = consoles.submit(shown, api)
        for _ in others[1:]:  # the first of them is to compute what the others wait for
            assert joined.acquire(timeout=60)
        go_on.set()
        [item] = first.result(60)
        assert item["forecast"]
        assert mapped.result(60)["forecast"] == item["forecast"]
        assert [one.result(60) for one in others] == [[item]] * 3
    assert asked == [[stream]]
    assert len(desks) == 1 + 1
    play(seed, stream, steady(0.012), rate=0.7)
    assert api.ok("/sakata/ahead") != [item]
    assert asked == [[stream]] * 2
    monkeypatch.setattr(lookout, "KEPT_S", 0.0)
    api.ok("/sakata/ahead")
    assert asked == [[stream]] * 3


def test_maps_that_are_asked_for_at_once_are_drawn_once_and_from_then_on(
    api, seed, stream, monkeypatch
):
    seed.latest(stream, 0.01)
    begun, go_on, joined = threading.Event(), threading.Event(), threading.Semaphore(0)
    desks, read_desk = [], desk.desk

    def read(*given):
        found = read_desk(*given)
        desks.append(found)
        begun.set()
        assert go_on.wait(60)
        return found

    class Flight(Future):
        def result(self, timeout=None):
            joined.release()
            return super().result(timeout)

    monkeypatch.setattr(lookout, "Future", Flight)
    monkeypatch.setattr(town_map, "desk", read)
    with ThreadPoolExecutor(5) as consoles:
        first = consoles.submit(shown, api)
        assert begun.wait(60)
        others = [consoles.submit(shown, api) for _ in range(4)]
        for _ in others[1:]:
            assert joined.acquire(timeout=60)
        seed.latest(stream, 0.07)  # what came after the first one asked is not kept from the others
        go_on.set()
        assert first.result(60)["value"] == 0.01
        assert [one.result(60)["value"] for one in others] == [0.07] * 4
    assert len(desks) == 2


def test_a_fault_while_one_looks_ahead_is_not_kept(api, seed, stream, monkeypatch):
    play(seed, stream, steady(0.01), rate=0.6)

    def away(*_):
        raise DatabaseAwayError("away")

    with monkeypatch.context() as broken:
        broken.setattr(recent, "since", away)
        assert api.get("/sakata/ahead").status_code == 503
    assert len(api.ok("/sakata/ahead")) == 1


def test_the_page_asks_only_for_what_may_be_said(api, seed, stream):
    assert api.ok("/sakata/ahead") == []
    play(seed, stream, steady(0.01), rate=0.6)
    properties = shown(api)
    assert properties["forecast"] is not None
    [item] = api.ok("/sakata/ahead")
    said = {name: properties[name] for name in ("forecast", "crew")}
    assert item == {"device": "f1", **said, "under_water": False}
