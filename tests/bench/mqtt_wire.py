"""As much of MQTT 3.1.1 as a load needs, packet by packet: a client would be the bottleneck."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONNACK, _PUBLISH, _PUBACK = 2, 3, 4
_READ_BYTES = 256 * 1024


@dataclass(frozen=True)
class Login:
    """Whom to connect as."""

    host: str
    port: int
    user: str
    password: str
    client_id: str


def connect(login: Login, *, keep_session: bool) -> socket.socket:
    """Connect; raises ConnectionError if the broker refuses."""
    sock = socket.create_connection((login.host, login.port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    flags = 0xC0 | (0 if keep_session else 0x02)
    body = _text("MQTT") + bytes([4, flags]) + struct.pack("!H", 0)
    body += _text(login.client_id) + _text(login.user) + _text(login.password)
    sock.sendall(_packet(0x10, body))
    answer = sock.recv(4, socket.MSG_WAITALL)
    if len(answer) < 4 or answer[0] >> 4 != _CONNACK or answer[3]:
        raise ConnectionError(f"the broker refuses {login.user!r}: {answer!r}")
    return sock


def subscribe(sock: socket.socket, topic_filter: str) -> None:
    """Ask for a topic filter with QoS 1; the answer comes among the messages."""
    sock.sendall(_packet(0x82, struct.pack("!H", 1) + _text(topic_filter) + b"\1"))


def publish(topic: bytes, packet_id: int, payload: bytes) -> bytes:
    """Return a PUBLISH of QoS 1."""
    body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", packet_id) + payload
    return _packet(0x32, body)


class Packets:
    """What comes in on a socket, many packets a call."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = b""

    def read(self) -> Iterator[tuple[int, bytes, int, int]]:
        """Read once; yield type, buffer, and where the body begins and ends, of each packet.

        Raises
        ------
        ConnectionError
            The broker has closed the connection.
        """
        data = self._sock.recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the broker closed the connection")
        buffer = self._rest + data
        at, end = 0, len(buffer)
        while at + 2 <= end:
            length, shift, place = 0, 0, at + 1
            while place < end:
                byte = buffer[place]
                place += 1
                length |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
                shift += 7
            else:
                break
            if place + length > end:
                break
            yield buffer[at] >> 4, buffer, place, place + length
            at = place + length
        self._rest = buffer[at:]


def is_publish(kind: int) -> bool:
    """Tell whether a packet is a message."""
    return kind == _PUBLISH


def is_puback(kind: int) -> bool:
    """Tell whether a packet acknowledges one of ours."""
    return kind == _PUBACK


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def _packet(first: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, low = divmod(size, 128)
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes([first]) + length + body
