"""Devices of a load: one connection that publishes for all of them, flat out or at a rate.

A process of its own, told on its standard input what to send: see `Load`.
"""

import json
import select
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.bench import mqtt_wire
from tests.bench.mqtt_wire import Login


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes
    ----------
    devices
        `bench-0000` and on, in turn.
    readings
        Of one message; a device's are one second apart, from `start_ms` on.
    rate
        Messages a second; 0: as fast as the broker acknowledges.
    inflight
        Messages without an acknowledgement at a time.
    times
        File for the moment each was sent, seconds of the monotonic clock.
    """

    town: str
    devices: int
    messages: int
    readings: int
    start_ms: int
    rate: float = 0.0
    inflight: int = 2000
    times: str = ""


def payload(load: Load, number: int) -> bytes:
    """Return the payload of a message: what a street sensor sends on a dry day."""
    device, turn = number % load.devices, number // load.devices
    first = turn * load.readings
    one = [
        f'{{"ts": {load.start_ms + 1000 * (first + k)}, "seq": {first + k}, '
        f'"m": {{"depth_m": {(device + k) % 9 / 1000}}}}}'
        for k in range(load.readings)
    ]
    return (one[0] if load.readings == 1 else f"[{', '.join(one)}]").encode()


def run(login: Login, load: Load) -> None:
    """Send everything and wait for every acknowledgement."""
    sock = mqtt_wire.connect(login, keep_session=False)
    topics = [f"mz/v1/{load.town}/d/bench-{i:04}/up".encode() for i in range(load.devices)]
    packets, free = mqtt_wire.Packets(sock), deque(range(1, load.inflight + 1))
    sent_at = np.zeros(load.messages)
    # Flat out they are made before, so that the making does not slow what is measured.
    flat_out = range(0 if load.rate else load.messages)
    ready = dict(enumerate(payload(load, number) for number in flat_out))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began, sent, acknowledged = time.monotonic(), 0, 0
    while acknowledged < load.messages:
        due = load.messages
        if load.rate:
            due = min(due, int((time.monotonic() - began) * load.rate) + 1)
        burst = bytearray()
        now = time.monotonic()
        while sent < due and free and len(burst) < 65536:
            body = ready.get(sent) or payload(load, sent)
            burst += mqtt_wire.publish(topics[sent % load.devices], free.popleft(), body)
            sent_at[sent] = now
            sent += 1
        if burst:
            sock.sendall(burst)
        waits = not free or sent == load.messages
        # Acknowledgements wait until the next is due: a load that wakes up twice a message takes
        # the processor from what is measured.
        next_due = began + sent / load.rate if load.rate and not waits else 0.0
        time.sleep(max(0.0, next_due - time.monotonic()))
        if select.select([sock], [], [], 30.0 if waits else 0.0)[0]:
            for kind, buffer, at, _ in packets.read():
                if mqtt_wire.is_puback(kind):
                    free.append(int.from_bytes(buffer[at : at + 2], "big"))
                    acknowledged += 1
        elif waits:
            raise TimeoutError(f"{acknowledged} of {sent} messages acknowledged, then silence")
    if load.times:
        np.save(load.times, sent_at)
    sock.close()


def command(login: Login, load: Load) -> tuple[list[str], bytes]:
    """Return how to start it, and the line it must be told."""
    words = [sys.executable, "-m", "tests.bench.publisher"]
    return words, json.dumps({"login": asdict(login), "load": asdict(load)}).encode() + b"\n"


if __name__ == "__main__":
    said = json.loads(sys.stdin.readline())
    assert Path("tests").is_dir(), "start it in the project's folder"
    run(Login(**said["login"]), Load(**said["load"]))
