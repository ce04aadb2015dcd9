"""Devices that keep a ledger: what was sent, and what the broker acknowledged."""

import itertools
import json
import random
import time
from collections import deque
from dataclasses import dataclass, field

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from tests.chaos.water import Calm, Floods

Reading = tuple[str, int, float]  # device code, phenomenon time in ms, value


@dataclass
class Ledger:
    """What the devices know."""

    sent: dict[tuple[str, int], float] = field(default_factory=dict)
    acknowledged: set[tuple[str, int]] = field(default_factory=set)
    messages: int = 0


class Publisher:
    """A fleet of devices that send numbered readings, some twice and some out of order.

    Parameters
    ----------
    tenant
        The town's code.
    secrets
        Password of each device, by its code.
    host, port
        The broker.
    seed
        Decides values, repetitions and order.
    flood
        How many messages there will be in all if some streets are to flood; 0: none does.
    """

    def __init__(
        self,
        tenant: str,
        secrets: dict[str, str],
        host: str,
        port: int,
        seed: int,
        flood: int = 0,
    ) -> None:
        self.ledger = Ledger()
        self._tenant = tenant
        self._random = random.Random(seed)
        self._waiting: dict[tuple[str, int], tuple[str, int]] = {}
        # Filled by paho's threads, emptied by ours: a lock here would meet paho's own.
        self._answers: deque[tuple[str, int]] = deque()
        self._clients = {code: self._client(code, secret) for code, secret in secrets.items()}
        self._water = Floods(self._random, flood) if flood else Calm(self._random)
        self._clock = itertools.count(self._water.begin_ms, self._water.step_ms)
        for client in self._clients.values():
            client.connect_async(host, port, keepalive=10)
            client.loop_start()

    def _client(self, code: str, secret: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"chaos-{code}",
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        client.username_pw_set(f"{self._tenant}/{code}", secret)
        client.reconnect_delay_set(min_delay=1, max_delay=2)
        client.max_queued_messages_set(0)
        client.on_publish = lambda _client, _data, mid, *_: self._answers.append((code, mid))
        return client

    def send(self, count: int, per_s: float) -> None:
        """Send `count` messages, about `per_s` a second, over all devices in turn."""
        codes = list(self._clients)
        pace = 1 / per_s
        due = time.monotonic()
        held: list[Reading] = []
        for number in range(count):
            device = number % len(codes)
            at_ms = next(self._clock)
            reading = (codes[device], at_ms, self._water.depth_m(device, at_ms))
            chance = self._random.random()
            if chance < 0.05:  # comes later than its successors
                held.append(reading)
            else:
                self._publish([reading] * (2 if chance > 0.97 else 1))
            due_now = self._random.random() * self._water.held_for(at_ms) < 1
            if held and (due_now or number == count - 1):
                while held:
                    self._publish([held.pop()])
            due += pace
            time.sleep(max(0.0, due - time.monotonic()))

    def _publish(self, readings: list[Reading]) -> None:
        for code, at_ms, value in readings:
            payload = json.dumps({"ts": at_ms, "m": {"depth_m": value}})
            self.ledger.sent[code, at_ms] = value
            self.ledger.messages += 1
            topic = f"mz/v1/{self._tenant}/d/{code}/up"
            info = self._clients[code].publish(topic, payload, qos=1)
            if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
                raise RuntimeError(f"paho refused a message: {info.rc}")
            self._waiting[code, info.mid] = (code, at_ms)

    def settle(self) -> int:
        """Take down what has been acknowledged; return how many messages are not yet."""
        while self._answers:
            self.ledger.acknowledged.add(self._waiting.pop(self._answers.popleft()))
        return len(self._waiting)

    def drain(self, timeout_s: float) -> int:
        """Wait until every message is acknowledged; return how many are not."""
        deadline = time.monotonic() + timeout_s
        while self.settle() and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.settle()

    def close(self) -> None:
        """Disconnect every device."""
        for client in self._clients.values():
            client.disconnect()
            client.loop_stop()
