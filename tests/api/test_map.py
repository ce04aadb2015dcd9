"""What the map says: above all that unknown is never shown as normal."""

import math
from datetime import timedelta

import pytest

from detectors.rules import Silence
from store import rules
from tests.api.seed import ago, now


def shown(api, device="f1", layer="flood"):
    return next(
        f["properties"]
        for f in api.ok(f"/sakata/map/{layer}")["features"]
        if f["properties"]["device"] == device
    )


def test_a_fresh_reading_of_a_device_that_is_heard_is_normal(api, seed, stream):
    seed.link("f1", "online")
    seed.latest(stream, 0.01, rate=0.2)
    view = shown(api)
    assert (view["state"], view["level"], view["unknown_reason"]) == ("normal", 0, None)
    assert view["label"]["ja"] == "注意の深さ未満"
    assert (view["value"], view["unit"], view["rate_per_h"]) == (0.01, "m", 0.2)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("link_unknown", lambda seed, _: seed.execute("delete from link_state")),
        (
            "never_heard",
            lambda seed, _: (
                seed.execute("delete from latest"),
                seed.execute("update link_state set state = 'unknown', last_received_time = null"),
            ),
        ),
        ("link_unknown", lambda seed, _: seed.link("f1", "unknown")),
        ("silent", lambda seed, _: seed.link("f1", "silent")),
        ("offline", lambda seed, _: seed.link("f1", "offline")),
        ("never_seen", lambda seed, _: seed.execute("delete from latest")),
        ("missing", lambda seed, stream: seed.latest(stream, math.nan, flag=9)),
        ("missing", lambda seed, stream: seed.latest(stream, math.inf, flag=1)),
        ("failed", lambda seed, stream: seed.latest(stream, 0.0, flag=4)),
        ("not_evaluated", lambda seed, stream: seed.latest(stream, 0.0, flag=2)),
        ("stale", lambda seed, stream: seed.latest(stream, 0.0, time=ago(minutes=8))),
        # The device's clock runs a year ahead: what counts is when it was received.
        (
            "stale",
            lambda seed, stream: seed.latest(
                stream, 0.0, time=now() + timedelta(days=365), received=ago(minutes=8)
            ),
        ),
        # A backlog that is still arriving: received now, measured long ago.
        ("stale", lambda seed, stream: seed.latest(stream, 0.0, time=ago(hours=3))),
        ("no_rule", lambda seed, _: seed.execute("delete from rule where property = 'depth_m'")),
        ("quarantined", lambda seed, _: seed.state("f1", "quarantined")),
    ],
)
def test_what_is_not_known_is_unknown_and_has_no_level(api, seed, stream, reason, change):
    seed.link("f1", "online")
    seed.latest(stream, 0.0)
    assert shown(api)["state"] == "normal"
    change(seed, stream)
    view = shown(api)
    assert (view["state"], view["unknown_reason"]) == ("unknown", reason)
    assert view["level"] is None
    assert view["label"] is None


def test_a_suspect_reading_is_shown_as_it_is(api, seed, stream):
    seed.link("f1", "online")
    seed.latest(stream, 0.01, flag=3)
    view = shown(api)
    assert (view["state"], view["flag"]) == ("normal", 3)


def test_an_open_alert_stays_while_the_device_is_silent(api, seed, stream):
    alert = seed.alert(stream, level=2)
    seed.latest(stream, 0.21, time=ago(hours=1))
    seed.link("f1", "silent")
    view = shown(api)
    assert (view["state"], view["level"], view["alert"]) == ("alert", 2, alert)
    assert (view["link"]["state"], view["unknown_reason"]) == ("silent", "silent")
    assert view["symbol"] == "diamond"


def test_after_the_alert_has_ended_a_silent_device_is_unknown(api, seed, stream):
    seed.alert(stream, clear=ago(minutes=30))
    seed.latest(stream, 0.0, time=ago(hours=1))
    seed.link("f1", "silent")
    assert shown(api)["state"] == "unknown"


def test_the_gravest_alert_is_shown_and_the_water_before_its_rate(api, seed, stream):
    seed.link("f1", "online")
    seed.latest(stream, 0.12)
    seed.alert(stream, rule="street-rise", level=2)
    depth = seed.alert(stream, rule="street-depth", level=2)
    assert shown(api)["alert"] == depth
    graver = seed.alert(stream, rule="street-rise", level=3)
    assert shown(api)["alert"] == graver


@pytest.mark.parametrize("state", ["maintenance", "out_of_season"])
def test_a_device_out_of_service_has_no_level_and_names_its_alert(api, seed, stream, state):
    alert = seed.alert(stream)
    seed.state("f1", state)
    view = shown(api)
    assert (view["state"], view["level"], view["alert"]) == (state, None, alert)


def test_a_pond_with_one_silent_property_is_unknown(api, seed):
    seed.link("p1", "online")
    for name, value in (("water_temp_c", 22.0), ("ph", 7.4), ("dissolved_oxygen_mg_l", 7.0)):
        seed.latest(seed.streams["p1", name], value)
    view = shown(api, "p1", "ponds")
    assert view["state"] == "normal"
    assert view["property"] == "dissolved_oxygen_mg_l"
    seed.latest(seed.streams["p1", "ph"], 7.4, time=ago(days=1))
    view = shown(api, "p1", "ponds")
    assert (view["state"], view["unknown_reason"]) == ("unknown", "stale")
    assert len(view["readings"]) == 3


def test_an_exercise_is_marked(api, seed, stream):
    seed.link("f1", "online")
    seed.latest(stream, 0.0)
    assert not shown(api)["training"]
    seed.latest(stream, 0.0, marks=4)
    assert shown(api)["training"]


def test_a_device_without_a_position_stays_in_the_layer(api):
    [feature] = api.ok("/sakata/map/ponds")["features"]
    assert feature["geometry"] is None
    [plow] = api.ok("/sakata/map/plows")["features"]
    assert plow["geometry"] is None
    assert plow["properties"]["state"] == "unknown"


def test_plows_stand_where_they_were_last_seen(api, seed):
    seed.link("plow-1", "online")
    seed.positions("plow-1", [(now(), 38.9, 139.8, True)])
    [plow] = api.ok("/sakata/map/plows")["features"]
    assert plow["geometry"] == {"type": "Point", "coordinates": [139.8, 38.9]}
    view = plow["properties"]
    assert (view["state"], view["blade"], view["speed_kmh"]) == ("normal", True, 20.0)
    seed.positions("plow-1", [(ago(minutes=30), 38.9, 139.9, True)])
    assert shown(api, "plow-1", "plows")["unknown_reason"] == "stale"


def test_tracks_are_split_at_gaps_and_where_the_blade_moved(api, seed):
    start = ago(minutes=60)

    def fix(seconds, blade):
        return (start + timedelta(seconds=seconds), 38.9, 139.8 + seconds / 1e5, blade)

    seed.positions(
        "plow-1",
        [
            fix(0, False), fix(5, False), fix(10, True), fix(130, True),  # 120 s: still joined
            fix(251, True), fix(256, True),  # 121 s: a gap
            fix(500, True),  # alone between two gaps: no line
            fix(800, None), fix(805, None),
        ],
    )  # fmt: skip
    seed.positions("plow-1", [(start + timedelta(seconds=7), 0.0, 0.0, True)], flag=4)
    seed.positions("plow-1", [(ago(minutes=200), 1.0, 1.0, True)])
    answer = api.ok("/sakata/map/plows/tracks")
    assert not answer["truncated"]
    lines = [
        (f["properties"]["blade"], len(f["geometry"]["coordinates"])) for f in answer["features"]
    ]
    # The stretch on which the blade went down (5 s to 10 s) belongs to the way before it.
    assert lines == [(False, 3), (True, 2), (True, 2), (None, 2)]
    first, second = answer["features"][:2]
    assert first["geometry"]["coordinates"][-1] == second["geometry"]["coordinates"][0]
    assert first["properties"]["to"] == second["properties"]["from"]
    assert api.ok("/sakata/map/plows/tracks", minutes=10)["features"] == []


def test_the_base_map_shows_the_town_s_surroundings_with_their_credit(api):
    answer = api.get("/sakata/map/base")
    assert answer.headers["content-type"] == "application/geo+json"
    body = answer.json()
    names = {f["properties"]["name_ja"] for f in body["features"]}
    assert "酒田市" in names
    assert "いわき市" not in names  # 200 km away
    assert "river" in {f["properties"]["kind"] for f in body["features"]}
    assert "国土数値情報" in body["attribution"]["ja"]
    again = api.client.get(
        "/api/v1/sakata/map/base", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304


def derive(seed, name, unit, value, **reading):
    """Write the newest value of a derived datastream of the pond's device; returns its id."""
    seed.execute(
        "insert into datastream (tenant_id, device_id, property, unit, derived)"
        " select tenant_id, device_id, %s, %s, true from device where code = 'p1'"
        " on conflict do nothing",
        name, unit,
    )  # fmt: skip
    stream = seed.one("select datastream_id from datastream where property = %s", name)
    seed.latest(stream, value, **reading)
    return stream


def a_calm_pond(seed):
    seed.link("p1", "online")
    for name, value in (("water_temp_c", 21.0), ("ph", 7.4), ("dissolved_oxygen_mg_l", 7.0)):
        seed.latest(seed.streams["p1", name], value)


def test_what_is_derived_may_be_unknown_for_days_but_must_not_fall_behind(api, seed):
    a_calm_pond(seed)
    derive(seed, "ph_off_usual", "pH", math.nan, flag=9)
    view = shown(api, "p1", "ponds")
    assert (view["state"], view["unknown_reason"]) == ("normal", None)
    assert {r["property"]: r["derived"] for r in view["readings"]} == {
        "water_temp_c": False, "ph": False, "dissolved_oxygen_mg_l": False, "ph_off_usual": True,
    }  # fmt: skip
    derive(seed, "ph_off_usual", "pH", 0.1, time=ago(days=1))
    view = shown(api, "p1", "ponds")
    assert (view["state"], view["unknown_reason"]) == ("unknown", "stale")


def test_a_pond_whose_probes_are_out_of_the_water_is_unknown_for_as_long_as_it_says(api, seed):
    a_calm_pond(seed)
    lift = derive(seed, "lifted_out_min", "min", 12.0, time=ago(minutes=10))
    alert = seed.alert(lift, rule="pond-lifted-out", level=1)
    view = shown(api, "p1", "ponds")
    assert (view["state"], view["unknown_reason"]) == ("unknown", "lifted_out")
    assert (view["level"], view["alert"]) == (None, None)
    assert api.ok(f"/sakata/alerts/{alert}")["label"]["en"] == "Maintenance: probes lifted out"
    derive(seed, "lifted_out_min", "min", 9.0, time=ago(minutes=10))
    assert shown(api, "p1", "ponds")["state"] == "normal"
    # What the water was before stays an alert, and rests on what was last seen.
    derive(seed, "lifted_out_min", "min", 30.0)
    water = seed.alert(seed.streams["p1", "ph"], rule="pond-ph-high", level=2)
    view = shown(api, "p1", "ponds")
    assert (view["state"], view["alert"]) == ("alert", water)
    assert view["unknown_reason"] == "lifted_out"


def beacon(seed, routers, *, drowns=True, code="f1"):
    """A silent sensor whose radio drowns, heard by some routers before."""
    device = seed.devices_of(seed.town)[code]
    with seed.database.transaction() as conn:
        rules.save(
            conn, seed.town.tenant_id, "level-silence", kind="silence", observed_property="link",
            params=Silence(drowns=drowns).to_params(), device_id=device,
        )  # fmt: skip
    seed.link(code, "silent")
    heard_by(seed, code, *routers)


def heard_by(seed, device, *routers, ago_s=0):
    ident = seed.devices_of(seed.town)[device]
    for router in routers:
        seed.execute(
            "insert into device_router (device_id, tenant_id, router, heard_at)"
            " values (%s, %s, %s, now())", ident, seed.town.tenant_id, router,
        )  # fmt: skip
    seed.execute(
        "update link_state set last_received_time = now() - make_interval(secs => %s)"
        " where device_id = %s", ago_s, ident,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "others"),
    [
        ("under_water", ["r1"]),
        ("silent", []),  # nobody else there: it may be the router that is silent
        ("silent", ["r2"]),
        ("silent", ["r1", "r2"]),  # by which of the two its last message came, nobody knows
    ],
)
def test_a_silent_beacon_is_probably_under_water_if_its_router_hears_others(
    api, seed, stream, reason, others
):
    seed.latest(stream, 0.0)
    beacon(seed, ["r1"])
    seed.link("c1", "online")
    heard_by(seed, "c1", *others)
    view = shown(api)
    assert (view["state"], view["unknown_reason"], view["level"]) == ("unknown", reason, None)
    said = {"device": "f1", "forecast": None, "crew": None, "under_water": True}
    assert api.ok("/sakata/ahead") == ([said] if reason == "under_water" else [])


def test_a_beacon_is_not_told_to_be_under_water_where_its_witness_is_late_or_it_cannot_drown(
    api, seed, stream
):
    seed.latest(stream, 0.0)
    beacon(seed, ["r1"])
    seed.link("c1", "online")
    heard_by(seed, "c1", "r1", ago_s=130)  # two of its periods are two minutes
    assert shown(api)["unknown_reason"] == "silent"
    heard_by(seed, "c1", ago_s=30)
    assert shown(api)["unknown_reason"] == "under_water"
    seed.execute("delete from rule where device_id is not null")
    assert shown(api)["unknown_reason"] == "silent"
