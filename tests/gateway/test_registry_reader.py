"""A changed configuration is read while readings are committed, and what nobody knows is not."""

import json
import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway import registry, registry_reader
from gateway.service import Gateway
from tests.fixtures.broker import wait_until
from tests.gateway.conftest import NOW_MS

COUNT = "select count(*) from observation"
REFUSED = "select count(*) from quarantine where reason = %s"
CHANGED = "select pg_notify('mizumori_config', '{\"kind\": \"device\"}')"


def reading(seconds):
    return {"ts": NOW_MS + 1000 * seconds, "m": {"depth_m": 0.01}}


@pytest.fixture
def reading_is_held(monkeypatch):
    """Hold up whoever reads the registry beside the worker: (was begun, goes on)."""
    begun, goes_on = threading.Event(), threading.Event()

    def held(conn):
        begun.set()
        assert goes_on.wait(60)
        return registry.load(conn)

    monkeypatch.setattr(registry_reader, "load", held)
    yield begun, goes_on
    goes_on.set()


def test_readings_are_committed_while_the_registry_is_read(town, reading_is_held):
    begun, goes_on = reading_is_held
    town.start()
    device = town.device()
    device.publish(reading(0))
    town.wait_for(COUNT, 1)
    town.owner.execute("update device set state = 'quarantined' where code = 'flood-01'")
    town.owner.execute(CHANGED)
    assert begun.wait(60)
    for second in (1, 2, 3):
        device.publish(reading(second))
    town.wait_for(COUNT, 4)
    goes_on.set()

    def refused():
        device.publish(reading(4))
        return town.value(REFUSED, "device_quarantined")

    wait_until(refused)


def test_what_the_store_does_not_know_either_is_not_looked_for_in_all_of_it(town, monkeypatch):
    # It reads everything as soon as it hears of changes, whenever that may be; here of none.
    monkeypatch.setattr(Gateway, "_listen", lambda _: None)
    running = town.start()
    bridge = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bridge")
    bridge.username_pw_set(town.broker.account.gateway_user, town.broker.account.gateway_password)
    bridge.connect(town.broker.host, town.broker.mqtt_port)
    bridge.loop_start()

    def publish(code, payload):
        bridge.publish(f"mz/v1/kawabe/d/{code}/up", json.dumps(payload), qos=1).wait_for_publish(60)

    publish("flood-01", reading(0))
    town.wait_for(COUNT, 1)
    before = running.gateway._worker.registry
    for number in range(5):
        publish(f"nobody-{number}", reading(0))
    publish("flood-01", {"m": {"salt": 1}})
    town.wait_for(REFUSED, 5, "unknown_device")
    town.wait_for(REFUSED, 1, "unknown_property")
    assert running.gateway._worker.registry is before
    # What was made a moment ago is found, though nobody has told of it.
    town.owner.execute(
        "insert into datastream (tenant_id, device_id, property, unit) "
        "select tenant_id, device_id, 'ph', '' from device where code = 'flood-01'"
    )
    publish("flood-01", {"ts": NOW_MS, "m": {"ph": 7.0}})
    town.wait_for(COUNT, 2)
    bridge.disconnect()
    bridge.loop_stop()
