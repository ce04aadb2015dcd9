"""From an empty town to devices that are believed, by commands and by the API, for real."""

import csv
import json
import re
import stat
from datetime import timedelta

import httpx
import psycopg
import pytest

from deploy.broker.mqtt_client import Login, MqttAddress, publish
from store import broker_accounts
from tests.fixtures.broker import wait_until

SHEET = """\
地点,地点の種類,地点名,機器,種類,機器名
ekimae,アンダーパス,駅前地下道,ekimae-1,水位センサー,駅前1
ekimae,,,ekimae-2,接触式冠水センサー,駅前2
"""
BASE_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def town(system):
    done = system.run("tenant", "add", "kawabe", "--name-ja", "川辺町", "--name-en", "Kawabe")
    assert done.returncode == 0, done.stderr
    return Town(system)


class Town:
    def __init__(self, system):
        self.system = system
        self.address = MqttAddress("127.0.0.1", system.mqtt_port)
        self._token = ""

    def run(self, *words):
        return self.system.run(*words)

    def ok(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, done.stderr + self.system.logs()
        return done.stdout

    def rows(self, sql, *parameters):
        with psycopg.connect(self.system.dsn()) as conn:
            return conn.execute(sql, parameters).fetchall()

    def as_gateway(self, code, *payloads):
        """Publish as somebody who may speak for any device: a bridge, a network server."""
        with psycopg.connect(self.system.dsn()) as conn:
            [account] = broker_accounts.list_accounts(conn)
        bodies = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in payloads]
        messages = [(f"mz/v1/kawabe/d/{code}/up", body) for body in bodies]
        publish(self.address, Login.gateway_of(account), messages)

    def as_device(self, user, secret, payload):
        town, code = user.split("/")
        topic = f"mz/v1/{town}/d/{code}/up"
        publish(self.address, Login(user, secret), [(topic, json.dumps(payload).encode())])

    def api(self, method, path, body=None):
        if not self._token:
            self._token = re.search(r"mzt_\w+", self.ok("token", "add", "kawabe", "works"))[0]
        return httpx.request(
            method, f"{self.system.url}/api/v1/kawabe{path}", json=body, timeout=60,
            headers={"Authorization": f"Bearer {self._token}"},
        )  # fmt: skip

    def values(self, code):
        return [
            value
            for (value,) in self.rows(
                "select value from observation join datastream using (datastream_id) "
                "join device using (device_id) where code = %s order by value", code,
            )
        ]  # fmt: skip


def test_a_sheet_of_a_town_hall_gives_devices_that_may_send(town, tmp_path):
    sheet, secrets = tmp_path / "機器.csv", tmp_path / "secrets.csv"
    sheet.write_bytes(SHEET.encode("cp932"))
    said = town.ok("device", "import", "kawabe", str(sheet), "--dry-run")
    assert "devices: 2 would be added" in said
    said = town.ok("device", "import", "kawabe", str(sheet), "--secrets", str(secrets))
    assert f"2 secrets are in {secrets}" in said
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    with secrets.open() as file:
        [first, _] = list(csv.DictReader(file))

    def may_send():
        try:
            town.as_device(first["user"], first["secret"], {"ts": BASE_MS, "m": {"depth_m": 0.25}})
        except Exception as error:  # noqa: BLE001 - the broker learns of it within a second
            return str(error) == ""
        return True

    wait_until(may_send)
    wait_until(lambda: town.values("ekimae-1") == [0.25], message=town.system.logs)
    assert "駅前地下道" in town.ok("site", "list", "kawabe")
    again = town.ok("device", "import", "kawabe", str(sheet))
    assert "2 as they were" in again
    assert "user,secret" not in again
    exported = tmp_path / "out.csv"
    town.ok("device", "export", "kawabe", str(exported), "--language", "ja", "--encoding", "cp932")
    assert "駅前地下道" in exported.read_bytes().decode("cp932")
    sheet.write_text("device,kind\nx y,plow\nz,boat\n")
    refused = town.run("device", "import", "kawabe", str(sheet))
    assert refused.returncode == 1
    assert "Line 2 code 'x y' is not allowed" in refused.stderr
    assert "Line 3 kind 'boat' is none of" in refused.stderr
    assert "2 rows are wrong: nothing was written." in refused.stderr


def proven(town, secret):
    """Try a test message; return the answer once it has arrived."""
    answer = town.api("POST", "/devices/api-1/test", {"secret": secret}).json()
    return answer if answer["arrived"] else None


def test_a_device_of_the_api_is_proven_by_a_test_message(town):
    made = town.api("POST", "/devices", {"code": "api-1", "kind": "flood_level",
                                         "name": {"ja": "一", "en": "One"}})  # fmt: skip
    assert made.status_code == 201, made.text + town.system.logs()
    secret = made.json()["access"]["secret"]
    # On a busy machine the broker may know it, or the gateway see it, only after the answer.
    proof = wait_until(lambda: proven(town, secret), message=town.system.logs)
    assert proof == {"arrived": True, "detail": ""}
    wrong = town.api("POST", "/devices/api-1/test", {"secret": "0" * 32}).json()
    assert wrong["arrived"] is False
    assert "does not let 'kawabe/api-1' in" in wrong["detail"]
    town.as_device("kawabe/api-1", secret, {"ts": BASE_MS, "m": {"depth_m": 0.5}})
    wait_until(lambda: town.values("api-1") == [0.5])
    history = town.ok("device", "history", "kawabe", "api-1")
    assert "token works" in history
    assert "device.add" in history
    assert secret not in history
    assert "last wrote" in town.ok("token", "list", "kawabe")


@pytest.mark.parametrize("door", ["command", "api"])
def test_an_unknown_device_waits_for_approval_and_loses_nothing(town, door):
    code = f"new-{door}"
    town.ok("tenant", "set", "kawabe", "--register-per-day", "5")
    town.as_gateway(code, {"ts": BASE_MS, "m": {"depth_m": 0.1, "battery_v": 3.5}})
    state = "select state from device where code = %s"
    wait_until(lambda: town.rows(state, code) == [("quarantined",)], message=town.system.logs)
    town.as_gateway(
        code,
        {"ts": BASE_MS + 1000, "m": {"depth_m": 0.2}},
        {"seq": 7, "m": {"depth_m": 0.3}},  # without a time
        {"m": {"depth_m": 0.4}},
        b"never good",
    )
    refused = "select count(*) from quarantine where device_code = %s and replayed_at is null"
    wait_until(lambda: town.rows(refused, code) == [(5,)])
    assert town.values(code) == []
    assert code in town.ok("quarantine", "count", "kawabe")
    before = town.rows(
        "select received_time from quarantine where device_code = %s order by 1", code
    )
    if door == "command":
        said = town.ok("device", "approve", "kawabe", code, "--site", "ekimae")
        assert "Of its 5 refused messages 4 came again. 1 are still refused" in said
    else:
        answer = town.api("POST", f"/devices/{code}/approve", {"site": "ekimae"})
        assert answer.status_code == 200, answer.text
        wait_until(lambda: town.rows(refused, code) == [(1,)], message=town.system.logs)
    wait_until(lambda: len(town.values(code)) == 5, message=town.system.logs)
    assert town.values(code) == [0.1, 0.2, 0.3, 0.4, 3.5]
    assert "0 replayed" in town.ok("quarantine", "replay", "kawabe", "--device", code)
    [(low, high)] = town.rows(
        "select min(phenomenon_time), max(phenomenon_time) from observation "
        "join datastream using (datastream_id) join device using (device_id) "
        "where code = %s and value in (0.3, 0.4)", code,
    )  # fmt: skip
    # As first received, not as replayed; two of one millisecond stand beside each other.
    assert before[0][0] <= low < high <= before[-1][0] + timedelta(milliseconds=10)
    town.as_gateway(code, {"ts": BASE_MS + 5000, "m": {"depth_m": 0.6}})
    wait_until(lambda: len(town.values(code)) == 6)


def test_a_datastream_is_added_to_a_device_and_what_was_refused_comes_in(town):
    wanted = {"code": "more-1", "kind": "flood_level", "name": {"ja": "一", "en": "One"}}
    assert town.api("POST", "/devices", wanted).status_code == 201
    town.as_gateway("more-1", {"ts": BASE_MS, "m": {"turbidity_ntu": 12.5}})
    refused = "select reason from quarantine where device_code = 'more-1' and replayed_at is null"
    wait_until(lambda: town.rows(refused), message=town.system.logs)
    assert town.values("more-1") == []
    said = town.ok("device", "set", "kawabe", "more-1", "--datastream", "turbidity_ntu:NTU")
    assert "more-1 is changed." in said
    assert "mizumori quarantine replay kawabe --device more-1" in said

    def replayed():  # before the gateway has heard of it, it is refused once more
        town.ok("quarantine", "replay", "kawabe", "--device", "more-1")
        return town.values("more-1") == [12.5]

    wait_until(replayed, message=town.system.logs)
    assert "datastream.add" in town.ok("device", "history", "kawabe", "more-1")


def test_changes_by_command_are_said_refused_and_written_down(town):
    town.ok("device", "add", "kawabe", "cli-1", "--kind", "plow")
    assert "changed" in town.ok(
        "device", "set", "kawabe", "cli-1", "--state", "out_of_season", "--lat", "38.5",
        "--lon", "139.5", "--name-ja", "除雪車", "--interval-s", "20",
    )  # fmt: skip
    assert "as it was" in town.ok("device", "set", "kawabe", "cli-1", "--name-ja", "除雪車")
    shown = town.ok("device", "show", "kawabe", "cli-1")
    assert "out_of_season" in shown
    assert "38.5, 139.5" in shown
    town.ok("device", "set", "kawabe", "cli-1", "--no-position", "--state", "active")
    town.ok("site", "add", "kawabe", "depot", "--kind", "depot", "--name-ja", "車庫")
    town.ok("site", "set", "kawabe", "depot", "--lat", "38.9", "--lon", "139.9")
    town.ok("device", "secret", "kawabe", "cli-1")
    for words, says in (
        (("device", "set", "kawabe", "nobody", "--state", "active"), "no device 'nobody'"),
        (("device", "set", "kawabe", "cli-1", "--lat", "91", "--lon", "0"), "lat 91 is not"),
        (("device", "set", "kawabe", "cli-1", "--site", "moon"), "add the site first"),
        (("device", "set", "kawabe", "cli-1", "--state", "retired", "--datastream", "a:b",
          "--datastream", "a:c"), "'a' is there already"),
        (("device", "set", "kawabe", "cli-1", "--datastream", "A:b"), "'A' is not allowed"),
        (("device", "approve", "kawabe", "cli-1"), "there is nothing to approve"),
        (("site", "set", "kawabe", "depot", "--close-at-m", "-1"), "metres, from 0 on"),
        (("site", "add", "kawabe", "depot", "--kind", "depot"), "is there already"),
        (("tenant", "set", "kawabe", "--time-zone", "Asia/Tokio"), "'Asia/Tokio' is not known"),
        (("tenant", "add", "x", "--name-ja", "x", "--name-en", "x", "--time-zone", "../x"),
         "'../x' is not known"),
        (("token", "revoke", "kawabe", "nobody"), "no token 'nobody'"),
    ):  # fmt: skip
        done = town.run(*words)
        assert done.returncode == 1, words
        assert says in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert "retired" not in town.ok("device", "show", "kawabe", "cli-1")
    history = town.ok("device", "history", "kawabe", "cli-1")
    assert "terminal:" in history
    assert '{"withdrawn": false}' in history


def test_a_town_of_an_older_version_gets_the_rules_that_are_new(town):
    town.ok("tenant", "add", "sawa", "--name-ja", "沢町", "--name-en", "Sawa")
    assert town.ok("tenant", "rules", "sawa") == "sawa has 0 new rules.\n"
    town.rows(
        "delete from rule using tenant where tenant.code = 'sawa' and rule.code = 'pond-ph-drift'"
        " and rule.tenant_id = tenant.tenant_id returning rule_id"
    )
    said = town.ok("tenant", "rules", "sawa")
    assert "pond-ph-drift" in said
    assert "sawa has 1 new rules." in said
    assert "There is no town nowhere" in town.run("tenant", "rules", "nowhere").stderr
