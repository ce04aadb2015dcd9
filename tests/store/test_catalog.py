"""Towns, sites, devices and datastreams in a real database."""

import psycopg
import pytest

from store import datastream_catalog, device_catalog, town_catalog
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
            device_catalog.set_device_state(conn, town.tenant_id, "f9", "retired")
        with pytest.raises(RefusedError, match="no device 'f9'"):
            device_catalog.set_device_secret(conn, town.tenant_id, "f9", "hash")


def test_changes_are_announced_with_the_commit(roles, database_dsn, town):
    with psycopg.connect(database_dsn.jobs, autocommit=True) as listener:
        listener.execute("listen mizumori_config")
        with roles.owner.transaction() as conn:
            device_catalog.set_device_state(conn, town.tenant_id, "f1", "maintenance")
            device_catalog.set_device_secret(conn, town.tenant_id, "f1", "hash")
        heard = [note.payload for note in listener.notifies(timeout=5, stop_after=2)]
    assert sorted(heard) == ['{"kind" : "broker"}', '{"kind" : "device"}']


def test_secret_is_in_no_text_form():
    assert "hush" not in repr(NewDevice("a", "plow", "x", "x", 5, secret_hash="hush"))
