"""The embedded broker: taking over, refusing, and its reason in a sentence."""

import pytest

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.nats import EmbeddedNats
from deploy.embedded.ports import Port, is_free
from deploy.embedded.process import start_ticks
from tests.fixtures.ports import free_port


@pytest.fixture
def broker(tmp_path):
    home = tmp_path / "bro ker"
    home.mkdir()
    client, mqtt, monitor = free_port(), free_port(), free_port()
    config = home / "nats.conf"
    config.write_text(
        f'server_name: test\nlisten: "127.0.0.1:{client}"\nhttp: "127.0.0.1:{monitor}"\n'
        f'jetstream {{ store_dir: "{home}/store" }}\nmqtt {{ listen: "127.0.0.1:{mqtt}" }}\n'
    )
    ports = [
        Port("127.0.0.1", port, f"nats.{name}_port")
        for name, port in (("mqtt", mqtt), ("client", client), ("monitor", monitor))
    ]
    broker = EmbeddedNats(home, config, monitor, home / "log", ports)
    yield broker
    broker.stop()


def successor_of(broker: EmbeddedNats) -> EmbeddedNats:
    broker._lock.release()
    broker._lock = None
    return EmbeddedNats(
        broker.home, broker.config_file, broker.monitor_port, broker.log_file, broker.ports
    )


def test_a_second_broker_on_the_same_store_is_refused(broker):
    broker.start()
    assert broker.health() == ""
    other = EmbeddedNats(broker.home, broker.config_file, broker.monitor_port, broker.log_file)
    with pytest.raises(EmbeddedError, match="used by another"):
        other.start()


def test_a_running_broker_is_adopted_and_stopped_by_a_successor(broker):
    broker.start()
    pid = broker.pid
    successor = successor_of(broker)
    successor.start()
    assert successor.pid == pid
    successor.stop()
    assert start_ticks(pid) is None
    assert all(port.can_be_had for port in broker.ports)


def test_a_broker_that_listens_elsewhere_is_stopped_not_adopted(broker):
    broker.start()
    pid = broker.pid
    successor = successor_of(broker)
    moved = free_port()
    old = broker.ports[0].port
    text = broker.config_file.read_text().replace(f":{old}", f":{moved}")
    broker.config_file.write_text(text)
    successor.ports = [broker.ports[0]._replace(port=moved), *broker.ports[1:]]
    successor.start()
    assert successor.pid != pid
    assert start_ticks(pid) is None
    assert is_free("127.0.0.1", old)
    successor.stop()


def test_a_broken_configuration_is_a_sentence_with_the_reason(broker):
    broker.config_file.write_text("mqtt { listen: nowhere }")
    with pytest.raises(EmbeddedError, match="did not start"):
        broker.start()


def test_a_store_that_cannot_be_written_is_the_reason_that_is_said(broker):
    """The server says so in its own log, to which earlier ones have written as well."""
    broker.own_log = broker.home / "nats.log"
    broker.own_log.write_text("[1] 2026/11/22 11:35:09.474954 [FTL] an earlier reason\n")
    with broker.config_file.open("a") as config:
        config.write(f'log_file: "{broker.own_log}"\n')
    (broker.home / "store").write_text("in the way of the folder")
    with pytest.raises(EmbeddedError, match=r"JetStream: storage directory .*nats.log\.$"):
        broker.start()
