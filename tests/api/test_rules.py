"""Rules changed through the API: with a token, field by field, in force for the next reading."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from store import audit, provisioning_tokens
from store.database import Database
from store.device_catalog import NewDevice, add_devices
from tests.api import japanese
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
        if answer.is_error:
            headers |= japanese.ASKED
            japanese.said(api.client.post("/api/v1/sakata/rules", json=body, headers=headers))
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
         "params.levels[1].on", "level 2 must go on at 0.4 m (40 cm) or higher"),
        ({"params": {"levles": []}}, "params.levles", "did you mean 'levels'?"),
        ({"params": {"levels": [{"on": "deep", "off": 0}]}}, "params.levels[0].on", "a number"),
        ({"params": {"direction": "\x00"}}, "params.direction", "'rising' or 'falling'"),
        ({"params": [1]}, "params", "must be an object"),
        ({}, "params", "nothing would be different"),
        ({"code": "street-dept", "params": {}}, "code", "did you mean 'street-depth'?"),
        ({"code": "zzz", "kind": "threshold"}, "code", "a new one needs property, params"),
        ({"code": "Not Good", "params": {}}, "code", "lower-case letters"),
        ({**EXTRA, "kind": "speed", "params": {}}, "kind", "no kind of a town's rules"),
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
        ({"code": "other-range", "kind": "gross_range", "property": "depth_m",
          "params": {"sensor_span": [0, 5]}}, "kind",
         "is gross_range as that of the rule 'contact-range', which holds at 'c1' too"),
        ({"params": LOW, "valid_from": "2020-01-01"}, "valid_from", "has passed"),
        ({"params": LOW, "valid_from": "2190-01-01T00:00:00Z"}, "valid_from", "two years ahead"),
        ({"params": LOW, "valid_from": "soon"}, "valid_from", "is not a time"),
        ({"colour": "red"}, "colour", "is not permitted"),
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


def test_a_rule_of_a_later_day_waits_for_it(api, seed, write):
    """What is left out stays as it will be in force by then, not as it is now."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    local = (at + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S")  # the town's time
    later = at + timedelta(days=1)
    made = write({"code": "street-depth", "site": "ekimae", "params": LOW, "valid_from": local})
    assert (made["site"], made["version"]) == ("ekimae", 2)
    assert datetime.fromisoformat(made["valid_from"]) == at
    assert of(api, "street-depth") == [(None, None, 1)]
    then = write({"code": "street-depth", "site": "ekimae", "params": {"noise": 0.02},
                  "valid_from": later.isoformat()})  # fmt: skip
    assert (then["params"]["noise"], then["params"]["levels"][0]["on"]) == (0.02, 0.03)
    soon = write({"code": "street-depth", "site": "ekimae", "params": {"noise": 0.01}})
    assert soon["params"]["levels"][0]["on"] == 0.05
    in_force = [
        [one["version"] for one in api.ok("/sakata/rules", at=when.isoformat())
         if one["code"] == "street-depth"]
        for when in (at - timedelta(seconds=1), at, later)
    ]  # fmt: skip
    assert in_force == [[1, 4], [1, 2], [1, 3]]
    with seed.database.transaction() as conn:
        changes = [one.change for one in audit.entries(conn, seed.town.tenant_id, "street-depth")]
    assert [one.get("valid_from") for one in changes] == [None, later.isoformat(), at.isoformat()]


def test_a_second_rule_of_a_kind_is_taken_where_the_first_does_not_hold(write):
    span = {"kind": "gross_range", "property": "depth_m", "params": {"sensor_span": [0, 5]}}
    other = {"code": "other-range", "device": "f1", **span}
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    # Also where the first is to be switched off and will be on again, or begins later.
    write({"code": "depth-range", "device": "f1", "enabled": False})
    write(other)
    for body in ({"enabled": True}, {"inherits": True}, {"enabled": True, "valid_from": at}):
        refused = write({"code": "depth-range", "device": "f1", **body}, status=422)
        assert "the rule 'other-range'" in refused["errors"][0]["message"]
    write({"code": "other-range", "device": "f1", "enabled": False})
    write({"code": "depth-range", "device": "f1", "enabled": True, "valid_from": at})
    refused = write({"code": "other-range", "device": "f1", "enabled": True}, status=422)
    assert "the rule 'depth-range', which holds at 'f1' too" in refused["errors"][0]["message"]
    # Levels may be watched by two rules, and silence of one device by one.
    write({**EXTRA, "code": "street-depth-too", "property": "depth_m"})
    silence = {"code": "quiet", "kind": "silence", "property": "link", "params": {}}
    assert write({**silence, "device": "f1"}, status=422)["errors"][0]["field"] == "kind"


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
        Database(database_dsn.gateway, name="test-gateway", answer_within_s=60) as database,
        psycopg.connect(database_dsn.gateway, autocommit=True) as listener,
    ):
        listener.execute("listen mizumori_config")
        door = Door(database, seed.town.tenant_id)
        door.load()
        door.take([(stream, milliseconds(), 0.04)])
        assert seed.one("select count(*) from alert") == 0
        write({"code": "street-depth", "device": "f1", "params": LOW})
        [heard] = [json.loads(one.payload) for one in listener.notifies(timeout=30, stop_after=1)]
        assert heard == {"kind": "rule"}
        door.load()  # what a gateway does when it hears that
        door.take([(stream, milliseconds(), 0.04)])
    assert seed.one(alerts) == 1


def milliseconds():
    return int(datetime.now(UTC).timestamp() * 1000) + 1
