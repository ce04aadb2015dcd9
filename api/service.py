"""The API as a process: one socket, one server, and an orderly end."""

import asyncio
import errno
import ipaddress
import logging
import math
import signal
import socket
from collections.abc import Mapping

import structlog
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.errors import StartError
from api.live import LiveFeed
from api.provisioning import Provisioning
from api.readiness import Check
from api.settings import ApiSettings
from store.database import Database

STUCK_CLIENT_MS = 30_000  # one that takes nothing for so long holds a live feed for nobody
BACKLOG = 128
log = structlog.get_logger("api")


def run(
    settings: ApiSettings,
    database: Database,
    checks: Mapping[str, Check] | None = None,
    provisioning: Provisioning | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; then let open requests finish.

    Parameters
    ----------
    settings
        The section ``api`` of the settings.
    database
        Transactions of the role ``mizumori_api``; the caller closes it.
    checks
        What else ``/ready`` asks, by name.
    provisioning
        What the routes borrow that write devices.

    Raises
    ------
    StartError
        If the settings forbid it, or the port is taken; in one sentence that says what to do.
    """
    check_exposure(settings)
    app = create_app(settings, database, checks, provisioning)
    listener = listen(settings)
    _quiet_logging()
    # uvicorn raises the signal again when it has stopped; the end was orderly, so it ends there.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _already_stopping)
    host, port = listener.getsockname()[:2]
    database.lines.start()
    log.info("api_listening", host=host, port=port)
    server(settings, app).run(sockets=[listener])
    log.info("api_stopped")


def server(settings: ApiSettings, app: FastAPI) -> uvicorn.Server:
    """Build the server for an application of `create_app`."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        # Proxies speak to us over loopback; nobody else is believed.
        forwarded_allow_ips="127.0.0.1,::1",
        timeout_graceful_shutdown=max(1, math.ceil(settings.graceful_stop_s)),
    )
    return _Server(config, app.state.feed)


def check_exposure(settings: ApiSettings) -> None:
    """Refuse to listen beyond this machine while there is no login, unless told to.

    Raises
    ------
    StartError
        If the settings ask for it without ``allow_unauthenticated``.
    """
    if settings.allow_unauthenticated or is_loopback(settings.host):
        return
    raise StartError(
        f"api.host is {settings.host!r}, which other machines can reach, and there is no login "
        "yet: keep 127.0.0.1, or set api.allow_unauthenticated = true if everybody who reaches "
        "the port may see everything."
    )


def is_loopback(host: str) -> bool:
    """Tell whether an address stays on this machine; other names are taken to leave it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(settings: ApiSettings) -> socket.socket:
    """Open the listening socket.

    Raises
    ------
    StartError
        If the port is taken or the address is not of this machine.
    """
    where = f"port {settings.port} on {settings.host}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"api.host is {settings.host!r}: {error.strerror}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections take it over
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_CLIENT_MS)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        hint = {
            "EADDRINUSE": "another program has it: stop that one, or choose another api.port",
            "EACCES": "it needs more rights: choose an api.port above 1023",
            "EADDRNOTAVAIL": "this machine does not have that address: correct api.host",
        }.get(_name(error), error.strerror)
        raise StartError(f"The API cannot listen at {where}: {hint}.") from error
    return listener


class _Server(uvicorn.Server):
    """Ends the live feeds before it waits for open requests: they would never end themselves."""

    def __init__(self, config: uvicorn.Config, feed: LiveFeed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.stop()
        await super().shutdown(sockets)
        # What still has bytes for a browser that takes none would wait for it for ever.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class _ToStructlog(logging.Handler):
    """Hands what uvicorn has to say to our log; its notices of start and stop are ours already."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger("api.server").log(
            record.levelno, "server", message=record.getMessage()
        )


def _quiet_logging() -> None:
    server = logging.getLogger("uvicorn.error")
    server.setLevel(logging.WARNING)
    server.propagate = False
    server.handlers = [_ToStructlog()]


def _already_stopping(_number: int, _frame: object) -> None:
    """Take the signal that uvicorn raises again after its end."""


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "")
