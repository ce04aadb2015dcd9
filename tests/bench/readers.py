"""What else may read the gateway's sessions: the peers that its speed is held against.

Each is a process of its own: ``python -m tests.bench.readers KIND`` with its orders on the
standard input, reports the first and the last message's moments when `messages` have come.
"""

import json
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from gateway.session import Session
from tests.bench import mqtt_wire
from tests.bench.mqtt_wire import Login

INSERT = b"""
insert into observation (phenomenon_time, received_time, value, seq, datastream_id, flag)
select to_timestamp(%s / 1000.0), now(), %s, %s, d.datastream_id, 2
from datastream d join device using (device_id)
where device.code = %s and d.property = 'depth_m'
on conflict do nothing
"""


class Count:
    """Counts messages; `done` is set with the last."""

    def __init__(self, messages: int) -> None:
        self._messages = messages
        self._lock = threading.Lock()
        self.came = 0
        self.first_s = self.last_s = 0.0
        self.done = threading.Event()

    def add(self, messages: int = 1) -> None:
        """Count some more."""
        with self._lock:
            if not self.came:
                self.first_s = time.monotonic()
            self.came += messages
            if self.came >= self._messages:
                self.last_s = time.monotonic()
                self.done.set()


def paho(sessions: list[dict[str, Any]], count: Count, _dsn: str) -> None:
    """Count, acknowledging at once: paho's own loop, one client a session."""
    _listen(sessions, lambda *_: count.add(), count)


def naive(sessions: list[dict[str, Any]], count: Count, dsn: str) -> None:
    """Insert each message in a transaction of its own, as a first attempt does."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        lock = threading.Lock()

        def insert(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
            said = json.loads(message.payload)
            row = (said["ts"], said["m"]["depth_m"], said["seq"], message.topic.split("/")[-2])
            with lock:
                conn.execute(INSERT, row)
            count.add()

        _listen(sessions, insert, count)


def _listen(sessions: list[dict[str, Any]], on_message: Callable[..., None], count: Count) -> None:
    clients = []
    for session in sessions:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=session["client_id"], clean_session=False
        )
        client.username_pw_set(session["user"], session["password"])
        client.on_message = on_message
        client.connect(session["host"], session["port"])
        client.subscribe(session["topic_filter"], qos=1)
        clients.append(client)
    for client in clients:
        client.loop_start()
    count.done.wait()
    time.sleep(0.2)
    for client in clients:
        client.disconnect()
        client.loop_stop()


def bulk(sessions: list[dict[str, Any]], count: Count, _dsn: str) -> None:
    """Take many packets from a socket at once and acknowledge them at once, without looking."""
    choose = selectors.DefaultSelector()
    for session in sessions:
        names = ("host", "port", "user", "password", "client_id")
        sock = mqtt_wire.connect(Login(*(session[name] for name in names)), keep_session=True)
        mqtt_wire.subscribe(sock, session["topic_filter"])
        choose.register(sock, selectors.EVENT_READ, mqtt_wire.Packets(sock))
    while not count.done.is_set():
        for key, _ in choose.select(1.0):
            acknowledgements, messages = bytearray(), 0
            for kind, buffer, at, _ in key.data.read():
                if mqtt_wire.is_publish(kind):
                    topic = buffer[at] << 8 | buffer[at + 1]
                    acknowledgements += b"\x40\x02" + buffer[at + 2 + topic : at + 4 + topic]
                    messages += 1
            if messages:
                key.fileobj.sendall(acknowledgements)  # type: ignore[union-attr]  # a socket
                count.add(messages)
    time.sleep(0.2)


def start(kind: str, sessions: list[Session], messages: int, dsn: str) -> Any:
    """Start a peer; it says `ready` when it is about to connect."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.readers"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    orders = {
        "kind": kind,
        "sessions": [{**asdict(one), "tls_ca": None} for one in sessions],
        "messages": messages,
        "dsn": dsn,
    }
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(orders).encode() + b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n", "the peer did not start"
    return process


def finish(process: Any, timeout_s: float) -> tuple[float, float, float]:
    """Return when its first and last message came, and its processor time."""
    said, _ = process.communicate(timeout=timeout_s)
    first_s, last_s, processor_s = json.loads(said)
    return first_s, last_s, processor_s


def main() -> None:
    """Obey the orders on the standard input."""
    orders = json.loads(sys.stdin.readline())
    count = Count(orders["messages"])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    kinds = {"paho": paho, "naive": naive, "bulk": bulk}
    kinds[orders["kind"]](orders["sessions"], count, orders["dsn"])
    print(json.dumps([count.first_s, count.last_s, time.process_time()]))


if __name__ == "__main__":
    main()
