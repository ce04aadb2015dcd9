"""Every check of `mizumori doctor`, in the order in which one thing needs another."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg

from deploy.broker import findings as broker_findings
from deploy.broker.errors import BrokerError
from deploy.broker.probe import probe as probe_town
from deploy.compose_database import open_database
from deploy.doctor import machine
from deploy.doctor.finding import Finding, Verdict
from deploy.embedded.postgres import last_words
from deploy.settings import Settings, SettingsError
from deploy.supervisor.broker_keeper import mqtt_address
from store import broker_accounts, gateways, migrate
from store.broker_accounts import BrokerAccount, BrokerDevice
from store.database import Database
from store.errors import StoreError

VERDICTS: dict[broker_findings.Severity, Verdict] = {
    broker_findings.Severity.GOOD: "ok",
    broker_findings.Severity.WARNING: "warn",
    broker_findings.Severity.ALARM: "fail",
}


def examine(settings: Settings, *, probe: bool) -> Iterator[Finding]:
    """Look at everything; what cannot be asked is a finding, never an exception.

    Parameters
    ----------
    settings
        Of the system to look at.
    probe
        Whether to send a test message through every partition of every town.
    """
    yield from machine.versions()
    data_dir = settings.embedded.data_dir
    if data_dir.exists():
        folders = {
            "data": data_dir,
            "database": (settings.embedded.postgres_dir or data_dir / "postgres") / "cluster",
            "broker's messages": settings.nats.store_dir,
        }
        yield from machine.disk({what: where for what, where in folders.items() if where.exists()})
    follows = machine.synchronised()
    if follows is not None:
        yield follows
    try:
        database = open_database(settings, "owner", name="mizumori-doctor", max_size=1)
    except SettingsError as error:
        yield Finding("fail", "database", str(error))
        return
    with database:
        yield from _examine_services(settings, database, probe=probe)


def _examine_services(settings: Settings, database: Database, *, probe: bool) -> Iterator[Finding]:
    try:
        with database.transaction() as connection:
            [[version, now]] = connection.execute(
                "select current_setting('server_version'), clock_timestamp()"
            ).fetchall()
            asked_at = datetime.now(UTC)
            at_version = migrate.schema_version(connection)
            accounts = broker_accounts.list_accounts(connection) if at_version else []
            devices = broker_accounts.list_devices(connection) if at_version else []
    except StoreError as error:
        log = settings.embedded.data_dir / "log" / "postgres.log"
        said = f" Its log says: {last_words(log)}" if log.exists() else ""
        yield Finding("fail", "database", f"{error}{said}")
        return
    known = len(migrate.migrations(migrate.Engine.PLAIN))
    if at_version == known:
        yield Finding("ok", "database", f"PostgreSQL {version}, schema version {at_version}")
    else:
        yield Finding(
            "fail",
            "database",
            f"PostgreSQL {version} has schema version {at_version}, this program needs {known}: "
            "run `mizumori migrate`",
        )
    yield machine.clock(now, asked_at)
    yield from _examine_broker(settings, database, accounts, devices, probe=probe)


def _examine_broker(
    settings: Settings,
    database: Database,
    accounts: list[BrokerAccount],
    devices: list[BrokerDevice],
    *,
    probe: bool,
) -> Iterator[Finding]:
    if not settings.broker.host:
        yield Finding("fail", "broker", "broker.host is not set and no `mizumori up` has run here")
        return
    if settings.broker.kind == "nats":
        for found in broker_findings.examine(accounts, devices, settings.nats):
            town = f"{found.town}: " if found.town else ""
            yield Finding(VERDICTS[found.severity], "broker", town + found.sentence)
    yield from _examine_gateways(database)
    if not accounts:
        yield Finding("ok", "towns", "there are none yet: mizumori tenant add")
    if probe:
        for account in accounts:
            yield _probe(settings, database, account)


def _examine_gateways(database: Database) -> Iterator[Finding]:
    """Say which towns are listened to, as the gateways themselves say with each sign of life."""
    try:
        with database.transaction() as connection:
            towns = gateways.listening(connection)
    except (StoreError, psycopg.Error) as error:
        yield Finding("fail", "gateway", str(error))
        return
    for town in towns:
        if town.problem is not None:
            yield Finding("fail", "gateway", town.problem)
            continue
        waits = f"; {town.waiting} messages wait in memory" if town.waiting else ""
        text = f"{town.code}: somebody listens to all {town.partitions} partitions{waits}"
        yield Finding("ok", "gateway", text)


def _probe(settings: Settings, database: Database, account: BrokerAccount) -> Finding:
    town = account.tenant_code
    try:
        missing = probe_town(account, mqtt_address(settings), database)
    except (BrokerError, StoreError) as error:
        return Finding("fail", "gateway", f"{town}: {error}")
    if missing:
        numbers = ", ".join(map(str, missing))
        return Finding(
            "fail",
            "gateway",
            f"{town}: test messages on partition {numbers} did not arrive: is the gateway "
            "running? Its log says more",
        )
    return Finding("ok", "gateway", f"{town}: a test message on every partition has arrived")
