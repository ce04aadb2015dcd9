"""Put gateway, API and jobs together from the settings, and run one of them."""

import socket
import sys

import psycopg

from api import service as api_service
from deploy.broker.errors import BrokerError, BrokerUnreachableError
from deploy.broker.monitor import Monitor
from deploy.compose_database import open_database
from deploy.provisioning import provisioning
from deploy.quarantine_replay import replay
from deploy.settings import Settings
from deploy.signals import stop_event
from deploy.structured_log import configure_log
from gateway import service as gateway_service
from jobs import service as jobs_service
from jobs.errors import BrokerAwayError
from jobs.town_publisher import BrokerAddress
from store import gateways, town_catalog
from store.database import Database
from store.errors import StoreError
from store.gateways import session_name

BROKER_WITHIN_S = 2.0
# The gateway's threads take turns. With Python's 5 ms, each of a commit's ten answers from the
# database would wait so long for an intake that takes messages apart.
GATEWAY_SWITCH_S = 0.0005
TOWN_MAPS = "maps"  # in the data directory


def run_gateway(settings: Settings, name: str = "", metrics_port: int | None = None) -> None:
    """Take readings in until SIGINT or SIGTERM; what was taken is committed first.

    Parameters
    ----------
    settings
        Of all gateways.
    name, metrics_port
        Of this one; `gateway.metrics_port` unless given.
    """
    configure_log(settings.log, "gateway")
    sys.setswitchinterval(GATEWAY_SWITCH_S)
    stop = stop_event()
    member = gateway_service.new_member(name)
    own = settings.gateway
    if metrics_port is not None:
        own = own.model_copy(update={"metrics_port": metrics_port})
    session = session_name(member.gateway_id)
    # The worker, its signs of life, the relays, and two threads of the HTTP listener.
    with open_database(settings, "gateway", name=session, max_size=6) as database:
        gateway_service.run(settings.broker, own, database, member, stop)


def run_jobs(settings: Settings) -> None:
    """Do what nobody waits for until SIGINT or SIGTERM."""
    configure_log(settings.log, "jobs")
    stop = stop_event()
    broker = settings.broker
    address = BrokerAddress(broker.host or "127.0.0.1", broker.port, broker.tls_ca)
    with open_database(settings, "jobs", name="mizumori-jobs", max_size=6) as database:
        jobs_service.run(
            settings.jobs,
            database,
            address,
            stop,
            lambda town, device: _replay(settings, database, town, device),
        )


def _replay(settings: Settings, database: Database, town: str, device: str) -> int:
    """Send a device's refused messages again, for the jobs; returns how many."""
    with database.transaction() as connection:
        tenant = town_catalog.tenant(connection, town)
    if tenant is None:
        return 0
    try:
        return replay(settings, database, tenant, device=device).replayed
    except BrokerError as error:
        raise BrokerAwayError(str(error)) from error


def run_api(settings: Settings) -> None:
    """Serve API and console until SIGINT or SIGTERM; open live feeds get a moment to end."""
    configure_log(settings.log, "api")
    api = settings.api
    if api.town_maps is None:
        api = api.model_copy(update={"town_maps": settings.embedded.data_dir / TOWN_MAPS})
    # Each request thread may hold a connection, and the live feed one more.
    with open_database(settings, "api", name="mizumori-api", max_size=api.threads + 1) as database:
        checks = {
            "broker": lambda: _broker_problem(settings),
            "gateway": lambda: _gateway_problem(database),
        }
        api_service.run(api, database, checks, provisioning(settings))


def _gateway_problem(database: Database) -> str | None:
    """Say which towns no gateway listens to, for the API's /ready; None if each is listened to."""
    try:
        with database.transaction() as connection:
            found = gateways.listening(connection)
    except (StoreError, psycopg.Error):
        return "Whether a gateway listens cannot be told while the database is away."
    return " ".join(town.problem for town in found if town.problem) or None


def _broker_problem(settings: Settings) -> str | None:
    """Say what is wrong with the broker, for the API's /ready; None if it answers."""
    where = (settings.broker.host or "127.0.0.1", settings.broker.port)
    try:
        socket.create_connection(where, timeout=BROKER_WITHIN_S).close()
    except OSError as error:
        return f"The MQTT broker at {where[0]}:{where[1]} does not answer: {error}."
    if settings.broker.kind != "nats":
        return None
    try:
        complaint = Monitor(settings.nats.monitor_port).complaint()
    except BrokerUnreachableError:
        return None  # its monitoring is on another machine's loopback
    return f"The broker does not store messages: {complaint}." if complaint else None
