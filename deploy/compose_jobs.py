"""Put the jobs together from the settings, and run them."""

from deploy.broker.errors import BrokerError
from deploy.compose_database import open_database
from deploy.quarantine_replay import replay
from deploy.settings import Settings
from deploy.signals import stop_event
from deploy.structured_log import configure_log
from jobs.errors import BrokerAwayError
from jobs.service import run
from jobs.town_publisher import BrokerAddress
from store import programs, town_catalog
from store.database import Database


def run_jobs(settings: Settings) -> None:
    """Do what nobody waits for until SIGINT or SIGTERM."""
    configure_log(settings.log, "jobs")
    stop = stop_event()
    broker = settings.broker
    address = BrokerAddress(broker.host or "127.0.0.1", broker.port, broker.tls_ca)
    with open_database(settings, "jobs", name=programs.JOBS, max_size=6) as database:
        run(
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
