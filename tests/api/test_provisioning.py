"""Sites and devices written through the API: with a token, field by field, and written down."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deploy.broker.secrets import matches
from deploy.provisioning import provisioning
from deploy.settings import Settings
from detectors.sentence import Sentence
from store import audit, newcomers, provisioning_tokens, town_catalog
from tests.api import japanese
from tests.api.conftest import serving

SITE = {"code": "minato", "kind": "street", "name": {"ja": "港町", "en": "Minato"}}
DEVICE = {"code": "minato-1", "kind": "flood_level", "name": {"ja": "港1", "en": "Minato 1"}}


@pytest.fixture
def token(seed):
    return add_token(seed, "sakata-works")


def add_token(seed, name, town=None, days=1):
    token = provisioning_tokens.new_token()
    with seed.database.transaction() as conn:
        town = town or seed.town
        provisioning_tokens.add(conn, town.tenant_id, name, token, timedelta(days=days))
    return token


@pytest.fixture
def write(api, token):
    def send(method, path, body=None, *, shown=token):
        headers = {} if shown is None else {"Authorization": f"Bearer {shown}"}
        answer = api.client.request(method, f"/api/v1{path}", json=body, headers=headers)
        if answer.is_error:
            headers |= japanese.ASKED
            japanese.said(api.client.request(method, f"/api/v1{path}", json=body, headers=headers))
        return answer

    return send


def problem(answer, status, slug):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:mizumori:problem:{slug}"
    assert body["title_ja"]
    return {one["field"]: one["message"] for one in body["errors"]}


def entries(seed):
    with seed.database.transaction() as conn:
        return audit.entries(conn, seed.town.tenant_id)


def test_a_site_is_added_changed_and_written_down(api, seed, write):
    made = write("POST", "/sakata/sites", {**SITE, "lat": 38.9, "lon": 139.8, "close_at_m": 0.1})
    assert made.status_code == 201
    assert made.json() == {**SITE, "lat": 38.9, "lon": 139.8, "close_at_m": 0.1,
                           "crew_minutes": None, "ground_m": None}  # fmt: skip
    changed = write("PATCH", "/sakata/sites/minato", {"crew_minutes": 25, "lat": None, "lon": None})
    assert changed.json()["crew_minutes"] == 25
    assert changed.json()["lat"] is None
    assert [one["code"] for one in api.ok("/sakata/sites")] == ["ekimae", "minato", "pond-1"]
    newest, before = entries(seed)[:2]
    assert (newest.action, newest.subject, newest.writer) == ("site.set", "minato", "sakata-works")
    assert newest.change == {"crew_minutes": 25, "lat": None, "lon": None}
    assert (before.action, before.by_token) == ("site.add", True)
    # Who lies lower is different now: its street sensors are held against each other anew.
    assert write("PATCH", "/sakata/sites/ekimae", {"ground_m": 3.4}).json()["ground_m"] == 3.4
    due = "select array_agg(datastream_id order by 1) from review_due where work = 'flood'"
    assert seed.one(due) == sorted(seed.streams[one, "depth_m"] for one in ("c1", "f1"))


def test_a_device_is_added_with_a_secret_that_is_shown_once(api, seed, write):
    body = {**DEVICE, "site": "ekimae", "codec": "senml-json", "map": ["level=depth_m*0.01"],
            "datastreams": [{"property": "depth_m", "unit": "m"}]}  # fmt: skip
    made = write("POST", "/sakata/devices", body)
    assert made.status_code == 201, made.text
    device, access = made.json()["device"], made.json()["access"]
    assert (device["code"], device["site"]["code"], device["state"]) == (
        "minato-1", "ekimae", "active",
    )  # fmt: skip
    assert device["expected_interval_s"] == 60
    assert device["link"]["state"] == "unknown"
    assert access["user"] == "sakata/minato-1"
    assert access["topic"] == "mz/v1/sakata/d/minato-1/up"
    stored = seed.one("select secret_hash from device where code = 'minato-1'")
    assert matches(access["secret"], stored)
    assert seed.one("select codec_params->'map'->'level'->>'scale' from device "
                    "where code = 'minato-1'") == "0.01"  # fmt: skip
    assert access["secret"] not in api.get("/sakata/devices/minato-1").text
    assert all(access["secret"] not in str(one.change) for one in entries(seed))
    again = write("POST", "/sakata/devices/minato-1/secret").json()
    assert again["secret"] != access["secret"]
    stored = seed.one("select secret_hash from device where code = 'minato-1'")
    assert matches(again["secret"], stored)


def test_a_device_is_changed_and_what_is_left_out_stays(write):
    write("POST", "/sakata/devices", DEVICE)
    changed = write(
        "PATCH",
        "/sakata/devices/minato-1",
        {"state": "maintenance", "site": "ekimae", "lat": 38.5, "lon": 139.5,
         "expected_interval_s": 120, "name": {"ja": "港", "en": "Port"}},
    ).json()  # fmt: skip
    assert (changed["state"], changed["site"]["code"], changed["lat"]) == (
        "maintenance", "ekimae", 38.5,
    )  # fmt: skip
    assert (changed["name"]["ja"], changed["expected_interval_s"]) == ("港", 120)
    same = write("PATCH", "/sakata/devices/minato-1", {"site": None}).json()
    assert same["site"] is None
    assert (same["state"], same["lat"]) == ("maintenance", 38.5)
    grown = write("POST", "/sakata/devices/minato-1/datastreams",
                  {"property": "turbidity_ntu", "unit": "NTU"})  # fmt: skip
    assert grown.status_code == 201
    assert [one["property"] for one in grown.json()["datastreams"]] == [
        "depth_m", "battery_v", "turbidity_ntu",
    ]  # fmt: skip


def test_one_language_of_a_name_stands_in_for_the_other(write):
    def named(ja, en, **more):
        return {**more, "name": {"ja": ja, "en": en}}

    site = write("POST", "/sakata/sites", named("　", "Station", code="s9", kind="street")).json()
    assert site["name"] == {"ja": "Station", "en": "Station"}
    device = named("", "", code="d9", kind="flood_level")
    added = write("POST", "/sakata/devices", device).json()["device"]
    assert added["name"] == {"ja": "d9", "en": "d9"}
    changed = write("PATCH", "/sakata/devices/d9", named("駅前　水位計", " ")).json()
    assert changed["name"] == {"ja": "駅前　水位計", "en": "駅前　水位計"}


def test_a_mapping_stays_unless_the_change_speaks_of_it(seed, write):
    body = {**DEVICE, "codec": "senml-json", "map": ["level=depth_m*0.01"]}
    assert write("POST", "/sakata/devices", body).status_code == 201
    code = DEVICE["code"]

    def mapped(change):
        assert write("PATCH", f"/sakata/devices/{code}", change).status_code == 200
        return (
            seed.one("select codec from device where code = %s", code),
            seed.one("select codec_params -> 'map' ? 'level' from device where code = %s", code),
        )

    for change in ({"codec": None}, {"codec": "senml-json"}, {"model": ""}, {"map": body["map"]}):
        assert mapped(change) == ("senml-json", True), change
    assert mapped({"map": None}) == ("senml-json", False)
    assert mapped({"map": body["map"]}) == ("senml-json", True)
    assert mapped({"codec": "native"}) == ("native", False)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"code": "a b"}, "code", "not allowed: letters, digits"),
        ({"code": ""}, "code", "not allowed"),
        ({"code": "\x00"}, "code", "not allowed"),
        ({"kind": "drone"}, "kind", "must be one of"),
        ({"lat": 91, "lon": 0}, "lat", "degrees from -90 to 90"),
        ({"lat": 38}, "lon", "is missing: lat alone is no position"),
        ({"lat": "north", "lon": 0}, "lat", "number"),
        ({"expected_interval_s": -1}, "expected_interval_s", "seconds, more than 0"),
        ({"expected_interval_s": 1e300}, "expected_interval_s", "seconds, more than 0"),
        ({"site": "nowhere"}, "site", "none that this town has"),
        ({"site": "\x00"}, "site", "none that this town has"),
        ({"state": "quarantined"}, "state", "must be one of"),
        ({"name": {"ja": "x" * 300, "en": "x"}}, "name.ja", "longer than 200"),
        ({"name": {"ja": "a\x00", "en": "x"}}, "name.ja", "cannot be shown"),
        ({"name": {"ja": "x"}}, "name.en", "is needed"),
        ({"datastreams": [{"property": "X", "unit": "m"}]}, "datastreams", "'X' is not allowed"),
        ({"colour": "red"}, "colour", "is not permitted"),
    ],
)
def test_each_mistake_is_named_with_its_field_and_nothing_is_written(
    seed, write, change, field, says
):
    before = seed.one("select count(*) from device")
    answer = write("POST", "/sakata/devices", {**DEVICE, **change})
    assert says in problem(answer, 422, "mistake-in-request")[field]
    assert seed.one("select count(*) from device") == before


def test_a_mapping_that_cannot_be_is_refused_in_words(write):
    for body in ({"codec": "morse"}, {"codec": "senml-json", "map": ["x=nothing"]},
                 {"map": ["x"]}, {"map": ["x=X"]}, {"map": ["x=depth_m:a=b"]},
                 {"map": ["x=depth_m*1e999"]}, {"map": ["x=msg.x"]}, {"map": ["x=fix.x"]},
                 {"model": "no/such"}, {"codec": "chirpstack", "model": "no/such"}):  # fmt: skip
        answer = write("POST", "/sakata/devices", {**DEVICE, **body})
        problem(answer, 422, "mistake-in-request")
        assert "This mapping cannot be" in answer.text or "no such datastream" in answer.text


def test_a_taken_code_and_a_missing_one_are_said(write):
    write("POST", "/sakata/devices", DEVICE)
    assert (
        "there already" in problem(write("POST", "/sakata/devices", DEVICE), 409, "taken")["code"]
    )
    write("POST", "/sakata/sites", SITE)
    problem(write("POST", "/sakata/sites", SITE), 409, "taken")
    problem(write("PATCH", "/sakata/sites/x", {}), 404, "unknown-site")
    problem(write("PATCH", "/sakata/sites/%00", {}), 404, "unknown-site")
    for method, path, body in (
        ("PATCH", "", {}), ("POST", "/secret", None), ("POST", "/approve", {}),
        ("POST", "/test", {"secret": "x"}),
        ("POST", "/datastreams", {"property": "a", "unit": "b"}),
    ):  # fmt: skip
        for code in ("nobody", "%00"):
            answer = write(method, f"/sakata/devices/{code}{path}", body)
            problem(answer, 404, "unknown-device")
    problem(write("POST", "/nowhere/sites", SITE), 404, "unknown-town")


def test_without_a_valid_token_of_the_town_nothing_is_written(api, seed, write):
    other = seed.add_town("tsuruoka")
    foreign = add_token(seed, "other", other)
    expired = add_token(seed, "late", days=-1)
    revoked = add_token(seed, "gone")
    with seed.database.transaction() as conn:
        provisioning_tokens.revoke(conn, seed.town.tenant_id, "gone")
    for shown in (None, "x", "mzt_" + "0" * 32, "x" * 5000, foreign, expired, revoked):
        answer = write("POST", "/sakata/sites", SITE, shown=shown)
        problem(answer, 401, "token-needed")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "mizumori token add sakata" in answer.json()["detail"]
        # A stranger is not told what is wrong with the body.
        problem(write("POST", "/sakata/devices", {}, shown=shown), 401, "token-needed")
    wrong = api.client.post("/api/v1/sakata/sites", json=SITE, auth=("user", "password"))
    problem(wrong, 401, "token-needed")
    assert [one["code"] for one in api.ok("/sakata/sites")] == ["ekimae", "pond-1"]
    assert write("POST", "/tsuruoka/sites", SITE, shown=foreign).status_code == 201


def test_a_newcomer_is_approved_with_what_it_was_heard_to_send(api, seed, write):
    town = seed.town.tenant_id
    with seed.database.transaction() as conn:
        town_catalog.set_tenant(conn, town, {"register_per_day": 3})
        for code in ("new-1", "new-2"):
            learned = newcomers.Learned("t", ("water_temp_c", "battery_v"))
            assert newcomers.register(conn, town, code, learned)
    registration = api.ok("/sakata/quarantine/summary")["registration"]
    assert registration == {"per_day": 3, "today": 2, "waiting": 2}
    refused = write("PATCH", "/sakata/devices/new-1", {"state": "active"})
    assert "until it is approved" in problem(refused, 422, "mistake-in-request")["state"]
    approved = write("POST", "/sakata/devices/new-1/approve", {"name": {"ja": "新池", "en": "New"}})
    assert approved.status_code == 200, approved.text
    device = approved.json()
    assert (device["state"], device["kind"], device["name"]["ja"]) == (
        "active",
        "pond_probe",
        "新池",
    )
    assert [one["property"] for one in device["datastreams"]] == ["water_temp_c", "battery_v"]
    assert device["link"]["state"] == "unknown"
    assert seed.one("select device_code from replay_request") == "new-1"
    again = write("POST", "/sakata/devices/new-1/approve", {})
    assert "nothing to approve" in problem(again, 422, "mistake-in-request")["state"]
    said = {"kind": "flood_level", "datastreams": [{"property": "depth_m", "unit": "m"}]}
    reading = {"codec": "json", "map": ["level=depth_m*0.01", "at=msg.time_s"]}
    missing = write("POST", "/sakata/devices/new-2/approve", reading | {"kind": "plow"})
    assert "the device has no such datastream" in missing.json()["detail"]
    other = write("POST", "/sakata/devices/new-2/approve", said | reading)
    assert (other.json()["kind"], other.json()["expected_interval_s"]) == ("flood_level", 60)
    codec = "select codec, codec_params->'map'->'level'->>'property' from device where code = %s"
    with seed.database.transaction() as conn:
        assert conn.execute(codec, ("new-2",)).fetchall() == [("json", "depth_m")]


def test_the_quarantine_is_listed_and_counted_by_device_and_reason(api, seed):
    for device, reason, replayed in (
        ("f1", "bad_payload", False), ("f1", "bad_payload", True), ("f1", "empty", False),
        (None, "bad_topic", False),
    ):  # fmt: skip
        seed.execute(
            "insert into quarantine (tenant_id, received_time, topic, payload, device_code, reason,"
            " replayed_at) values (%s, now(), 't', 'x', %s, %s, case when %s then now() end)",
            seed.town.tenant_id, device, reason, replayed,
        )  # fmt: skip
    seed.execute(
        "insert into quarantine_overflow values (%s, 'f1', now(), 'bad_payload', 70),"
        " (%s, '', now(), 'unknown_device', 5)", seed.town.tenant_id, seed.town.tenant_id,
    )  # fmt: skip
    summary = api.ok("/sakata/quarantine/summary")
    assert (summary["waiting"], summary["beyond"]) == (3, 75)
    rows = [
        (one["device"], one["reason"], one["waiting"], one["replayed"], one["beyond"])
        for one in summary["counts"]
    ]
    assert rows == [
        ("f1", "bad_payload", 1, 1, 70),
        (None, "unknown_device", 0, 0, 5),
        (None, "bad_topic", 1, 0, 0),
        ("f1", "empty", 1, 0, 0),
    ]
    listed = api.ok("/sakata/quarantine", device="f1", reason="bad_payload")["items"]
    assert len(listed) == 2
    waiting = api.ok("/sakata/quarantine", device="f1", reason="bad_payload", waiting=True)
    assert len(waiting["items"]) == 1
    assert api.ok("/sakata/quarantine", device="nobody\x00")["items"] == []


def test_a_body_beyond_the_limit_is_answered_and_not_kept(api, token):
    headers = {"Authorization": f"Bearer {token}"}
    large = b'{"x": "' + b"a" * 2_000_000 + b'"}'
    for path in ("sites", "devices", "backtest"):
        for content in (large, iter([large[:1_000_000], large[1_000_000:]])):
            answer = api.client.post(f"/api/v1/sakata/{path}", content=content, headers=headers)
            problem(answer, 413, "too-large")
            assert "at most 1048576 bytes (api.max_body_bytes)" in answer.json()["detail"]


def test_a_wrong_time_zone_of_a_town_is_said_and_is_no_fault_of_the_program(api, seed):
    seed.execute("update tenant set time_zone = 'Asia/Tokio'")
    body = api.problem("/sakata/overview", 503, "town-setting")
    assert "mizumori tenant set sakata --time-zone Asia/Tokyo" in body["detail"]
    assert api.get("/towns").status_code == 200


def test_how_far_a_test_message_came_is_said_in_the_language_asked_for(database_dsn, token):
    said = Sentence("The MQTT broker at {where} does not answer", where="broker:1883")
    unreachable = replace(provisioning(Settings()), publish_probe=lambda *_: said)
    headers = {"Authorization": f"Bearer {token}", **japanese.ASKED}
    with serving(database_dsn.api, provisioning=unreachable) as api:
        answer = api.client.post(
            "/api/v1/sakata/devices/f1/test", json={"secret": "x"}, headers=headers
        )
    assert answer.headers["content-language"] == "ja"
    assert answer.json() == {
        "arrived": False,
        "detail": "broker:1883 の MQTT ブローカーが応答しません",
    }
