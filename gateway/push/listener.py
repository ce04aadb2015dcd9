"""The listener as a part of the gateway: one socket, one server, threads of its own."""

import socket
import threading
from collections.abc import Callable

import structlog
import uvicorn

from gateway.errors import GatewayError
from gateway.push.app import PushApp
from gateway.push.delivery import Delivery
from gateway.push.receipts import Receipts
from gateway.registry import Registry
from gateway.settings import BrokerSettings, GatewaySettings
from store.database import Database

log = structlog.get_logger(__name__)

BACKLOG = 128
STOP_WITHIN_S = 5


class ListenError(GatewayError):
    """The listener cannot have its port, or its certificate."""


class PushListener:
    """Serves `PushApp` beside the worker.

    Several gateways of one machine share the port (SO_REUSEPORT): the system hands each
    connection to one of them, and to the others when one is gone.

    Parameters
    ----------
    database, broker, settings, registry
        See `gateway.push.delivery.Delivery`.

    Raises
    ------
    ListenError
        The port is taken by another program or not ours to take, or the certificate is none.
    """

    def __init__(
        self,
        database: Database,
        broker: BrokerSettings,
        settings: GatewaySettings,
        registry: Callable[[], Registry | None],
    ) -> None:
        self._socket = _listen(settings.push_host, settings.push_port)
        self._receipts = Receipts(database)
        self._delivery = Delivery(database, broker, settings, registry, self._receipts)
        self._app = PushApp(settings, database, self._delivery)
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            ssl_certfile=settings.push_tls_cert,
            ssl_keyfile=settings.push_tls_key,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        try:
            config.load()  # certificate and key are read here
        except (OSError, ValueError) as error:
            self._socket.close()
            raise ListenError(
                f"gateway.push_tls_cert or push_tls_key cannot be read: {error}"
            ) from error
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="push", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Begin to serve."""
        self._receipts.start()
        self._thread.start()
        host, port = self.address
        log.info("push_listening", host=host, port=port)

    def stop(self) -> None:
        """Take no more; requests that wait for their commit get a moment. Twice does no harm."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(2 * STOP_WITHIN_S)
            self._receipts.stop()
        self._app.close()
        self._delivery.close()
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ListenError(
            f"The gateway cannot listen on {host}:{port} for operators that push: "
            f"{error.strerror or error}. Choose another gateway.push_port, or 0 for none."
        ) from error
    listener.listen(BACKLOG)
    return listener
