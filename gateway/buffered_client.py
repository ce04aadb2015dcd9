"""A paho client that goes to the kernel once for many packets, and takes messages apart itself.

paho reads a message in three system calls and writes an acknowledgement in one. Each of them
gives up the interpreter's lock and must win it back from the worker, which computes. And it works
on a message for as long as the gateway needs for everything else: so messages, nearly all that
comes in, are found in what was read by ourselves, and everything else is left to paho.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

_READ_BYTES: Final = 256 * 1024
_PUBLISH: Final = 3
_PUBACK: Final = 0x4002  # with the remaining length
_ACKNOWLEDGEMENT: Final = np.dtype([("head", ">u2"), ("mid", ">u2")])
_DISCONNECT: Final = 0xE0
_PACKET_ID: Final = 2
# Of MQTT 5, at the end of what a packet's length can take.
_LENGTH_BYTES: Final = 4


class Published(NamedTuple):
    """A message as it stands in its packet; one of quality of service 0 has the packet id 0.

    `again`: the broker has sent it before, on this connection or an earlier one.
    """

    mid: int
    topic: bytes
    payload: bytes
    retained: bool
    again: bool


class _MalformedError(Exception):
    """A packet that no broker may send."""


class BufferedClient(Client):
    """Reads ahead and writes behind.

    `on_published` is called with the messages of one read, in the order they came; paho's own
    `on_message` is not. The methods of paho that it stands in for are where paho itself meets the
    socket: paho is shown one packet at a time, whole, and told when something came or went, so
    that it pings in silence alone: an answer to a ping could wait for long behind messages.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_published: Callable[[Sequence[Published]], None] = lambda _: None
        self._ahead = b""
        self._shown = b""
        self._behind = bytearray()

    def start_afresh(self) -> None:
        """Forget what belongs to the last connection; call it before each new one."""
        self._ahead = self._shown = b""
        self._behind.clear()

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Write an acknowledgement for each packet id, in this order."""
        packets = np.empty(len(mids), _ACKNOWLEDGEMENT)
        packets["head"], packets["mid"] = _PUBACK, mids
        self._behind += packets.tobytes()

    def want_write(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._behind) or super().want_write()

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take in what has come, as much as one call to the kernel gives."""
        status = self._read(max_packets)
        # TLS may hold decrypted bytes that a wait for the socket does not see.
        while status == MQTTErrorCode.MQTT_ERR_SUCCESS and _holds_more(self._sock):
            status = self._read(max_packets)
        return status

    def loop_write(self) -> MQTTErrorCode:
        """Write what waits, in as few calls as the socket takes it."""
        status = MQTTErrorCode.MQTT_ERR_SUCCESS
        if super().want_write():
            status = super().loop_write()
        self._flush()
        return status

    def _read(self, max_packets: int) -> MQTTErrorCode:
        try:
            data = super()._sock_recv(_READ_BYTES)
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError:
            data = b""
        if not data:
            return super().loop_read(max_packets)  # reads the end as well, and puts all in order
        self._last_bytes_received = time.monotonic()
        self._ahead += data
        try:
            return self._take_apart()
        except _MalformedError:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _take_apart(self) -> MQTTErrorCode:
        """Hand over every packet that is there as a whole, in their order."""
        buffer, at, end = self._ahead, 0, len(self._ahead)
        has_properties = self._protocol == MQTTProtocolVersion.MQTTv5
        messages: list[Published] = []
        status = MQTTErrorCode.MQTT_ERR_SUCCESS
        while at + 2 <= end:
            head, length, body = buffer[at], buffer[at + 1], at + 2
            if length > 0x7F:
                length, body = _length(buffer, at + 1, end)
            if not body or body + length > end:
                break
            if head >> 4 == _PUBLISH:
                messages.append(_published(buffer, head, body, body + length, has_properties))
            else:
                self._hand_over(messages)
                messages = []
                self._shown = buffer[at : body + length]
                status = super().loop_read()
                if status != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
            at = body + length
        self._ahead = buffer[at:]
        self._hand_over(messages)
        return status

    def _hand_over(self, messages: list[Published]) -> None:
        if messages:
            self.on_published(messages)

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self._shown:
            return super()._sock_recv(bufsize)
        part, self._shown = self._shown[:bufsize], self._shown[bufsize:]
        return part

    def _sock_send(self, buf: bytes | bytearray) -> int:
        self._behind += buf
        if buf and buf[0] == _DISCONNECT:
            self._flush()  # paho closes the socket as soon as it believes this to be written
        return len(buf)

    def _flush(self) -> None:
        while self._behind and self._sock is not None:
            try:
                sent = super()._sock_send(bytes(self._behind))
            except BlockingIOError:
                return
            del self._behind[:sent]
            self._last_msg_out = time.monotonic()


def _holds_more(sock: object) -> bool:
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _published(buffer: bytes, head: int, body: int, end: int, has_properties: bool) -> Published:
    """Take a PUBLISH apart whose body is ``buffer[body:end]``."""
    if body + 2 > end:
        raise _MalformedError
    topic_end = at = body + 2 + (buffer[body] << 8 | buffer[body + 1])
    mid = 0
    if head & 0x06:
        at += _PACKET_ID
        if at > end or head & 0x04:  # we subscribe to nothing with quality of service 2
            raise _MalformedError
        mid = buffer[topic_end] << 8 | buffer[topic_end + 1]
    if has_properties:
        length, at = _length(buffer, at, end)
        at += length
        if not at:
            raise _MalformedError
    if at > end:
        raise _MalformedError
    topic, payload = buffer[body + 2 : topic_end], buffer[at:end]
    return Published(mid, topic, payload, bool(head & 0x01), bool(head & 0x08))


def _length(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a length of one to four bytes; return it and its end, (0, 0) if it is not whole."""
    length = 0
    for place in range(at, min(at + _LENGTH_BYTES, end)):
        length |= (buffer[place] & 0x7F) << 7 * (place - at)
        if buffer[place] < 0x80:
            return length, place + 1
    if at + _LENGTH_BYTES <= end:
        raise _MalformedError
    return 0, 0
