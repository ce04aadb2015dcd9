"""Towns, sites, devices and datastreams in a real database."""

import psycopg
import pytest

from store import audit, datastream_catalog, device_catalog, site_catalog, town_catalog
from store.device_catalog import NewDevice
from store.errors import RefusedError
from store.town_catalog import NewTenant


def test_device_comes_with_its_datastreams_and_an_unknown_link(roles, town):
    with roles.owner.transaction() as conn:
        device = device_catalog.device(conn, town.tenant_id, "p1")
        properties = [
            s.property for s in datastream_catalog.datastreams(conn, device_ids=[device.device_id])
        ]
        state = conn.execute(
            "select state from link_state where device_id = %s", (device.device_id,)
        ).fetchone()
    assert properties == ["water_temp_c", "ph", "dissolved_oxygen_mg_l", "battery_v"]
    assert state == ("unknown",)


def test_taken_code_is_refused_in_words_and_the_transaction_goes_on(roles, town):
    with roles.owner.transaction() as conn:
        with pytest.raises(RefusedError, match="code 'mizumori' is there already"):
            town_catalog.add_tenant(conn, NewTenant(code="mizumori", name_ja="x", name_en="x"))
        assert town_catalog.tenant(conn, "mizumori") == town


def test_a_name_may_hold_the_blanks_that_are_written_here(roles, town):
    name = "駅前\u3000水位計\u00a01号"
    new = NewDevice("f3", "flood_level", name, "x", 60.0)
    with roles.owner.transaction() as conn:
        device_catalog.add_devices(conn, town.tenant_id, [new])
        assert device_catalog.device(conn, town.tenant_id, "f3").name_ja == name


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"code": "a b"}, "code 'a b' is not allowed: letters, digits"),
        ({"code": "水位"}, "code '水位' is not allowed"),
        ({"kind": "drone"}, "kind 'drone' is not one of flood_contact"),
        ({"state": "gone"}, "state 'gone' is not one of active"),
        ({"lat": 91.0, "lon": 0}, "lat 91 is not allowed: degrees from -90"),
        ({"lat": float("nan"), "lon": 0}, "lat nan is not allowed"),
        ({"lat": 38.0}, "lon is missing: lat alone is no position"),
        ({"expected_interval_s": 0}, "expected_interval_s is not allowed: seconds"),
        ({"expected_interval_s": float("inf")}, "expected_interval_s is not allowed: seconds"),
        ({"name_ja": "a\u200bb"}, "name_ja holds a character that cannot be shown"),
        ({"name_ja": "a\x00b"}, "name_ja holds a character that cannot be shown"),
        ({"site": "nowhere"}, "site 'nowhere' is none that this town has; add the site first"),
        ({"datastreams": (("Depth", "m"),)}, "datastreams hold a property that is refused"),
        ({"datastreams": (("depth_m", " "),)}, "datastreams hold a unit that is refused"),
        ({"datastreams": (("depth_m", "m"),) * 2}, "datastreams hold 'depth_m' twice"),
    ],
)
def test_bad_device_is_refused_in_words(roles, town, change, says):
    good = {
        "code": "f2", "kind": "flood_level", "name_ja": "x", "name_en": "x",
        "expected_interval_s": 60.0,
    }  # fmt: skip
    with roles.owner.transaction() as conn:
        with pytest.raises(RefusedError, match=says):
            device_catalog.add_devices(conn, town.tenant_id, [NewDevice(**{**good, **change})])
        assert device_catalog.device(conn, town.tenant_id, good["code"]) is None


def test_one_bad_device_of_many_adds_none(roles, town):
    new = [NewDevice(f"b{n}", "plow", "x", "x", 5) for n in range(50)]
    with roles.owner.transaction() as conn:
        with pytest.raises(RefusedError, match="is there already"):
            device_catalog.add_devices(conn, town.tenant_id, [*new, new[0]])
        assert len(device_catalog.devices(conn, town.tenant_id)) == 3
        device_catalog.add_devices(conn, town.tenant_id, new)
        assert len(device_catalog.devices(conn, town.tenant_id)) == 53


def test_unknown_device_cannot_be_changed(roles, town):
    with roles.owner.transaction() as conn:
        with pytest.raises(RefusedError, match="no device 'f9'"):
            device_catalog.set_device(conn, town.tenant_id, "f9", {"state": "retired"})
        with pytest.raises(RefusedError, match="no device 'f9'"):
            device_catalog.set_device_secret(conn, town.tenant_id, "f9", "hash")


def test_changes_are_announced_with_the_commit(roles, database_dsn, town):
    with psycopg.connect(database_dsn.jobs, autocommit=True) as listener:
        listener.execute("listen mizumori_config")
        with roles.owner.transaction() as conn:
            device_catalog.set_device(conn, town.tenant_id, "f1", {"state": "maintenance"})
            device_catalog.set_device_secret(conn, town.tenant_id, "f1", "hash")
        heard = [note.payload for note in listener.notifies(timeout=30, stop_after=2)]
    assert sorted(heard) == ['{"kind" : "broker"}', '{"kind" : "device"}']


def test_secret_is_in_no_text_form():
    assert "hush" not in repr(NewDevice("a", "plow", "x", "x", 5, secret_hash="hush"))


def test_a_change_says_whether_anything_is_different_and_is_announced_once(roles, town):
    with roles.owner.transaction() as conn:
        set_site, set_device = site_catalog.set_site, device_catalog.set_device
        assert set_site(conn, town.tenant_id, "honcho", {"close_at_m": 0.2, "lat": 1, "lon": 2})
        assert not set_site(conn, town.tenant_id, "honcho", {"close_at_m": 0.2})
        assert set_device(conn, town.tenant_id, "f1", {"site": None, "name_ja": "冠水"})
        assert not set_device(conn, town.tenant_id, "f1", {"site": None})
        assert town_catalog.set_tenant(conn, town.tenant_id, {"register_per_day": 5})
        assert not town_catalog.set_tenant(conn, town.tenant_id, {"register_per_day": 5})
        assert town_catalog.register_per_day(conn, town.tenant_id) == 5
        actions = [(e.action, e.subject) for e in audit.entries(conn, town.tenant_id)]
    assert actions[:3] == [("town.set", "mizumori"), ("device.set", "f1"), ("site.set", "honcho")]
    assert len(actions) == 3 + 2 + 3 + 1  # before: two sites, three devices, the town


def test_what_does_not_fit_what_is_there_is_refused(roles, town):
    with roles.owner.transaction() as conn:
        site_catalog.set_site(conn, town.tenant_id, "honcho", {"lat": 1, "lon": 2})
        with pytest.raises(RefusedError, match="lon is missing"):
            site_catalog.set_site(conn, town.tenant_id, "honcho", {"lon": None})
        with pytest.raises(RefusedError, match="no site 'nowhere'"):
            site_catalog.set_site(conn, town.tenant_id, "nowhere", {})
        with pytest.raises(RefusedError, match="add the site first"):
            device_catalog.set_device(conn, town.tenant_id, "f1", {"site": "nowhere"})
        with pytest.raises(RefusedError, match="property 'depth_m' is there already"):
            datastream_catalog.add_datastream(conn, town.tenant_id, "f1", "depth_m", "m")
        device_catalog.set_device(conn, town.tenant_id, "f1", {"state": "quarantined"})
        with pytest.raises(RefusedError, match="in quarantine until it is approved"):
            device_catalog.set_device(conn, town.tenant_id, "f1", {"state": "active"})
        device_catalog.set_device(conn, town.tenant_id, "f1", {"state": "retired"})


@pytest.mark.parametrize("zone", ["Asia/Tokio", "", "../etc/passwd", "Asia", "JST+9x", "a" * 300])
def test_a_time_zone_that_does_not_exist_is_refused_in_words(roles, town, zone):
    with roles.owner.transaction() as conn:
        with pytest.raises(RefusedError, match="is not known: a name such as Asia/Tokyo"):
            town_catalog.add_tenant(conn, NewTenant("x", "x", "x", time_zone=zone))
        with pytest.raises(RefusedError, match="time_zone"):
            town_catalog.set_tenant(conn, town.tenant_id, {"time_zone": zone})
        assert town_catalog.set_tenant(conn, town.tenant_id, {"time_zone": "Europe/Berlin"})
