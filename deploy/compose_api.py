"""Put the API together from the settings, and run it."""

import socket

import psycopg

from api.service import run
from deploy.broker.errors import BrokerUnreachableError
from deploy.broker.monitor import Monitor
from deploy.compose_database import open_database
from deploy.embedded.data_dir import DataDir
from deploy.provisioning import provisioning
from deploy.settings import Settings
from deploy.structured_log import configure_log
from detectors.sentence import Sentence
from store import gateways
from store.database import Database
from store.errors import StoreError

BROKER_WITHIN_S = 2.0


def run_api(settings: Settings) -> None:
    """Serve API and console until SIGINT or SIGTERM; open live feeds get a moment to end."""
    configure_log(settings.log, "api")
    api = settings.api
    if api.town_maps is None:
        api = api.model_copy(update={"town_maps": DataDir(settings.embedded.data_dir).maps})
    # Each request thread may hold a connection, and the live feed one more.
    with open_database(settings, "api", name="mizumori-api", max_size=api.threads + 1) as database:
        checks = {
            "broker": lambda: _broker_problems(settings),
            "gateway": lambda: _gateway_problems(database),
        }
        run(api, database, checks, provisioning(settings))


def _gateway_problems(database: Database) -> list[Sentence]:
    """Say which towns no gateway listens to, for the API's /ready."""
    try:
        with database.transaction() as connection:
            found = gateways.listening(connection)
    except (StoreError, psycopg.Error):
        return [Sentence("Whether a gateway listens cannot be told while the database is away.")]
    return [town.problem for town in found if town.problem]


def _broker_problems(settings: Settings) -> list[Sentence]:
    """Say what is wrong with the broker, for the API's /ready."""
    host, port = settings.broker.host or "127.0.0.1", settings.broker.port
    try:
        socket.create_connection((host, port), timeout=BROKER_WITHIN_S).close()
    except OSError as error:
        return [
            Sentence(
                "The MQTT broker at {host}:{port} does not answer: {error}.",
                host=host,
                port=port,
                error=error,
            )
        ]
    if settings.broker.kind != "nats":
        return []
    try:
        complaint = Monitor(settings.nats.monitor_port).complaint()
    except BrokerUnreachableError:
        return []  # its monitoring is on another machine's loopback
    if not complaint:
        return []
    return [Sentence("The broker does not store messages: {complaint}.", complaint=complaint)]
