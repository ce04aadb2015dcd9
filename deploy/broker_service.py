"""The broker as a service of its own: NATS, and what keeps its accounts equal to the database."""

import threading

import typer

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.nats import EmbeddedNats
from deploy.embedded.ports import Port
from deploy.settings import Settings
from deploy.supervisor.broker_keeper import BrokerKeeper
from deploy.supervisor.broker_store import BrokerStore
from store import programs

CONFIG_FILE = "nats.conf"
WATCH_S = 0.5


def run_broker(settings: Settings, stop: threading.Event) -> None:
    """Run NATS until `stop` is set, and let the devices of the database's towns in.

    Ports, store and administrator's password are those of the section ``[nats]``; configuration,
    lock and process id lie in `{data_dir}/broker`. The database must be migrated.

    Raises
    ------
    EmbeddedError
        NATS does not start, or ended by itself: whoever supervises us starts us again.
    """
    nats = settings.nats
    home = settings.embedded.data_dir / "broker"
    server = EmbeddedNats(
        home=home,
        config_file=home / CONFIG_FILE,
        monitor_port=nats.monitor_port,
        log_file=settings.embedded.data_dir / "log" / "broker-start.log",
        ports=(
            Port(nats.mqtt_host, nats.mqtt_port, "nats.mqtt_port"),
            Port(nats.client_host, nats.client_port, "nats.client_port"),
            Port("127.0.0.1", nats.monitor_port, "nats.monitor_port"),
        ),
        own_log=nats.log_file,
    )
    keeper = BrokerKeeper(settings, server, _say, programs.BROKER)
    store = BrokerStore(server, nats.store_dir, _say)
    try:
        keeper.start()
        while not stop.wait(WATCH_S):
            store.look()
            if not server.alive:
                raise EmbeddedError(f"NATS ended by itself; {nats.log_file or 'its log'} says why.")
    finally:
        keeper.close()
        server.stop()


def _say(line: str) -> None:
    typer.echo(line, err=True)
