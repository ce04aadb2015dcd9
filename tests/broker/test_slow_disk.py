"""A disk that takes its time: a device waits for it as long as the configuration says."""

import fcntl
import os
import signal
from contextlib import contextmanager

from deploy.broker import nats_config
from tests.broker.clients import device, up
from tests.fixtures.broker import TOWN, wait_until


@contextmanager
def held_queue(server):
    """Let the server wait when it opens the town's queue for writing, as a slow disk does.

    A server that has been started does so with the first message. Yields a function that says
    whether it waits; until then the file is nobody's.
    """
    streams = server.settings.store_dir / "jetstream" / TOWN / "streams"
    lease = os.open(streams / "$MQTT_msgs" / "msgs" / "1.blk", os.O_RDONLY)
    try:
        fcntl.fcntl(lease, fcntl.F_SETSIG, signal.SIGURG)  # the usual SIGIO would end the tests
        fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        yield lambda: fcntl.fcntl(lease, fcntl.F_GETLEASE) == fcntl.F_UNLCK
    finally:
        os.close(lease)


def restart(server):
    """Stop, configure anew, and start with a queue that is not empty."""
    with device(server) as d:
        assert d.publish(up())
    server.stop()
    server.renew()
    server.start()


def test_the_server_waits_for_the_disk_as_long_as_the_configuration_says(nats, monkeypatch):
    monkeypatch.setattr(nats_config, "STORED_WITHIN_S", 2)
    restart(nats)
    with held_queue(nats), device(nats) as d:
        assert d.is_refused(up())
    # By itself it waits 5 s.
    said = "no JetStream ack within 2s; closing the connection"
    wait_until(lambda: said in nats.log_path.read_text())


def test_a_device_is_answered_when_the_disk_has_it_and_not_before(nats):
    restart(nats)
    with device(nats) as d:
        with held_queue(nats) as waits:
            sent = d.mqtt.publish(up(), b"{}", 1)
            wait_until(waits)
            assert not d.acknowledged
        wait_until(sent.is_published)
        assert not d.disconnected
