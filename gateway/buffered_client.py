"""A paho client that goes to the kernel once for many packets.

paho reads a message in three system calls and writes an acknowledgement in one. Each of them
gives up the interpreter's lock and must win it back from the worker, which computes: that, and
not the calls themselves, halves what an intake takes in.
"""

from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

_READ_BYTES = 64 * 1024
_DISCONNECT = 0xE0


class BufferedClient(Client):
    """Reads ahead and writes behind.

    The two methods of paho that it stands in for are where paho itself meets the socket. If a
    later release does without them, everything still works, only slower. Whoever runs the loop
    reads on while `held` says so: the socket does not show what was read ahead.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ahead = b""
        self._ahead_at = 0
        self._behind = bytearray()

    def start_afresh(self) -> None:
        """Forget what belongs to the last connection; call it before each new one."""
        self._ahead, self._ahead_at = b"", 0
        self._behind.clear()

    def held(self) -> bool:
        """Whether something was read ahead and not yet handled."""
        return self._ahead_at < len(self._ahead)

    def want_write(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._behind) or super().want_write()

    def loop_write(self) -> MQTTErrorCode:
        """Write what waits, in as few calls as the socket takes it."""
        status = super().loop_write()
        self._flush()
        return status

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._ahead_at >= len(self._ahead):
            self._ahead, self._ahead_at = super()._sock_recv(_READ_BYTES), 0
        part = self._ahead[self._ahead_at : self._ahead_at + bufsize]
        self._ahead_at += len(part)
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
