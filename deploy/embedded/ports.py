"""Ports of this machine, and where who listens on them is reached."""

import errno
import secrets
import socket
from collections.abc import Sequence
from typing import NamedTuple

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.port_holder import holder

# Below what Linux gives to outgoing connections (32768 and up): a port that is free now would
# otherwise be somebody's connection a moment later.
RANGE = range(20_000, 32_000)
LAST = 65_535


class Port(NamedTuple):
    """Where a program of ours is to listen, and the setting that says so."""

    host: str
    port: int
    setting: str

    @property
    def can_be_had(self) -> bool:
        """Whether it could listen there now."""
        return is_free(self.host, self.port)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port of `host` that nobody listens on now."""
    while True:
        port = secrets.choice(RANGE)
        if is_free(host, port):
            return port


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on `host` and `port` now."""
    return _refusal(host, port) is None


def refuse_taken(ports: Sequence[Port]) -> None:
    """Look whether programs of ours could listen on all of these ports now.

    Raises
    ------
    EmbeddedError
        The first of them that cannot be had: why, who has it, and which setting names another.
    """
    ours = {one.port for one in ports}
    for one in ports:
        error = _refusal(one.host, one.port)
        if error is None:
            continue
        where = f"Port {one.port} on {one.host}"
        variable = f"MIZUMORI_{one.setting.upper().replace('.', '__')}"
        if error.errno == errno.EACCES:
            raise EmbeddedError(
                f"{where} is not for this account: {one.setting} is below 1024, where only root "
                f"listens. Set another port: {variable}={one.port + 8000} make run."
            )
        if error.errno != errno.EADDRINUSE:
            host = one.setting.replace("port", "host")
            raise EmbeddedError(
                f"{where} cannot be listened on ({error.strerror}): is {host} an address of this "
                "machine?"
            )
        above = (n for n in range(one.port + 1, LAST) if n not in ours and is_free(one.host, n))
        raise EmbeddedError(
            f"{where} ({one.setting}) is taken by {holder(one.host, one.port)}: stop that "
            f"program, or set another port: {variable}={next(above, None) or free_port()} make run."
        )


def _refusal(host: str, port: int) -> OSError | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
        return None


def dialled(host: str) -> str:
    """Return where a client on this machine reaches a server that listens on `host`."""
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared
