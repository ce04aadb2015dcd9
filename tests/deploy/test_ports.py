"""A port that cannot be had: which, why, who has it, and what to set instead."""

import os
import socket

import pytest

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.port_holder import holder
from deploy.embedded.ports import Port, refuse_taken
from tests.fixtures.ports import free_port


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::", "::1"])
def listener(request):
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as server:
        try:
            server.bind((request.param, 0))
        except OSError as error:
            pytest.skip(f"this machine has no {request.param}: {error.strerror}")
        server.listen()
        yield server


def test_a_taken_port_is_told_with_its_holder_its_setting_and_another_port(listener):
    host, taken = listener.getsockname()[:2]
    ports = [Port("127.0.0.1", free_port(), "api.port"), Port(host, taken, "nats.mqtt_port")]
    with pytest.raises(EmbeddedError) as caught:
        refuse_taken(ports)
    said, _, remedy = str(caught.value).partition(": stop that program, or set another port: ")
    assert said.startswith(f"Port {taken} on {host} (nats.mqtt_port) is taken by ")
    assert said.endswith(f"(process {os.getpid()})")
    variable, _, command = remedy.partition("=")
    assert variable == "MIZUMORI_NATS__MQTT_PORT"
    other = int(command.removesuffix(" make run."))
    assert other not in {port.port for port in ports}


def test_a_port_next_door_is_nobodys():
    assert holder("127.0.0.1", free_port()) == "another program"


def test_one_who_listens_at_another_address_is_not_named(listener):
    host, taken = listener.getsockname()[:2]
    everywhere = host in {"0.0.0.0", "::"}
    assert (holder("192.0.2.7", taken) == "another program") is not everywhere


def test_a_host_that_is_not_this_machines_is_told_with_its_setting():
    with pytest.raises(EmbeddedError, match=r"cannot be listened on .*: is api\.host an address"):
        refuse_taken([Port("192.0.2.7", free_port(), "api.port")])
