"""A town's intakes: which sessions there are at the broker, and how they are called."""

from collections.abc import Iterator

from gateway.session import Session
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.topics import status_filter, up_filter
from store.broker_accounts import BrokerAccount


def partitions_of(account: BrokerAccount, broker: BrokerSettings) -> range:
    """Return the numbers of a town's partitions; one on a broker that has none."""
    return range(account.partitions if broker.kind == "nats" else 1)


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
    partition_no: int | None,
) -> Session:
    return Session(
        name=name,
        tenant_id=account.tenant_id,
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
