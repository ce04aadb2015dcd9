"""What stands at the other end in these tests: a plain client that keeps everything it gets."""

import json
import threading
import time

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


class Desk:
    """Subscribes to readings and status of one town with persistent sessions, QoS 1."""

    def __init__(self, server, account, *, partitioned=True):
        self.readings = []  # (device, sample) in order of arrival
        self.status = []  # (device, online)
        self.retained = {}
        self._arrived = threading.Condition()
        base = f"mz/v1/{account.tenant_code}"
        topics = {f"{n}": f"{base}/p/{n}/d/+/up" for n in range(account.partitions)}
        if not partitioned:
            topics = {"0": f"{base}/d/+/up"}
        topics["s"] = f"{base}/d/+/status"
        self._clients = [self._open(server, account, name, topics[name]) for name in topics]

    def _open(self, server, account, name, topic):
        subscribed = threading.Event()
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"mz-{account.client_id_secret}-{name}",
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        client.username_pw_set(account.gateway_user, account.gateway_password)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = self._on_message
        client.connect(server.host, server.mqtt_port)
        client.loop_start()
        assert subscribed.wait(60)
        return client

    def _on_message(self, _client, _data, message):
        device, leaf = message.topic.split("/")[-2:]
        payload = json.loads(message.payload)
        with self._arrived:
            if leaf == "status":
                self.status.append((device, payload["online"]))
            else:
                samples = payload if isinstance(payload, list) else [payload]
                self.readings += [(device, sample) for sample in samples]
            self._arrived.notify_all()

    def wait(self, condition, timeout_s=60.0):
        until_s = time.monotonic() + timeout_s
        with self._arrived:
            while not condition(self):
                left_s = until_s - time.monotonic()
                assert left_s > 0, f"{len(self.readings)} readings, status {self.status}"
                self._arrived.wait(left_s)

    def sequences(self, device):
        with self._arrived:
            return [sample["seq"] for code, sample in self.readings if code == device]

    def close(self):
        for client in self._clients:
            client.disconnect()
            client.loop_stop()
