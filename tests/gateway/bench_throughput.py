"""How fast a gateway drains a full queue: ``pytest tests/gateway/bench_throughput.py -s``.

The publisher is done before the gateway starts, so that the two do not share the processor; the
broker and the database do.
"""

import cProfile
import json
import os
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway import metrics
from store import device_catalog
from store.device_catalog import NewDevice
from tests.fixtures.broker import TOWN, NatsServer, wait_until
from tests.gateway.conftest import NOW_MS, Town

DEVICES = 1000
PROFILE = os.environ.get("PROFILE")


@pytest.fixture
def fast_town(postgres, database_dsn, tmp_path_factory):
    broker = NatsServer(
        Path(tmp_path_factory.mktemp("bench")), sync="fast", window_messages=1000, ack_wait_s=15
    )
    broker.add_town(TOWN, ("flood-01",), window_messages=1000, ack_wait_s=15, queue_bytes=512 << 20)
    broker.start()
    town = Town(database_dsn, broker, "nats", postgres.dsn)
    with town.owner.transaction():
        device_catalog.add_devices(town.owner, town.tenant_id, [
            NewDevice(f"bench-{i:04}", "flood_level", "冠水計", "Flood", 60, site="honmachi")
            for i in range(DEVICES)])  # fmt: skip
    yield town
    town.close()
    broker.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("messages", "readings"), [(60_000, 1), (30_000, 20)])
def test_drain(fast_town, messages, readings):
    town = fast_town
    town.start().stop()
    account = town.broker.account
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bench")
    client.username_pw_set(account.gateway_user, account.gateway_password)
    client.max_inflight_messages_set(2000)
    client.max_queued_messages_set(0)
    client.connect(town.broker.host, town.broker.mqtt_port)
    client.loop_start()
    started = time.monotonic()
    last = None
    for i in range(messages):
        device, round_number = i % DEVICES, i // DEVICES
        at = NOW_MS + 1000 * round_number * readings
        one = [
            {
                "ts": at + 1000 * k,
                "seq": round_number * readings + k,
                "m": {"depth_m": (device % 9) / 1000},
            }
            for k in range(readings)
        ]
        last = client.publish(
            f"mz/v1/{TOWN}/d/bench-{device:04}/up",
            json.dumps(one[0] if readings == 1 else one),
            qos=1,
        )
        if i % 2000 == 0:
            last.wait_for_publish(30)
    last.wait_for_publish(60)
    time.sleep(1)
    client.disconnect()
    client.loop_stop()
    print(f"\npublished {messages} in {time.monotonic() - started:.1f} s")
    settings = {"batch_readings": int(os.environ.get("BATCH", "20000"))}
    before = metrics.READINGS._value.get()  # counting the rows would keep the database busy
    profiler = cProfile.Profile()
    processor = time.process_time()
    started = time.monotonic()
    gateway = town.start(**settings) if not PROFILE else start_profiled(town, profiler, settings)
    wait_until(lambda: metrics.READINGS._value.get() - before >= messages * readings, 300)
    seconds = time.monotonic() - started
    print(
        f"{messages} messages of {readings}: {messages / seconds:,.0f} messages/s, "
        f"{messages * readings / seconds:,.0f} readings/s, {seconds:.1f} s; "
        f"processor time of the gateway {time.process_time() - processor:.1f} s"
    )
    gateway.stop()
    if PROFILE:
        profiler.dump_stats(PROFILE)


def start_profiled(town, profiler, settings):
    from gateway.worker import Worker

    original = Worker.run

    def run(self, stop):
        profiler.enable()
        try:
            original(self, stop)
        finally:
            profiler.disable()

    Worker.run = run
    return town.start(**settings)
