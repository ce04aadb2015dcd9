"""The gateway's own reading of MQTT packets, however the network cuts them."""

import socket
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import _ConnectionState
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from gateway.buffered_client import BufferedClient, Published

PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"
MESSAGES = st.builds(
    Published,
    mid=st.integers(0, 0xFFFF),
    topic=st.binary(max_size=20),
    payload=st.binary(max_size=300),
    retained=st.booleans(),
    again=st.booleans(),
)


def length(size):
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)


def packet(message, properties=None):
    body = struct.pack("!H", len(message.topic)) + message.topic
    if message.mid:
        body += struct.pack("!H", message.mid)
    if properties is not None:
        body += length(len(properties)) + properties
    body += message.payload
    head = 0x30 | message.again << 3 | (0x02 if message.mid else 0) | message.retained
    return bytes([head]) + length(len(body)) + body


class Line:
    """A client whose broker is the other end of a pair of sockets."""

    def __init__(self, protocol=MQTTProtocolVersion.MQTTv311):
        ours, self.broker = socket.socketpair()
        ours.setblocking(False)
        self.client = BufferedClient(CallbackAPIVersion.VERSION2, protocol=protocol)
        self.client._sock = ours
        self.client.on_published = self._take
        self.came = []

    def _take(self, messages):
        self.came += messages

    def send(self, data):
        self.broker.sendall(data)
        return self.client.loop_read()

    def close(self):
        self.client._sock_close()
        self.broker.close()


@pytest.fixture
def line():
    made = Line()
    yield made
    made.close()


@given(st.lists(MESSAGES, max_size=8), st.lists(st.integers(1, 400), max_size=12))
def test_the_same_messages_come_out_wherever_the_network_cuts(messages, cuts):
    line = Line()
    stream = b"".join(PINGRESP * (i % 3 == 0) + packet(m) for i, m in enumerate(messages))
    for size in [*cuts, len(stream)]:
        part, stream = stream[:size], stream[size:]
        if part:
            assert line.send(part) == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert line.came == messages
    line.close()


@given(MESSAGES, st.binary(max_size=200))
def test_properties_of_mqtt_5_are_no_part_of_the_payload(message, properties):
    line = Line(MQTTProtocolVersion.MQTTv5)
    line.send(packet(message, properties))
    assert line.came == [message]
    line.close()


@given(st.binary(max_size=200))
def test_what_no_broker_may_send_ends_the_connection_and_hands_over_no_half_message(body):
    line = Line()
    status = line.send(b"\x32" + length(len(body)) + body)
    whole = len(body) >= 4 and len(body) >= 4 + int.from_bytes(body[:2], "big")
    assert (status == MQTTErrorCode.MQTT_ERR_SUCCESS) == whole
    assert len(line.came) == whole
    line.close()


@pytest.mark.parametrize("head", [0x34, 0x36])
def test_quality_of_service_2_was_never_asked_for(line, head):
    good = packet(Published(7, b"t", b"p", False, False))
    assert line.send(bytes([head]) + good[1:]) == MQTTErrorCode.MQTT_ERR_PROTOCOL
    assert line.came == []


def test_a_length_that_never_ends_is_refused(line):
    assert line.send(b"\x32\xff\xff\xff\xff") == MQTTErrorCode.MQTT_ERR_PROTOCOL


@pytest.mark.parametrize("busy", [False, True])
def test_it_pings_in_silence_alone(line, busy):
    """The answer would wait behind messages, on a slow line longer than the keepalive."""
    client = line.client
    client._state = _ConnectionState.MQTT_CS_CONNECTED
    client._keepalive = 60
    client._last_bytes_received = client._last_msg_out = time.monotonic() - 61
    client.acknowledge([7])
    if busy:
        line.send(packet(Published(8, b"t", b"p", False, False))[:5])
        client.loop_write()
    client.loop_misc()
    client.loop_write()
    assert (PINGREQ in line.broker.recv(100)) != busy


def test_the_end_of_the_connection_is_told_as_paho_tells_it(line):
    line.broker.shutdown(socket.SHUT_WR)
    assert line.client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS


def test_acknowledgements_go_out_in_order_and_in_one_piece(line):
    line.client.acknowledge([1, 0x1234, 65_535])
    assert line.client.want_write()
    line.client.loop_write()
    assert line.broker.recv(100) == b"\x40\x02\x00\x01\x40\x02\x12\x34\x40\x02\xff\xff"
    assert not line.client.want_write()
