"""Ports of this machine, and where who listens on them is reached."""

import secrets
import socket

# Below what Linux gives to outgoing connections (32768 and up): a port that is free now would
# otherwise be somebody's connection a moment later.
RANGE = range(20_000, 32_000)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port of `host` that nobody listens on now."""
    while True:
        port = secrets.choice(RANGE)
        if is_free(host, port):
            return port


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on `host` and `port` now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def dialled(host: str) -> str:
    """Return where a client on this machine reaches a server that listens on `host`."""
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared
