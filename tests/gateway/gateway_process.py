"""A gateway as a process of its own, for tests that kill it: DSN, port, settings as JSON."""

import json
import signal
import sys
import threading

from gateway.service import run
from gateway.settings import BrokerSettings, GatewaySettings
from store.database import Database

if __name__ == "__main__":
    dsn, port, settings = sys.argv[1:4]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Database(dsn, name="test-gateway-process") as database:
        run(
            BrokerSettings(host="127.0.0.1", port=int(port)),
            GatewaySettings(**json.loads(settings)),
            database,
            stop,
        )
