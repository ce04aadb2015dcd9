"""Keeps the embedded broker's accounts equal to the database while everything runs."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg

from deploy.broker.account_admin import AccountAdmin
from deploy.broker.errors import BrokerError, BrokerUnreachableError
from deploy.broker.mqtt_client import MqttAddress
from deploy.broker.nats_config import STORED_WITHIN_S
from deploy.broker.town_accounts import TownAccounts
from deploy.compose_database import open_database
from deploy.embedded.nats import EmbeddedNats
from deploy.settings import Settings
from store import broker_accounts, config_channel, programs
from store.errors import StoreError

COALESCE_S = 0.3  # a town's hundred new devices are one reload
RETRY_S = 2.0
# NATS that let nobody in for minutes and did not say why was met once in some 300 kills. On a slow
# disk, too, everybody may have to wait for a minute.
SILENT_S = STORED_WITHIN_S + 30.0
CHANNEL = "mizumori_config"


class BrokerKeeper:
    """Starts the broker with closed doors, lets devices in, and follows the database's changes.

    Parameters
    ----------
    settings
        With the embedded services' ports and passwords.
    server
        The broker's process.
    say
        Tells the person at the terminal.
    name
        Of the program that it is a part of, as `store.programs` has it.
    """

    def __init__(
        self,
        settings: Settings,
        server: EmbeddedNats,
        say: Callable[[str], None],
        name: str = programs.UP,
    ) -> None:
        self.server = server
        self._say = say
        self._database = open_database(settings, "owner", name=name, max_size=2)
        self._accounts = TownAccounts(
            database=self._database,
            settings=settings.nats,
            config_file=server.config_file,
            mqtt=mqtt_address(settings),
            reload=server.reload,
        )
        self._stop = threading.Event()
        self._renewing = threading.Lock()
        self._complaint = ""
        self._silent_since_s: float | None = None
        self._thread = threading.Thread(target=self._follow, name="broker-accounts", daemon=True)

    def start(self) -> None:
        """Start the broker, let the devices of prepared towns in, and follow changes."""
        self.start_server()
        self._thread.start()

    def start_server(self) -> None:
        """Start the broker, at first or again, with the doors closed until sessions exist."""
        with self._renewing:
            self.server.claim()
            if not self.server.is_running():
                self._accounts.close_doors()
            self.server.start()
        self.renew()

    def renew(self) -> bool:
        """Bring accounts and sessions up to date; False: not everything, try again."""
        with self._renewing:
            try:
                renewal = self._accounts.renew()
                if renewal.changed:
                    self._tell()
            except BrokerUnreachableError as error:
                self._complain(str(error))
                self._end_if_silent()
                return False
            except (BrokerError, StoreError) as error:
                self._silent_since_s = None
                return self._complain(str(error))
        self._silent_since_s = None
        if renewal.refused:
            town, reason = next(iter(renewal.refused.items()))
            return self._complain(f"Devices of {town} are not let in yet: {reason}")
        self._complaint = ""
        return not renewal.unfinished

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self._database.close()

    def _tell(self) -> None:
        """Let the gateway find accounts that were made after it was told of their towns."""
        with self._database.transaction() as connection:
            config_channel.notify(connection, "broker")

    def _complain(self, what: str) -> bool:
        # An outage is told once, not with each attempt.
        if what != self._complaint and not self._stop.is_set():
            self._complaint = what
            self._say(what)
        return False

    def _end_if_silent(self) -> None:
        """End a broker that runs and has not answered for long: it is started again then."""
        now_s = time.monotonic()
        if self._silent_since_s is None or not self.server.alive:
            self._silent_since_s = now_s
        elif now_s - self._silent_since_s > SILENT_S:
            self._silent_since_s = None
            self._say(f"The broker has not answered for {SILENT_S:.0f} s: it is started again.")
            self.server.end()

    def _follow(self) -> None:
        while not self._stop.is_set():
            with suppress(StoreError, psycopg.OperationalError):
                self._listen()
            self._stop.wait(RETRY_S)

    def _listen(self) -> None:
        with self._database.connect() as connection:
            connection.execute(f"listen {CHANNEL}")
            done = self.renew()  # what changed while nobody listened
            while not self._stop.is_set():
                told = any(True for _ in connection.notifies(timeout=0.5, stop_after=1))
                if told:
                    time.sleep(COALESCE_S)
                    for _ in connection.notifies(timeout=0):
                        pass
                if told or not done:
                    if not told:
                        self._stop.wait(RETRY_S)
                    done = self.renew()


def mqtt_address(settings: Settings) -> MqttAddress:
    """Return where the broker takes MQTT."""
    return MqttAddress(settings.broker.host, settings.broker.port, settings.broker.tls_ca)


def gateway_listens(settings: Settings) -> bool:
    """Tell whether the gateway is connected with every session of every town."""
    with (
        open_database(settings, "owner", name=programs.UP, max_size=1) as database,
        database.transaction() as connection,
    ):
        accounts = broker_accounts.list_accounts(connection)
    for account in accounts:
        try:
            with AccountAdmin(settings.nats, account.tenant_code) as admin:
                sessions = admin.sessions()
        except BrokerError:
            return False
        if len(sessions) <= account.partitions or not all(s.connected for s in sessions):
            return False
    return True
