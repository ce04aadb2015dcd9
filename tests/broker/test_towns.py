"""Towns at one broker, and a change of configuration while devices are connected."""

import selectors
import socket
import threading
from collections import Counter

import pytest

from tests.broker.clients import Client, connect_packet, device, drain_all, gateway, intakes, up
from tests.fixtures.broker import TOWN, wait_until


def test_a_town_added_while_running_does_not_disturb_the_others(nats):
    with intakes(nats) as opened, device(nats) as d:
        stop = threading.Event()
        results = []

        def publish():
            while not stop.is_set():
                results.append(d.publish(up(), b"%d" % len(results)))

        thread = threading.Thread(target=publish)
        thread.start()
        wait_until(lambda: len(results) > 20)
        for n in range(3):
            nats.add_town(f"town-{n}", ["x"])
        nats.add_device("new-one")
        there = len(results)
        wait_until(lambda: len(results) > there + 20)
        stop.set()
        thread.join()
        assert all(results)
        assert not d.disconnected
        assert not any(client.disconnected for client in opened.values())
        sent = [b"%d" % number for number in range(len(results))]
        assert len(drain_all(opened, sent)) == len(sent)
        with device(nats, "new-one") as new:
            assert new.publish(up("new-one"), b"hello")
        assert [m.payload for _, m in drain_all(opened, [b"hello"])] == [b"hello"]


def test_a_towns_messages_are_seen_by_nobody_else(nats):
    nats.add_town("higashi", ["flood-01"])
    with (
        gateway(nats, "all-of-kawabe", clean=True) as here,
        gateway(nats, "all-of-higashi", "higashi", clean=True) as there,
    ):
        assert here.subscribe("#") == 1
        assert there.subscribe("#") == 1
        with device(nats, "flood-01", "higashi") as d:
            assert d.publish(up("flood-01", "higashi"), b"ours")
            assert d.publish(up("flood-01", TOWN), b"foreign")
        with gateway(nats, "", "higashi", clean=True) as g:
            assert g.publish(up("flood-01", TOWN), b"foreign too")
        wait_until(lambda: len(there.received) >= 2)
        assert here.received == []


def test_a_device_that_was_removed_is_disconnected(nats):
    with device(nats) as d, device(nats, "pond-01") as other:
        del nats._hashes[TOWN, "flood-01"]
        nats.renew()
        wait_until(lambda: d.disconnected)
        assert not other.disconnected
    again = Client(nats, *nats.credentials("flood-01")).open()
    assert again.code.is_failure
    again.close()


def test_a_configuration_that_is_broken_leaves_the_server_as_it_was(nats):
    with device(nats) as d:
        nats.config_path.write_text("accounts {")
        with pytest.raises(TimeoutError, match="did not take the new configuration"):
            nats.reload(timeout_s=1)
        assert d.publish(up())


def test_500_devices_come_back_at_once(nats):
    # With hashes of cost 11 most of them are cut off: the server has no time left to hash.
    codes = [f"d{n:03}" for n in range(500)]
    for code in codes:
        nats.add_device(code, renew=False)
    nats.renew()
    answers = storm(nats, codes)
    assert answers == {b"\x20\x02\x00\x00": 500}


def storm(server, codes):
    """Connect all devices at once; count what each was answered, b"" for a closed connection."""
    waiting = selectors.DefaultSelector()
    answers = Counter()
    opened = []
    for _ in codes:
        connection = socket.create_connection((server.host, server.mqtt_port), timeout=60)
        opened.append(connection)
        waiting.register(connection, selectors.EVENT_READ)
    for connection, code in zip(opened, codes, strict=True):
        connection.sendall(connect_packet(*server.credentials(code), code))
    while waiting.get_map():
        for key, _ in waiting.select(timeout=30):
            waiting.unregister(key.fileobj)
            try:
                answers[key.fileobj.recv(4)] += 1
            except ConnectionResetError:
                answers[b""] += 1
    for connection in opened:
        connection.close()
    waiting.close()
    return answers
