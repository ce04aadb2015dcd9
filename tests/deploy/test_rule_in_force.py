"""A rule that is changed while everything runs decides on the next reading, without a restart."""

import json
import re

import httpx
import psycopg

from deploy.broker.mqtt_client import Login, MqttAddress, publish
from tests.fixtures.broker import wait_until

ALERTS = (
    "select rule_version, level, peak_value from alert join datastream using (datastream_id)"
    " join device using (device_id) where device.code = 'soko-1' and rule_code = 'street-depth'"
)


def test_a_lower_level_of_one_device_raises_an_alert_for_its_next_reading(system):
    def ok(*words):
        done = system.run(*words)
        assert done.returncode == 0, done.stderr + system.logs()
        return done.stdout

    def rows(sql):
        with psycopg.connect(system.dsn()) as conn:
            return conn.execute(sql).fetchall()

    def report(depth_m):
        """Send a reading of now; a new device is let in by the broker within seconds."""
        message = [("mz/v1/soko/d/soko-1/up", json.dumps({"m": {"depth_m": depth_m}}).encode())]
        publish(MqttAddress("127.0.0.1", system.mqtt_port), login, message)

    def let_in():
        try:
            report(0.04)
        except Exception as error:  # noqa: BLE001 - the broker learns of it within a second
            return str(error) == ""
        return True

    ok("tenant", "add", "soko", "--name-ja", "底町", "--name-en", "Soko")
    said = ok("device", "add", "soko", "soko-1", "--kind", "flood_level")
    login = Login("soko/soko-1", re.search(r"Secret +(\w+)", said)[1])
    token = re.search(r"mzt_\w+", ok("token", "add", "soko", "works"))[0]
    wait_until(let_in, message=system.logs)
    wait_until(lambda: rows("select 1 from latest where value = 0.04"), message=system.logs)
    assert rows(ALERTS) == []
    answer = httpx.post(
        f"{system.url}/api/v1/soko/rules", timeout=60, headers={"Authorization": f"Bearer {token}"},
        json={"code": "street-depth", "device": "soko-1",
              "params": {"levels": [{"on": 0.03, "off": 0.01}]}},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    report(0.035)
    assert wait_until(lambda: rows(ALERTS), message=system.logs) == [(2, 1, 0.035)]
    assert "by token works" in ok("rule", "show", "soko", "street-depth")
    said = ok("rule", "set", "soko", "street-depth", "--device", "soko-1", "--level", "1=0.02/0.01")
    assert "1 from 0.02 to 0.01" in said
    assert "terminal:" in ok("device", "history", "soko", "street-depth")
    assert "as for town: 1 from 0.05" in ok(
        "rule", "reset", "soko", "street-depth", "--device", "soko-1"
    )
