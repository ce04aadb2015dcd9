"""How long a push waits for its 202: ``pytest tests/gateway/bench_push.py -s``.

Beside it, in the same run, what a device waits for its PUBACK: the broker's part of it.
"""

import http.client
import json
import threading
import time

import numpy as np
import pytest

from tests.fixtures.ports import free_port
from tests.gateway.conftest import NOW_MS
from tests.gateway.pushing import add_operator, push

SENDERS, EACH = (1, 8, 32), 200


@pytest.mark.timeout(900)
def test_push(town):
    port = free_port()
    token = add_operator(town)
    town.start(push_port=port, push_per_minute=10**6)
    device = town.device()
    push(port, "/push/kawabe/flood-01", {"ts": NOW_MS, "m": {"depth_m": 0}}, token)
    waited = []
    for number in range(EACH):
        started = time.monotonic()
        device.publish({"ts": NOW_MS - 1 - number, "m": {"depth_m": 0}})
        waited.append(time.monotonic() - started)
    say("device, until PUBACK", waited, sum(waited))
    for senders in SENDERS:
        began, processor = time.monotonic(), time.process_time()
        waited = []
        threads = [
            threading.Thread(target=send, args=(port, token, 1000 * senders + n, waited))
            for n in range(senders)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used = time.process_time() - processor
        say(f"{senders} pushing, until 202", waited, time.monotonic() - began, used)
    assert town.value("select count(*) from observation") == 1 + EACH * (1 + sum(SENDERS))


def send(port, token, sender, waited):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in range(EACH):
        body = {"ts": NOW_MS + 1000 * sender + number + 1, "m": {"depth_m": 0}}
        started = time.monotonic()
        connection.request("POST", "/push/kawabe/flood-01", json.dumps(body),
                           {"Authorization": f"Bearer {token}"})  # fmt: skip
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 202
        waited.append(time.monotonic() - started)
    connection.close()


def say(what, waited, seconds, used=None):
    low, high = np.percentile(np.array(waited) * 1000, (50, 99))
    print(f"\n{what}: p50 {low:.1f} ms, p99 {high:.1f} ms, {len(waited) / seconds:.0f}/s", end="")
    if used is not None:
        print(f", {1000 * used / len(waited):.2f} ms of this process' processor each", end="")
