"""The NATS server's monitoring pages, on loopback."""

import contextlib
import http.client
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.broker.errors import BrokerUnreachableError

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class ServerState:
    """What the server says of itself.

    `config_loaded_at` is when it last read its configuration and took it.
    """

    version: str
    config_loaded_at: datetime
    sync_always: bool
    store_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Visit:
    """A connection, present or lately closed, of somebody who said a user name."""

    number: int
    user: str
    began_at: datetime
    let_in: bool


@dataclass(frozen=True, slots=True)
class Monitor:
    """Asks the monitoring port of a server on this machine."""

    port: int

    def server(self) -> ServerState:
        """Return the server's state.

        Raises
        ------
        BrokerUnreachableError
            Nobody answers on the monitoring port, or not as NATS does.
        """
        page = self._get("/varz")
        jetstream = page.get("jetstream", {})
        return ServerState(
            version=str(page.get("version", "")),
            config_loaded_at=datetime.fromisoformat(str(page["config_load_time"])),
            sync_always=bool(jetstream.get("config", {}).get("sync_always", False)),
            store_bytes=int(jetstream.get("config", {}).get("max_storage", 0)),
            stored_bytes=int(jetstream.get("stats", {}).get("storage", 0)),
        )

    def complaint(self) -> str:
        """Return what the server says is wrong with it or its store; "" if it is well.

        Raises
        ------
        BrokerUnreachableError
            Nobody answers on the monitoring port, or not as NATS does.
        """
        page = self._get("/healthz")
        return "" if page.get("status") == "ok" else str(page.get("error") or page)

    def visits(self) -> list[Visit]:
        """Return who is connected, or was lately.

        Raises
        ------
        BrokerUnreachableError
            Nobody answers on the monitoring port, or not as NATS does.
        """
        page = self._get("/connz?auth=1&state=any&limit=16384")
        return [
            Visit(
                number=int(connection["cid"]),
                user=str(connection["authorized_user"]),
                began_at=datetime.fromisoformat(str(connection["start"])),
                let_in=not str(connection.get("reason", "")).startswith("Authentication"),
            )
            for connection in page.get("connections", [])
            if connection.get("authorized_user")
        ]

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                page = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise BrokerUnreachableError(
                    f"NATS does not answer on its monitoring port {self.port}: {error}. "
                    "Does it run, and on this machine?"
                ) from error
        if not isinstance(page, dict):
            raise BrokerUnreachableError(f"What answers on port {self.port} is not NATS")
        return page
