"""kill -9 of the broker: what was acknowledged comes back."""

import threading
import time

from tests.broker.clients import Client, drain_all, intakes, up
from tests.fixtures.broker import DEVICES

# What had been handed out before the kill comes again after ack_wait (2 s here), not at once.
QUIET_S = 3.0


def publish_until_killed(server, code, told):
    """Publish without a pause; `told` gets the payloads that PUBACKs came for."""
    client = Client(server, *server.credentials(code)).open()
    payload_of = {}
    while not client.disconnected:
        # A bounded number in flight, as a device has: most of what was sent is acknowledged.
        if len(payload_of) - len(client.acknowledged) < 200:
            payload = b"%s %d" % (code.encode(), len(payload_of))
            payload_of[client.mqtt.publish(up(code), payload, 1).mid] = payload
        else:
            time.sleep(0.001)
    client.mqtt.loop_stop()
    told += [payload_of[mid] for mid in client.acknowledged]


def test_every_acknowledged_message_comes_back_after_kill_9(nats):
    told = []
    threads = [
        threading.Thread(target=publish_until_killed, args=(nats, code, told)) for code in DEVICES
    ]
    for thread in threads:
        thread.start()
    kill = threading.Timer(1.5, nats.kill)
    kill.start()
    for thread in [*threads, kill]:
        thread.join(30)
    told = set(told)
    assert len(told) > 500
    nats.start()
    with intakes(nats) as opened:
        assert all(client.session_present for client in opened.values())
        kept = {m.payload for _, m in drain_all(opened, QUIET_S)}
    assert told <= kept, f"{len(told - kept)} of {len(told)} acknowledged messages are lost"


def test_what_was_given_to_an_intake_but_not_acknowledged_comes_again_after_kill_9(nats):
    with intakes(nats) as opened:
        client = Client(nats, *nats.credentials("flood-01")).open()
        assert all(client.publish(up(), b"%d" % n) for n in range(60))
        client.close()
        nats.kill()
    nats.start()
    with intakes(nats) as opened:
        assert {m.payload for _, m in drain_all(opened, QUIET_S)} == {b"%d" % n for n in range(60)}
    nats.restart()
    with intakes(nats) as opened:
        assert drain_all(opened) == [], "what was acknowledged does not come again"
