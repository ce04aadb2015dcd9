"""The bridge of docs/devices.md, between a network server's Mosquitto and our broker."""

import json
import pathlib
import re
import subprocess
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from psycopg.types.json import Jsonb

from tests.fixtures.broker import mosquitto_binary, wait_until
from tests.fixtures.ports import free_port
from tests.gateway.pushing import admit
from tests.gateway.test_lorawan import CHIRPSTACK

DOCS = pathlib.Path(__file__).parents[2] / "docs"
EUI = "24e1000000000001"
TOPIC = "application/+/device/{device}/event/up"


def bridge_in(page):
    match = re.search(r"<!-- bridge: .*? -->\n```\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return match[1]


def test_both_languages_show_the_same_bridge():
    assert bridge_in("devices.md") == bridge_in("devices.ja.md")


def test_the_bridge_is_of_the_operator_that_the_page_adds():
    for page in ("devices.md", "devices.ja.md"):
        text = (DOCS / page).read_text()
        assert f"operator add kawabe chirpstack --codec chirpstack --topic '{TOPIC}'" in text
    assert "remote_username kawabe/@chirpstack\n" in bridge_in("devices.md")


def test_uplinks_come_from_a_network_servers_broker_into_the_database(town, tmp_path):
    town.owner.execute(
        "update device set code = %s, codec = 'chirpstack', codec_params = %s "
        "where code = 'flood-01'",
        (EUI, Jsonb({"model": "milesight/em500-swl",
                     "map": {"water_level": {"property": "depth_m", "scale": 0.01}}})),
    )  # fmt: skip
    town.start()
    secret = admit(town, "chirpstack", "chirpstack", TOPIC)
    bridge = bridge_in("devices.md")
    for old, new in (
        ("MIZUMORI:1883", f"{town.broker.host}:{town.broker.mqtt_port}"), ("SECRET", secret),
    ):  # fmt: skip
        assert old in bridge
        bridge = bridge.replace(old, new)
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n{bridge}")
    server = subprocess.Popen(
        [mosquitto_binary(), "-c", str(config)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    try:

        def connected():
            try:
                return client.connect("127.0.0.1", port) == 0
            except OSError:
                return False

        wait_until(connected, message="Mosquitto did not start")
        client.loop_start()
        uplink = CHIRPSTACK | {"time": datetime.now(UTC).isoformat()}
        topic = f"application/app-1/device/{EUI}/event"
        client.publish(f"{topic}/join", "{}", qos=1).wait_for_publish(60)
        client.publish(f"{topic}/up", json.dumps(uplink), qos=1).wait_for_publish(60)
        town.wait_for("select count(*) from observation", 1)
        assert town.value("select value from observation") == 0.02
        assert town.value("select count(*) from quarantine") == 0
    finally:
        client.disconnect()
        client.loop_stop()
        server.terminate()
        server.wait(60)
