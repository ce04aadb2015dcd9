"""A town's sessions at the broker: which there are, and how they are called."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.operator_topics import needs_relay, parse_topics
from gateway.session import Session
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.topics import status_filter, up_filter
from store.broker_accounts import BrokerAccount
from store.gateways import Unit
from store.operators import Operator


@dataclass(frozen=True, slots=True)
class Sessions:
    """What is read under the lease of one partition.

    Attributes
    ----------
    readings
        The partition's own.
    status
        A town has one, and whoever holds its first partition has it.
    relays
        Operators whose messages are handed on to their devices; as `status`.
    """

    readings: Session
    status: Session | None = None
    relays: tuple[Session, ...] = ()


def partitions_of(account: BrokerAccount, broker: BrokerSettings) -> range:
    """Return the numbers of a town's partitions; one on a broker that has none."""
    return range(account.partitions if broker.kind == "nats" else 1)


def layout(
    accounts: Iterable[BrokerAccount],
    operators: Iterable[Operator],
    broker: BrokerSettings,
    settings: GatewaySettings,
) -> dict[Unit, Sessions]:
    """Describe what is read under the lease of each partition of each town."""
    guests = [one for one in operators if one.topic and needs_relay(one.topic, broker.kind)]
    found: dict[Unit, Sessions] = {}
    for account in accounts:
        for session in intake_sessions(account, broker, settings):
            unit = account.tenant_id, session.lease_no
            if session.lease_no:
                found[unit] = Sessions(session)
                continue
            own = [one for one in guests if one.tenant_id == account.tenant_id]
            found[unit] = Sessions(
                session,
                status_session(account, broker, settings),
                tuple(relay_session(account, one, broker, settings) for one in own),
            )
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


def relay_session(
    account: BrokerAccount, operator: Operator, broker: BrokerSettings, settings: GatewaySettings
) -> Session:
    """Describe the session for the messages of an operator that are handed on to its devices."""
    assert operator.topic is not None
    return _session(
        f"{account.tenant_code}/@{operator.code}",
        account,
        broker,
        settings,
        client_id=account.relay_client_id(operator.operator_id),
        topic_filter=parse_topics(operator.topic).filter,
        lease_no=0,
        partition_no=None,
        operator_topics=operator.topic,
        operator_codec=operator.codec,
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
    operator_topics: str = "",
    operator_codec: str = "",
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
        operator_topics=operator_topics,
        operator_codec=operator_codec,
    )
