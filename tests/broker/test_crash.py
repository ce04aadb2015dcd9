"""kill -9 of the broker: what was acknowledged comes back."""

import threading
import time

import pytest

from tests.broker.clients import Client, device, drain_all, intakes, left, up
from tests.fixtures.broker import DEVICES, wait_until


def publish_until_killed(client, code, told):
    """Publish without a pause; `told` gets the payloads that PUBACKs came for."""
    payload_of = {}
    while not client.disconnected:
        # A bounded number in flight, as a device has: most of what was sent is acknowledged.
        # No packet id is used twice.
        if len(payload_of) - len(client.acknowledged) < 200 and len(payload_of) < 60_000:
            payload = b"%s %d" % (code.encode(), len(payload_of))
            payload_of[client.mqtt.publish(up(code), payload, 1).mid] = payload
        else:
            time.sleep(0.001)
    client.mqtt.loop_stop()
    told += [payload_of[mid] for mid in client.acknowledged]


def test_every_acknowledged_message_comes_back_after_kill_9(nats):
    told = []
    clients = {code: Client(nats, *nats.credentials(code)).open() for code in DEVICES}
    threads = [
        threading.Thread(target=publish_until_killed, args=(client, code, told))
        for code, client in clients.items()
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(len(client.acknowledged) > 500 for client in clients.values()))
    nats.kill()
    for thread in threads:
        thread.join()
    assert len(told) > 1000
    nats.start()
    with intakes(nats) as opened:
        assert all(client.session_present for client in opened.values())
        drain_all(opened, told)


@pytest.mark.usefixtures("comes_again_soon")
def test_what_was_given_to_an_intake_but_not_acknowledged_comes_again_after_kill_9(nats):
    sent = [b"%d" % n for n in range(60)]
    with intakes(nats) as opened, device(nats) as d:
        assert all(d.publish(up(), payload) for payload in sent)
        # Some may have come again by then.
        wait_until(lambda: {p for one in opened.values() for p in one.payloads()} == set(sent))
        nats.kill()
    nats.start()
    with intakes(nats) as opened:
        drain_all(opened, sent)
        wait_until(lambda: left(nats) == 0)
    nats.restart()
    assert left(nats) == 0, "what was acknowledged does not come again"
