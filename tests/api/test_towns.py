"""Towns are listed, and each sees only its own."""

from jobs.silence import SilenceWatch
from store.database import Database
from tests.api.seed import ago, now


def test_towns_are_listed_with_their_map_and_exercise(api, seed):
    seed.add_town("tsuruoka", training=True)
    sakata, tsuruoka = api.ok("/towns")
    assert sakata == {
        "code": "sakata",
        "name": {"ja": "sakata市", "en": "Sakata"},
        "time_zone": "Asia/Tokyo",
        "training": False,
        "map": {"lat": 38.91, "lon": 139.84, "zoom": 12.0},
    }
    assert tsuruoka["training"]


def test_nothing_of_another_town_is_reached_through_any_route(api, seed):
    other = seed.add_town("tsuruoka")
    stream = seed.streams_of(other)["f1", "depth_m"]
    seed.readings(stream, [(ago(minutes=1), 0.5)])
    seed.latest(stream, 0.5)
    alert = seed.alert(stream, town=other)
    seed.execute(
        "insert into quarantine (tenant_id, received_time, topic, payload, reason)"
        " values (%s, now(), 'mz/v1/tsuruoka/d/f1/up', '{', 'not_json')",
        other.tenant_id,
    )
    assert api.ok(f"/tsuruoka/datastreams/{stream}/observations")["items"]
    assert api.ok(f"/tsuruoka/alerts/{alert}")["id"] == alert
    assert len(api.ok("/tsuruoka/quarantine")["items"]) == 1
    api.problem(f"/sakata/datastreams/{stream}/observations", 404, "unknown-datastream")
    api.problem(f"/sakata/alerts/{alert}", 404, "unknown-alert")
    assert api.ok("/sakata/alerts", state="all")["items"] == []
    assert api.ok("/sakata/quarantine")["items"] == []
    ids = {s["id"] for d in api.ok("/sakata/devices") for s in d["datastreams"]}
    assert ids == set(seed.streams.values())
    assert stream not in {
        r["datastream"]
        for f in api.ok("/sakata/map/flood")["features"]
        for r in f["properties"]["readings"]
    }
    assert api.ok("/sakata/overview")["open_alerts"] == 0


def test_the_overview_counts_by_desk_and_names_the_silent(api, seed):
    seed.link("f1", "online")
    seed.latest(seed.streams["f1", "depth_m"], 0.01)
    seed.link("c1", "silent")
    seed.state("plow-1", "out_of_season")
    view = api.ok("/sakata/overview")
    assert view["flood"] == {
        "total": 2, "normal": 1, "alert": 0, "unknown": 1, "maintenance": 0, "out_of_season": 0,
    }  # fmt: skip
    assert view["pond"]["unknown"] == 1
    assert view["plow"]["out_of_season"] == 1
    assert [each["device"] for each in view["silent_devices"]] == ["c1", "p1"]
    assert view["silent_devices"][0]["link"]["state"] == "silent"


def test_devices_come_with_site_link_and_latest(api, seed):
    seed.link("f1", "online")
    seed.latest(seed.streams["f1", "depth_m"], 0.12, rate=0.7, time=now())
    device = api.ok("/sakata/devices/f1")
    assert device["site"]["code"] == "ekimae"
    assert device["site"]["close_at_m"] == 0.1
    assert (device["lat"], device["lon"]) == (38.92, 139.83)  # its site's
    assert device["link"]["state"] == "online"
    assert device["unknown_after_s"] == 390  # 6 reports of a minute missed, and half a one
    depth, battery = device["datastreams"]
    assert depth["latest"]["value"] == 0.12
    assert depth["latest"]["rate_per_h"] == 0.7
    assert depth["latest"]["time"].endswith("Z")
    assert battery["latest"] is None
    assert [d["code"] for d in api.ok("/sakata/devices")] == ["c1", "f1", "p1", "plow-1"]


def test_a_device_whose_silence_rule_cannot_be_read_is_judged_by_the_default_one(api, seed):
    seed.link("f1", "online")
    seed.latest(seed.streams["f1", "depth_m"], 0.12)
    seed.execute("update rule set params = '{\"loss_rate\": 7}' where code = 'level-silence'")
    assert api.ok("/sakata/devices/f1")["unknown_after_s"] == 390
    assert api.ok("/sakata/overview")["flood"]["normal"] == 1
    features = api.ok("/sakata/map/flood")["features"]
    assert {f["id"]: f["properties"]["state"] for f in features}["f1"] == "normal"


def test_a_device_shows_what_its_clock_did_wrong(api, seed):
    assert api.ok("/sakata/devices/f1")["clock"] is None
    seed.execute(
        "insert into device_clock select device_id, tenant_id, 2, 1, 7, now(), 75.5 from device"
        " where tenant_id = %s and code = 'f1'", seed.town.tenant_id,
    )  # fmt: skip
    clock = api.ok("/sakata/devices/f1")["clock"]
    assert clock.pop("last").endswith("Z")
    assert clock == {"refused_early": 2, "refused_future": 1, "suspect": 7, "ahead_s": 75.5,
                     "state": "right", "offset_s": None, "drift_s_per_day": None}  # fmt: skip


def test_a_device_shows_how_far_its_clock_is_ahead_and_drifts(api, seed):
    def seen(lead_s, hours, before_s, drift):
        seed.execute("delete from clock_lead")
        seed.execute(
            "insert into clock_lead select device_id, tenant_id, now(), %s,"
            " now() - %s * interval '1 h', %s, %s from device where tenant_id = %s and code = 'f1'",
            lead_s, hours, before_s, drift, seed.town.tenant_id,
        )  # fmt: skip
        clock = api.ok("/sakata/devices/f1")["clock"]
        return clock["state"], clock["offset_s"], clock["drift_s_per_day"]

    assert seen(30.0, None, None, None) == ("ahead", 30.0, None)
    assert seen(-600.0, 6, -500.0, None) == ("behind_or_delayed", -500.0, None)
    assert seen(-3.0, 24, -2.0, 0.4) == ("right", -1.7, 0.4)
    # Six hours ago it was 1800 s ahead by the line, and 7200 s more a day.
    assert seen(2000.0, 24, -3600.0, 7200.0) == ("drifting", 2000.0, 7200.0)
    assert seen(1500.0, 24, -3600.0, 7200.0) == ("drifting", 1800.0, 7200.0)
    # Not for a day yet; and what may be a backlog on its way.
    assert seen(2000.0, 18, -1800.0, 7200.0) == ("ahead", 2000.0, None)
    assert seen(-600.0, 24, -8000.0, 7200.0) == ("behind_or_delayed", -600.0, None)
    assert seen(-600.0, 24, -150.0, -480.0) == ("drifting", -510.0, -480.0)


def test_a_retired_device_is_only_found_by_its_code(api, seed):
    seed.state("f1", "retired")
    assert "f1" not in {d["code"] for d in api.ok("/sakata/devices")}
    assert api.ok("/sakata/devices/f1")["state"] == "retired"


def test_rules_come_with_parameters_and_labels(api):
    rules = {rule["code"]: rule for rule in api.ok("/sakata/rules")}
    street = rules["street-depth"]
    assert street["params"]["levels"][1]["on"] == 0.1
    assert street["site_kinds"] == ["street", "underpass"]
    assert street["labels"][2]["label"]["ja"] == "出動・通行止め判断"


def test_refused_messages_are_paged_newest_first(api, seed):
    for number in range(5):
        seed.execute(
            "insert into quarantine (tenant_id, received_time, topic, payload, device_code, reason)"
            " values (%s, now(), 'mz/v1/sakata/d/x/up', %s, 'x', 'not_json')",
            seed.town.tenant_id, b"\xff" + str(number).encode(),
        )  # fmt: skip
    first = api.ok("/sakata/quarantine", limit=3)
    rest = api.ok("/sakata/quarantine", limit=3, cursor=first["next"])
    assert [item["payload"] for item in first["items"] + rest["items"]] == [
        f"\\xff{n}" for n in (4, 3, 2, 1, 0)
    ]
    assert rest["next"] is None


def test_behind_a_router_that_is_out_nothing_is_called_wet_or_dry(api, seed):
    """Told once; what stood under water stays an alert, what was dry is unknown, none is safe."""
    seed.execute(
        "insert into intake (tenant_id, partition_no, epoch, listening_since, beat_at)"
        " values (%s, 0, 1, now() - interval '1 day', now())",
        seed.town.tenant_id,
    )
    wet, dry = seed.streams["f1", "depth_m"], seed.streams["c1", "depth_m"]
    for code, stream, value in (("f1", wet, 0.21), ("c1", dry, 0.0)):
        seed.link(code, "online")
        seed.latest(stream, value)
        seed.execute(
            "insert into device_router select device_id, tenant_id, 'roof', now() from device"
            " where code = %s",
            code,
        )
    raised = seed.alert(wet, level=2)
    with Database(seed.database.dsn, name="watch", answer_within_s=60) as jobs:
        watch = SilenceWatch(jobs, outage_after_s=60)

        def shown():
            watch.look()
            features = api.ok("/sakata/map/flood")["features"]
            by_code = {f["id"]: f["properties"] for f in features}
            return [
                (p["state"], p["level"], p["unknown_reason"], p["link"]["reason"])
                for p in (by_code["f1"], by_code["c1"])
            ]

        assert shown() == [("alert", 2, None, None), ("normal", 0, None, None)]
        assert api.ok("/sakata/overview")["routers_out"] == []
        long_ago = "now() - interval '1 hour'"
        seed.execute(
            f"update link_state set since = {long_ago}, last_received_time = {long_ago}"
            " where state = 'online'"
        )
        assert shown() == [
            ("alert", 2, "silent", "router_outage"),
            ("unknown", None, "silent", "router_outage"),
        ]
        view = api.ok("/sakata/overview")
        assert [(o["router"], o["devices"]) for o in view["routers_out"]] == [
            ("roof", ["c1", "f1"])
        ]
        links = {one["device"]: one["link"] for one in view["silent_devices"]}
        assert links["f1"]["router"] == links["c1"]["router"] == "roof"
        assert view["flood"]["normal"] == 0
        assert api.ok(f"/sakata/alerts/{raised}")["state"] == "open"  # silence ends no alert
        # One is heard again: the other is not, and is not what it was.
        seed.link("c1", "online")
        assert shown()[0] == ("alert", 2, "silent", "router_outage")
        assert shown()[1] == ("normal", 0, None, None)
        assert api.ok("/sakata/overview")["routers_out"] == []
