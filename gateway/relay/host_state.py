"""Whether the host application is there, as Sparkplug's edge nodes see it.

An edge node that has us as its primary host keeps its data while we are away and sends them as
historical later. The topic is retained, and its will says that we are gone if we vanish.
"""

import json
import threading
import time

from gateway.publisher import Publisher
from gateway.settings import BrokerSettings
from gateway.sparkplug.topic import NAMESPACE, STATE
from store.broker_accounts import BrokerAccount


class HostState:
    """Says it when it changes.

    Parameters
    ----------
    broker, account, keepalive_s
        See `gateway.publisher.Publisher`.
    """

    def __init__(self, broker: BrokerSettings, account: BrokerAccount, keepalive_s: int) -> None:
        self._broker = broker
        self._account = account
        self._keepalive_s = keepalive_s
        self._topic = f"{NAMESPACE}/{STATE}/{host_id(account.tenant_code)}"
        self._publisher: Publisher | None = None
        self._ended = threading.Event()

    def say(self, *, online: bool) -> None:
        """Say whether we listen, if that is news.

        Raises
        ------
        BrokerAwayError
        """
        if self._ended.is_set():
            self._forget()
        if online and self._publisher is None:
            self._ended.clear()
            now_ms = round(time.time() * 1000)
            publisher = Publisher(
                self._broker,
                self._account,
                self._keepalive_s,
                ended=self._ended.set,
                will=(self._topic, _state(now_ms, online=False)),
            )
            publisher.publish([(self._topic, _state(now_ms, online=True))], retain=True)
            self._publisher = publisher
        elif not online and self._publisher is not None:
            publisher, self._publisher = self._publisher, None
            now_ms = round(time.time() * 1000)
            [sent] = publisher.publish([(self._topic, _state(now_ms, online=False))], retain=True)
            sent.wait_for_publish(1.0)
            publisher.close()

    def _forget(self) -> None:
        self._ended.clear()
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None


def host_id(town: str) -> str:
    """Return what a town's host is called in an edge node's configuration."""
    return f"mizumori-{town}"


def _state(timestamp_ms: int, *, online: bool) -> bytes:
    return json.dumps({"online": online, "timestamp": timestamp_ms}).encode()
