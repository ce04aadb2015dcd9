"""Rules changed through the API: with a token, field by field, in force for the next reading."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from store import audit, provisioning_tokens
from store.database import Database
from store.device_catalog import NewDevice, add_devices
from tests.jobs.door import Door

LOW = {"levels": [{"on": 0.03, "off": 0.01}]}
EXTRA = {"code": "battery-low", "kind": "threshold", "property": "battery_v",
         "params": {"levels": [{"on": 3.2, "off": 3.3}], "direction": "falling"}}  # fmt: skip


@pytest.fixture
def token(seed):
    token = provisioning_tokens.new_token()
    with seed.database.transaction() as conn:
        lifetime = timedelta(days=1)
        provisioning_tokens.add(conn, seed.town.tenant_id, "sakata-works", token, lifetime)
    return token


@pytest.fixture
def write(api, token):
    def send(body, *, shown=token, status=201):
        headers = {} if shown is None else {"Authorization": f"Bearer {shown}"}
        answer = api.client.post("/api/v1/sakata/rules", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    return send


def of(api, code):
    """The rule's scopes as the list has them: (site, device, version)."""
    rows = [one for one in api.ok("/sakata/rules") if one["code"] == code]
    return [(one["site"], one["device"], one["version"]) for one in rows]


def test_a_device_gets_a_version_of_its_own_and_gives_it_up(api, seed, write):
    before = datetime.now(UTC)
    [town] = [one for one in api.ok("/sakata/rules") if one["code"] == "street-depth"]
    made = write({"code": "street-depth", "device": "f1", "params": LOW})
    assert (made["site"], made["device"], made["version"]) == (None, "f1", 2)
    assert made["params"]["levels"] == [{**LOW["levels"][0], "delay_on_s": 0, "delay_off_s": 0}]
    stays = set(town) - {"params", "device", "version", "valid_from"}
    assert {name: made[name] for name in stays} == {name: town[name] for name in stays}
    assert made["params"]["ceiling_per_h"] == town["params"]["ceiling_per_h"]
    assert datetime.fromisoformat(made["valid_from"]) > before
    assert of(api, "street-depth") == [(None, None, 1), (None, "f1", 2)]
    off = write({"code": "street-depth", "site": "ekimae", "enabled": False})
    assert (off["enabled"], off["params"]) == (False, town["params"])
    holds = write({"code": "street-depth", "device": "f1", "inherits": True})
    assert (holds["site"], holds["version"], holds["enabled"]) == ("ekimae", 3, False)
    holds = write({"code": "street-depth", "site": "ekimae", "inherits": True})
    assert holds == town
    assert of(api, "street-depth") == [(None, None, 1)]
    with seed.database.transaction() as conn:
        found = audit.entries(conn, seed.town.tenant_id, "street-depth")
    assert [(one.action, one.writer, one.change) for one in found] == [
        ("rule.reset", "sakata-works", {"version": 5, "site": "ekimae", "inherits": True}),
        ("rule.reset", "sakata-works", {"version": 4, "device": "f1", "inherits": True}),
        ("rule.set", "sakata-works", {"version": 3, "site": "ekimae", "enabled": False}),
        ("rule.set", "sakata-works", {"version": 2, "device": "f1", "params": LOW}),
    ]


def test_an_item_of_the_list_can_be_sent_back_with_another_value(api, write):
    [item] = [one for one in api.ok("/sakata/rules") if one["code"] == "level-silence"]
    for name in ("version", "valid_from", "labels"):
        del item[name]
    item["params"]["loss_rate"] = 0.2
    assert write(item)["params"]["loss_rate"] == 0.2
    assert of(api, "level-silence") == [(None, None, 2)]


def test_a_new_rule_is_added_and_then_changed_by_what_is_different(api, write):
    assert write({**EXTRA, "device_kind": "flood_level"})["label_scheme"] == "street"
    changed = write({"code": "battery-low", "device": "f1", "params": {"noise": 0.05}})
    assert (changed["params"]["noise"], changed["params"]["direction"]) == (0.05, "falling")
    assert (changed["kind"], changed["device_kind"]) == ("threshold", "flood_level")
    assert of(api, "battery-low") == [(None, None, 1), (None, "f1", 2)]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"params": {"levels": [{"on": 0.4, "off": 0.3}, {"on": 0.2, "off": 0.1}]}},
         "params.levels[1].on", "level 2 must go on at 0.4 or higher"),
        ({"params": {"levles": []}}, "params.levles", "did you mean 'levels'?"),
        ({"params": {"levels": [{"on": "deep", "off": 0}]}}, "params.levels[0].on", "a number"),
        ({"params": {"direction": "\x00"}}, "params.direction", "'rising' or 'falling'"),
        ({"params": [1]}, "params", "dictionary"),
        ({}, "params", "nothing would be different"),
        ({"code": "street-dept", "params": {}}, "code", "did you mean 'street-depth'?"),
        ({"code": "zzz", "kind": "threshold"}, "code", "a new one needs property, params"),
        ({"code": "Not Good", "params": {}}, "code", "lower-case letters"),
        ({**EXTRA, "kind": "magic"}, "kind", "no rule of kind 'magic'"),
        ({**EXTRA, "property": "Volt"}, "property", "'Volt' is not allowed"),
        ({**EXTRA, "property": "link"}, "property", "must be link for the kind silence"),
        ({**EXTRA, "label_scheme": "rainbow"}, "label_scheme", "is not one of"),
        ({**EXTRA, "device_kind": "boat"}, "device_kind", "is not one of"),
        ({**EXTRA, "site_kinds": ["sea"]}, "site_kinds", "is not one of"),
        ({"kind": "rate_of_rise", "params": LOW}, "kind", "is 'threshold' and stays so"),
        ({"property": "stage_m", "params": LOW}, "property", "takes another code"),
        ({"site": "nowhere", "params": LOW}, "site", "none that this town has"),
        ({"device": "\x00", "params": LOW}, "device", "none that this town has"),
        ({"site": "ekimae", "device": "f1", "params": LOW}, "device", "goes without site"),
        ({"device": "c1", "params": LOW}, "device", "is a flood_contact; this rule is for"),
        ({"site": "pond-1", "params": LOW}, "site", "is a pond; this rule is for street"),
        ({"code": "stage-range", "device": "f1", "enabled": False}, "device",
         "measures no stage_m, but battery_v, depth_m"),
        ({"inherits": True}, "inherits", "nothing wider"),
        ({"device": "f1", "inherits": True}, "device", "no version of its own"),
        ({"colour": "red"}, "colour", "Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_field_and_nothing_is_written(
    seed, write, body, field, says
):
    before = seed.one("select count(*) from rule")
    refused = write({"code": "street-depth", **body}, status=422)
    assert says in {one["field"]: one["message"] for one in refused["errors"]}[field]
    assert seed.one("select count(*) from rule") == before
    assert seed.one("select count(*) from audit where action like 'rule.%%'") == 0


def test_without_a_token_of_the_town_nothing_is_changed(seed, write):
    before = seed.one("select count(*) from rule")
    body = {"code": "street-depth", "params": LOW}
    for shown in (None, "mzt_0"):
        assert write(body, shown=shown, status=401)["type"].endswith(":token-needed")
    assert seed.one("select count(*) from rule") == before


def test_another_town_s_sites_and_devices_are_not_there(seed, write):
    other = seed.add_town("tsuruoka")
    with seed.database.transaction() as conn:
        add_devices(conn, other.tenant_id, [NewDevice("far", "flood_level", "", "", 60)])
    refused = write({"code": "street-depth", "device": "far", "params": LOW}, status=422)
    assert refused["errors"][0]["field"] == "device"


def test_a_lower_threshold_of_one_device_raises_an_alert_for_its_next_reading(
    seed, write, database_dsn
):
    stream = seed.streams["f1", "depth_m"]
    alerts = "select count(*) from alert where rule_code = 'street-depth' and rule_version = 2"
    with seed.database.transaction() as conn:
        conn.execute(
            "insert into intake (tenant_id, partition_no, epoch) values (%s, 0, 1)",
            (seed.town.tenant_id,),
        )
    with (
        Database(database_dsn.gateway, name="test-gateway", max_size=2) as database,
        psycopg.connect(database_dsn.gateway, autocommit=True) as listener,
    ):
        listener.execute("listen mizumori_config")
        door = Door(database, seed.town.tenant_id)
        door.load()
        door.take([(stream, milliseconds(), 0.04)])
        assert seed.one("select count(*) from alert") == 0
        write({"code": "street-depth", "device": "f1", "params": LOW})
        [heard] = [json.loads(one.payload) for one in listener.notifies(timeout=5, stop_after=1)]
        assert heard == {"kind": "rule"}
        door.load()  # what a gateway does when it hears that
        door.take([(stream, milliseconds(), 0.04)])
    assert seed.one(alerts) == 1


def milliseconds():
    return int(datetime.now(UTC).timestamp() * 1000) + 1
