"""Whether the host application is there, as Sparkplug's edge nodes see it.

An edge node that has us as its primary host keeps its data while we are away and sends them as
historical later. The topic is retained, and its will says that we are gone if we vanish.

Another gateway may have taken over when a former one says so, or when the broker does after a
frozen one: a death has the time of its birth, by which edge nodes know it as an old one, and who is
there says so again and again, so that it does not stay on the topic.
"""

import contextlib
import json
import threading
import time

from gateway.publisher import Publisher
from gateway.settings import BrokerSettings
from gateway.sparkplug.topic import NAMESPACE, STATE
from store.broker_accounts import BrokerAccount

# How long the death of a former gateway may stand.
AGAIN_S = 10.0


class HostState:
    """Says it when it changes, and again after `AGAIN_S`.

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
        self._born_ms = 0
        self._said = 0.0
        self._ended = threading.Event()

    def say(self, *, online: bool) -> None:
        """Say whether we listen, if that is news or was said long ago.

        Raises
        ------
        BrokerAwayError
        """
        if self._ended.is_set():
            self._forget()
        if online and self._publisher is None:
            self._ended.clear()
            self._born_ms = round(time.time() * 1000)
            self._publisher = Publisher(
                self._broker,
                self._account,
                self._keepalive_s,
                ended=self._ended.set,
                will=(self._topic, self._state(online=False)),
            )
            self._said = -AGAIN_S
        if online and self._publisher and time.monotonic() - self._said >= AGAIN_S:
            self._said = time.monotonic()
            self._publisher.publish([(self._topic, self._state(online=True))], retain=True)
        elif not online and self._publisher is not None:
            publisher, self._publisher = self._publisher, None
            [sent] = publisher.publish([(self._topic, self._state(online=False))], retain=True)
            with contextlib.suppress(RuntimeError, ValueError):  # it went with the connection
                sent.wait_for_publish(1.0)
            publisher.close()

    def _state(self, *, online: bool) -> bytes:
        return json.dumps({"online": online, "timestamp": self._born_ms}).encode()

    def _forget(self) -> None:
        self._ended.clear()
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None


def host_id(town: str) -> str:
    """Return what a town's host is called in an edge node's configuration."""
    return f"mizumori-{town}"
