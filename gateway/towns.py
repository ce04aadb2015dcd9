"""A town's sessions at the broker: which there are, and how they are called."""

from collections.abc import Iterable, Iterator

from gateway.session import Session
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.topics import status_filter, up_filter
from store.broker_accounts import BrokerAccount
from store.gateways import Unit


def partitions_of(account: BrokerAccount, broker: BrokerSettings) -> range:
    """Return the numbers of a town's partitions; one on a broker that has none."""
    return range(account.partitions if broker.kind == "nats" else 1)


def layout(
    accounts: Iterable[BrokerAccount], broker: BrokerSettings, settings: GatewaySettings
) -> dict[Unit, tuple[Session, Session | None]]:
    """Describe what is read under the lease of each partition of each town.

    Returns
    -------
    dict
        The session for readings, and with a town's first partition the one for its status
        messages: a town has one, and whoever holds that partition has it.
    """
    found: dict[Unit, tuple[Session, Session | None]] = {}
    for account in accounts:
        for session in intake_sessions(account, broker, settings):
            status = None if session.lease_no else status_session(account, broker, settings)
            found[account.tenant_id, session.lease_no] = (session, status)
    return found


def intake_sessions(
    account: BrokerAccount, broker: BrokerSettings, settings: GatewaySettings
) -> Iterator[Session]:
    """Describe the session of each partition: one subscription each, as the window is shared."""
    partitioned = broker.kind == "nats"
    for number in partitions_of(account, broker):
        yield _session(
            f"{account.tenant_code}/{number}",
            account,
            broker,
            settings,
            client_id=account.intake_client_id(number),
            topic_filter=up_filter(account.tenant_code, number if partitioned else None),
            lease_no=number,
            partition_no=number if partitioned else None,
        )


def status_session(
    account: BrokerAccount, broker: BrokerSettings, settings: GatewaySettings
) -> Session:
    """Describe the session for status messages and last wills."""
    return _session(
        f"{account.tenant_code}/status",
        account,
        broker,
        settings,
        client_id=account.status_client_id,
        topic_filter=status_filter(account.tenant_code),
        lease_no=0,
        partition_no=None,
    )


def _session(
    name: str,
    account: BrokerAccount,
    broker: BrokerSettings,
    settings: GatewaySettings,
    *,
    client_id: str,
    topic_filter: str,
    lease_no: int,
    partition_no: int | None,
) -> Session:
    return Session(
        name=name,
        tenant_id=account.tenant_id,
        lease_no=lease_no,
        partition_no=partition_no,
        partitions=account.partitions,
        host=broker.host,
        port=broker.port,
        user=account.gateway_user,
        password=account.gateway_password,
        client_id=client_id,
        topic_filter=topic_filter,
        window_messages=account.window_messages,
        mqtt5=broker.kind != "nats",
        keepalive_s=settings.keepalive_s,
        tls_ca=broker.tls_ca,
    )
