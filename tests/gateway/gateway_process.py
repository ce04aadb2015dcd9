"""A gateway as a process of its own, for tests that kill it: DSN, port, settings, name, broker."""

import json
import signal
import sys
import threading

from gateway.service import new_member, run
from gateway.settings import BrokerSettings, GatewaySettings
from store.database import Database
from store.gateways import session_name

if __name__ == "__main__":
    dsn, port, settings, name, kind = sys.argv[1:6]
    member = new_member(name)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Database(dsn, name=session_name(member.gateway_id)) as database:
        run(
            BrokerSettings(kind=kind, host="127.0.0.1", port=int(port)),
            GatewaySettings(**json.loads(settings)),
            database,
            member,
            stop,
        )
