"""What is said and done where a disk cannot be written."""

import errno
import os
import subprocess

import pytest

from deploy.doctor import machine
from deploy.failure import sentence
from deploy.supervisor import broker_store
from deploy.supervisor.broker_store import BrokerStore, is_writable


class Server:
    """A broker as its keeper sees it."""

    alive = True

    def __init__(self):
        self.said, self.ended = "", 0

    def complaint(self):
        return self.said

    def end(self):
        self.ended += 1


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A broker, what is said of it, and a function that looks at it; its disk can be spoiled."""
    monkeypatch.setattr(broker_store, "LOOK_EVERY_S", 0.0)
    server, told = Server(), []
    watch = BrokerStore(server, tmp_path / "store", told.append)
    return server, told, watch.look, tmp_path / "store"


def test_a_broker_that_could_not_write_is_started_again_when_it_could(store):
    server, told, look, folder = store
    look()
    assert (told, server.ended) == ([], 0)
    server.said = "JetStream stream 'kawabe > $MQTT_msgs' write error: no space left on device"
    for _ in range(7):
        look()
    assert server.ended == 0, "the folder is not there: nothing can be written"
    assert len(told) == 1
    assert "no space left on device" in told[0]
    folder.mkdir()
    look()
    assert server.ended == 1
    assert list(folder.iterdir()) == []
    server.said = ""
    look()
    assert told[-1] == "The broker takes messages again."


def test_a_broker_that_is_unwell_for_another_reason_gets_time(store):
    server, _, look, folder = store
    folder.mkdir()
    server.said = "JetStream is not current"
    for _ in range(broker_store.PATIENCE - 1):
        look()
    assert server.ended == 0
    look()
    assert server.ended == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_the_doctor_names_a_read_only_disk_and_each_disk_once(tmp_path):
    spoiled = tmp_path / "spoiled"
    spoiled.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(spoiled)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this container may not mount")
    try:
        assert not is_writable(spoiled)
        found = list(machine.disk({"data": tmp_path, "log": tmp_path, "messages": spoiled}))
    finally:
        subprocess.run(["umount", str(spoiled)], check=True)
    assert len(found) == 2
    assert found[1].verdict == "fail"
    assert f"{spoiled} (messages) is read-only" in found[1].sentence


def test_a_read_only_or_broken_disk_is_a_sentence():
    for number in (errno.EROFS, errno.EIO):
        said = sentence(OSError(number, os.strerror(number), "/data/x"))
        assert "read-only or broken (/data/x)" in said
