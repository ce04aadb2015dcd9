"""The demo town and recorded towns: what the database is told of them."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from api.town_lines import TownLines
from deploy.broker.secrets import matches
from deploy.demo.device_secrets import DeviceSecrets
from deploy.demo.enrolment import enrol
from deploy.demo.provision import draw_map, enrolled
from deploy.demo.recorded_town import recorded_town
from deploy.embedded.errors import EmbeddedError
from firmware_sim.errors import RecordingError
from firmware_sim.plan import demo_plan
from store import (
    broker_accounts,
    datastream_catalog,
    device_catalog,
    rules,
    site_catalog,
    town_catalog,
)
from store.database import Database

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def owner(database_dsn):
    with Database(database_dsn.owner, name="test-owner") as database:
        yield database


@pytest.fixture
def secrets(tmp_path):
    return DeviceSecrets(tmp_path / "data" / "devices.json")


def everything(owner):
    """All that enrolment may touch, as it stands."""
    with owner.transaction() as conn:
        [tenant] = town_catalog.tenants(conn)
        return (
            tenant,
            site_catalog.sites(conn, tenant.tenant_id),
            device_catalog.devices(conn, tenant.tenant_id),
            datastream_catalog.datastreams(conn, tenant.tenant_id),
            rules.versions(conn, tenant.tenant_id),
            {device.code: device.secret_hash for device in broker_accounts.list_devices(conn)},
        )


def test_the_demo_town_is_whole_and_an_exercise(owner, secrets):
    enrol(owner, enrolled(demo_plan()), secrets)
    tenant, sites, devices, streams, versions, hashes = everything(owner)
    assert (tenant.code, tenant.name_ja, tenant.training) == ("mizumori", "水守町", True)
    kinds = [device.kind for device in devices]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "flood_level": 9, "flood_contact": 3, "pond_probe": 6, "plow": 5,
    }  # fmt: skip
    assert len(sites) == 19
    assert len(streams) == 12 * 2 + 6 * 3
    codes = {version.code for version in versions}
    assert {"street-depth", "river-stage-nakabashi", "river-stage-ohashi"} <= codes
    kept = secrets.read("mizumori")
    assert kept.keys() == hashes.keys() == {device.code for device in devices}
    assert all(matches(kept[code], hashed) for code, hashed in hashes.items())
    assert stat.S_IMODE(secrets.path.stat().st_mode) == 0o600


def test_enrolling_again_changes_nothing(owner, secrets):
    enrol(owner, enrolled(demo_plan()), secrets)
    before, text = everything(owner), secrets.path.read_text()
    enrol(owner, enrolled(demo_plan()), secrets)
    assert everything(owner) == before
    assert secrets.path.read_text() == text


def test_what_is_missing_comes_back_and_the_rest_stays(owner, secrets):
    enrol(owner, enrolled(demo_plan()), secrets)
    before = everything(owner)
    kept = json.loads(secrets.path.read_text())
    lost = kept["mizumori"].pop("flood-01")
    kept["other"] = {"flood-01": "of another town"}
    secrets.path.write_text(json.dumps(kept))
    with owner.transaction() as conn:
        device_catalog.set_device_secret(conn, before[0].tenant_id, "flood-02", None)
    enrol(owner, enrolled(demo_plan()), secrets)
    after, renewed = everything(owner), secrets.read("mizumori")
    assert after[:5] == before[:5]
    assert renewed["flood-01"] != lost
    assert matches(renewed["flood-01"], after[5]["flood-01"])
    assert matches(renewed["flood-02"], after[5]["flood-02"])
    same = renewed.keys() - {"flood-01", "flood-02"}
    assert all(after[5][code] == before[5][code] for code in same)
    assert secrets.read("other") == {"flood-01": "of another town"}


def test_the_demo_brings_its_map_through_the_door_of_any_town(tmp_path):
    draw_map(demo_plan(), tmp_path / "maps")
    lines = TownLines.read(tmp_path / "maps", "mizumori")
    kinds = {feature["properties"]["kind"] for feature in lines.features}
    assert kinds == {"road", "river", "canal", "pond", "rail"}
    ponds = {f["properties"].get("code") for f in lines.features} & {f"pond-{n}" for n in range(7)}
    assert len(ponds) == 6
    assert lines.attribution == {"ja": "町は架空", "en": "The town is invented"}
    (tmp_path / "maps" / "mizumori.geojson").write_text("of the town itself")
    draw_map(demo_plan(), tmp_path / "maps")
    assert (tmp_path / "maps" / "mizumori.geojson").read_text() == "of the town itself"
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match=r"api\.town_maps"):
        draw_map(demo_plan(), tmp_path / "file")


def test_damaged_secrets_are_one_sentence(secrets):
    secrets.path.parent.mkdir()
    secrets.path.write_text("[1]")
    with pytest.raises(EmbeddedError, match="delete it, and new ones are made"):
        secrets.read("mizumori")


def test_a_recordings_town_takes_names_and_places_from_its_list():
    town = recorded_town(DATA / "nyc_street_floods_2023-09-29.csv.gz", "new-york")
    assert town.tenant["training"]
    assert 40.5 < town.tenant["map_lat"] < 40.9
    first = next(d for d in town.devices if d.code == "BK-hoyt-st-5th-st-007sk0")
    assert (first.name_en, first.kind) == ("BK - Hoyt St/5th St", "flood_level")
    assert first.datastreams == (("depth_m", "m"),)
    assert {site["kind"] for site in town.sites} == {"street"}


def test_without_a_list_the_kind_follows_from_the_properties():
    pond = recorded_town(DATA / "pond_clock_steps_2020-01.csv.gz", "tank")
    assert {device.kind for device in pond.devices} == {"pond_probe"}
    assert pond.devices[0].datastreams == (
        ("ph", "pH"), ("turbidity_ntu", "NTU"), ("water_temp_c", "degC"),
    )  # fmt: skip
    plows = recorded_town(DATA / "chicago_plows_2015-12-02.csv.gz", "chicago")
    assert {device.kind for device in plows.devices} == {"plow"}
    assert not plows.sites
    assert 41.6 < plows.tenant["map_lat"] < 42.1


def test_a_recording_may_be_added_to_a_town_with_its_own_devices(owner, secrets):
    enrol(owner, recorded_town(DATA / "pond_clock_steps_2020-01.csv.gz", "tank"), secrets)
    enrol(owner, recorded_town(DATA / "chicago_plows_2015-12-02.csv.gz", "tank"), secrets)
    _, _, devices, *_ = everything(owner)
    assert len(devices) == 78
    assert len(secrets.read("tank")) == 78


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name\nx\n", "of which only device is needed"),
        ("device,colour\nx,red\n", "of which only device is needed"),
        ("device,lat,lon\ntank-30cm,north,1\n", "place of tank-30cm is no number"),
        ("device,expected_interval_s\ntank-30cm,often\n", "interval of tank-30cm is no number"),
    ],
)
def test_a_wrong_list_of_devices_is_named(tmp_path, text, sentence):
    path = shutil.copy(DATA / "pond_clock_steps_2020-01.csv.gz", tmp_path / "pond.csv.gz")
    (tmp_path / "pond.devices.csv").write_text(text)
    with pytest.raises(RecordingError, match=sentence):
        recorded_town(path, "tank")
