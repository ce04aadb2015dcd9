"""Devices and intakes as plain paho clients, one step at a time."""

import struct
import threading
import time
from contextlib import contextmanager

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from deploy.broker.account_admin import AccountAdmin
from tests.fixtures.broker import TOWN, wait_until


class Client:
    """A client that remembers what it was told. It acknowledges only what it is asked to."""

    def __init__(self, server, user, password, client_id="", *, clean=True, will=None):
        self.server = server
        self.received = []
        self.connected = []
        self.disconnected = []
        self.granted = {}
        self.acknowledged = []
        self._lock = threading.Lock()
        self.mqtt = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self.mqtt.max_inflight_messages_set(0)
        self.mqtt.username_pw_set(user, password)
        if will:
            self.mqtt.will_set(*will)
        self.mqtt.on_connect = lambda _c, _u, flags, code, _p: self.connected.append((code, flags))
        self.mqtt.on_disconnect = lambda _c, _u, _f, code, _p: self.disconnected.append(code)
        self.mqtt.on_subscribe = lambda _c, _u, mid, codes, _p: self.granted.__setitem__(mid, codes)
        self.mqtt.on_publish = lambda _c, _u, mid, _r, _p: self.acknowledged.append(mid)
        self.mqtt.on_message = self._on_message

    def _on_message(self, _client, _data, message):
        with self._lock:
            self.received.append(message)

    def open(self):
        self.mqtt.connect(self.server.host, self.server.mqtt_port)
        self.mqtt.loop_start()
        wait_until(lambda: self.connected, message="no CONNACK")
        return self

    def close(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def drop(self):
        """Go without a goodbye, as a device with an empty battery does."""
        self.mqtt._sock_close()
        self.mqtt.loop_stop()

    @property
    def code(self):
        return self.connected[-1][0]

    @property
    def session_present(self):
        return self.connected[-1][1].session_present

    def subscribe(self, topic, qos=1):
        """Return the code of the SUBACK: 1, or 128 if it was refused."""
        _, mid = self.mqtt.subscribe(topic, qos)
        return wait_until(lambda: self.granted.get(mid), message="no SUBACK")[0].value

    def publish(self, topic, payload=b"{}", qos=1, retain=False):
        """Return whether it was acknowledged."""
        sent = self.mqtt.publish(topic, payload, qos, retain)
        try:
            sent.wait_for_publish(60)
        except RuntimeError:
            return False
        return sent.is_published()

    def is_refused(self, topic, payload=b"{}"):
        """Publish, and return whether the broker breaks off without acknowledging it."""
        sent = self.mqtt.publish(topic, payload, 1)
        wait_until(lambda: self.disconnected or sent.is_published(), message="no answer")
        return sent.mid not in self.acknowledged

    def acknowledge_all(self):
        with self._lock:
            waiting, self.received = self.received, []
        for message in waiting:
            self.mqtt.ack(message.mid, message.qos)
        return waiting

    def drain(self, wanted, timeout_s=60):
        """Acknowledge what comes until each of these payloads came."""
        return [message for _, message in drain_all({0: self}, wanted, timeout_s)]

    def has_all_or_is_gone(self, sent):
        return lambda: self.disconnected or len(self.acknowledged) == len(sent)

    def payloads(self):
        return [m.payload for m in list(self.received)]


@contextmanager
def device(server, code="flood-01", town=TOWN, *, client_id="", **more):
    client = Client(server, *server.credentials(code, town), client_id, **more).open()
    yield client
    client.close()


@contextmanager
def gateway(server, client_id="", town=TOWN, *, clean=False):
    account = server.accounts[town]
    client = Client(
        server, account.gateway_user, account.gateway_password, client_id, clean=clean
    ).open()
    yield client
    client.close()


@contextmanager
def intakes(server, town=TOWN):
    """All intakes of a town, subscribed, by partition."""
    account = server.accounts[town]
    opened = {}
    try:
        for n in range(account.partitions):
            client = Client(
                server,
                account.gateway_user,
                account.gateway_password,
                account.intake_client_id(n),
                clean=False,
            ).open()
            opened[n] = client
            assert client.subscribe(f"mz/v1/{town}/p/{n}/d/+/up") == 1
        yield opened
    finally:
        for client in opened.values():
            client.close()


def drain_all(opened, wanted, timeout_s=60):
    """Acknowledge on every intake until each of these payloads came: (partition, message)."""
    drained, missing = [], set(wanted)
    end = time.monotonic() + timeout_s
    while missing:
        for n, client in opened.items():
            got = client.acknowledge_all()
            drained += [(n, message) for message in got]
            missing -= {message.payload for message in got}
        assert not missing or time.monotonic() < end, (
            f"{len(drained)} came, {len(missing)} did not, among them {sorted(missing)[:5]}"
        )
        time.sleep(0.01)
    return drained


def left(server, town=TOWN):
    """How many messages the broker still has for somebody."""
    with AccountAdmin(server.settings, town) as admin:
        return admin.usage().messages


def up(code="flood-01", town=TOWN):
    return f"mz/v1/{town}/d/{code}/up"


# --- packets, for what a well-behaved client would not do ------------------------------------


def connect_packet(user, password, client_id, level=4):
    properties = b"\x00" if level == 5 else b""
    body = _text("MQTT") + bytes([level, 0xC2]) + struct.pack(">H", 60) + properties
    return _packet(0x10, body + _text(client_id) + _text(user) + _text(password))


def publish_packet(topic, mid, payload):
    return _packet(0x32, _text(topic) + struct.pack(">H", mid) + payload)


def _text(value):
    return struct.pack(">H", len(value.encode())) + value.encode()


def _packet(kind, body):
    length, encoded = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        encoded += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([kind]) + encoded + body
