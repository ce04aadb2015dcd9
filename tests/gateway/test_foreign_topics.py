"""A network server publishes under its own topics, with one user for all of its devices."""

import json
import threading
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from psycopg.types.json import Jsonb

from gateway.foreign_topic import ForeignTopic
from tests.fixtures.broker import TOWN, wait_until
from tests.gateway.conftest import BROKER, NOW_MS
from tests.gateway.pushing import admit
from tests.gateway.test_lorawan import CHIRPSTACK

CHIRP = "application/+/device/{device}/event/up"
STACK = "v3/app.1@ttn/devices/{device}/up"
TASMOTA = "tele/{device}/SENSOR"
CODECS = {"chirp": "chirpstack"}
COUNT = "select count(*) from observation"
EUI = "24e1000000000001"


class Server:
    """A network server's MQTT client."""

    def __init__(self, broker, code, secret):
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"server-{code}")
        self.client.username_pw_set(f"{TOWN}/@{code}", secret)
        connected = threading.Event()
        self.reason = None

        def on_connect(*answer):
            self.reason = answer[3]
            connected.set()

        self.client.on_connect = on_connect
        self.client.connect(broker.host, broker.mqtt_port)
        self.client.loop_start()
        assert connected.wait(60)

    def publish(self, topic, body):
        body = body if isinstance(body, bytes) else json.dumps(body)
        info = self.client.publish(topic, body, qos=1)
        info.wait_for_publish(60)
        assert info.is_published()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def servers():
    made = []
    yield made
    for server in made:
        server.close()


def connect(town, servers, **topics):
    """Add operators, and connect as the last of them."""
    for code, topic in topics.items():
        secret = admit(town, code, CODECS.get(code, "native"), topic)
        servers.append(Server(town.broker, code, secret))
    return servers[-1]


def rename(town, code, to, codec, **params):
    town.owner.execute(
        "update device set code = %s, codec = %s, codec_params = %s where code = %s",
        (to, codec, Jsonb(params), code),
    )


def test_uplinks_of_one_server_reach_their_devices(town, servers):
    rename(town, "flood-01", EUI, "chirpstack", model="milesight/em500-swl",
           map={"water_level": {"property": "depth_m", "scale": 0.01}})  # fmt: skip
    rename(town, "pond-01", "pond_3", "native")
    town.start()
    chirp = connect(town, servers, chirp=CHIRP)
    stack = connect(town, servers, stack=STACK, tasmota=TASMOTA)
    uplink = CHIRPSTACK | {"time": datetime.now(UTC).isoformat()}
    chirp.publish(f"application/app-1/device/{EUI}/event/up", uplink)
    stack.publish("tele/pond_3/SENSOR", {"ts": NOW_MS, "m": {"ph": 7.1}})
    servers[1].publish("v3/app.1@ttn/devices/pond_3/up", {"ts": NOW_MS + 1, "m": {"ph": 7.2}})
    town.wait_for(COUNT, 3)
    assert sorted(town.rows("select value from observation")) == [(0.02,), (7.1,), (7.2,)]
    assert town.value("select count(*) from quarantine") == 0


def test_a_device_that_the_town_does_not_have_is_kept(town, servers):
    town.start()
    server = connect(town, servers, tasmota=TASMOTA)
    server.publish("tele/new_one/SENSOR", {"Temperature": 3})
    town.wait_for("select count(*) from quarantine", 1)
    assert town.rows("select device_code, reason from quarantine") == [
        ("new_one", "unknown_device")
    ]


@pytest.mark.usefixtures("partitioned")
def test_all_of_many_devices_come_to_their_partitions(town, servers):
    codes = [f"eui{number:04x}" for number in range(40)]
    town.start()
    server = connect(town, servers, tasmota=TASMOTA)
    for code in codes:
        server.publish(f"tele/{code}/SENSOR", {})
    town.wait_for("select count(*) from quarantine", len(codes))
    assert town.rows("select distinct reason from quarantine") == [("unknown_device",)]
    assert len(town.rows("select distinct split_part(topic, '/', 5) from quarantine")) == 4


def test_a_server_reads_nothing_and_writes_nothing_else(town, servers):
    town.start()
    server = connect(town, servers, tasmota=TASMOTA)
    seen = []
    server.client.on_message = lambda *message: seen.append(message[2].topic)
    server.client.subscribe("mz/v1/kawabe/#", qos=1)
    server.publish("mz/v1/kawabe/d/flood-01/status", b'{"online": false}')
    town.device().publish({"ts": NOW_MS, "m": {"depth_m": 0.01}})
    town.wait_for(COUNT, 1)
    assert not seen
    assert town.value("select count(*) from link_event where state = 'offline'") == 0


def test_a_server_speaks_for_devices_of_its_codec_and_for_unknown_ones(town, servers):
    town.start()
    server = connect(town, servers, chirp=TASMOTA)
    said = {"ts": NOW_MS, "m": {"depth_m": 0.9}}
    server.publish("tele/flood-01/SENSOR", said)
    if BROKER == "nats":  # Mosquitto's access list knows its own topics alone
        server.publish("mz/v1/kawabe/d/flood-01/up", said)
        for partition in range(4):
            server.publish(f"mz/v1/kawabe/p/{partition}/d/flood-01/up", said)
    kept = "select count(*) from quarantine where device_code = 'new_one'"
    server.publish("tele/new_one/SENSOR", said)
    town.wait_for(kept, 1)
    assert town.value(COUNT) == 0
    # NATS drops them, as what a device sends to a wrong topic; a relay can keep them.
    assert town.rows("select distinct reason from quarantine where device_code = 'flood-01'") == (
        [] if BROKER == "nats" else [("foreign_codec",)]
    )


def test_a_revoked_server_is_not_let_in(town, servers):
    town.start()
    server = connect(town, servers, tasmota=TASMOTA)
    assert not server.reason.is_failure
    town.broker.operators.clear()
    town.broker.renew()
    wait_until(lambda: not server.client.is_connected())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tele/+/SENSOR", "one level {device}"),
        ("a/{device}/{device}", "one level {device}"),
        ("mz/v1/x/d/{device}/up", "word of its own"),
        ("{device}/up", "word of its own"),
        ("tele/{device}/#", "must be a word"),
        ("tele/{device}/a b", "must be a word"),
        ("tele/{device}/*", "must be a word"),
        ("$SYS/{device}", "must be a word"),
        ("tele//{device}", "must be a word"),
        ("a/" * 12 + "{device}", "more than 12"),
    ],
)
def test_topics_that_cannot_be(text, said):
    with pytest.raises(ValueError, match=r"^.*$") as refused:
        ForeignTopic.parse(text)
    assert said in str(refused.value)


def test_topics_that_meet():
    chirp = ForeignTopic.parse(CHIRP)
    other = ForeignTopic.parse("application/7/device/{device}/+/up")
    assert chirp.overlaps(other)
    assert other.overlaps(chirp)
    assert not chirp.overlaps(ForeignTopic.parse(TASMOTA))
    assert not chirp.overlaps(ForeignTopic.parse("application/+/device/{device}/event/join"))
    assert chirp.device_in(f"application/9/device/{EUI}/event/up") == EUI
    assert chirp.device_in(f"application/9/device/{EUI}/event/join") is None
    assert chirp.device_in("application/9/device/a b/event/up") is None
