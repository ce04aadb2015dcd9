"""A new town's account."""

from deploy.broker.secrets import new_secret
from deploy.broker.settings import NatsSettings
from store.broker_accounts import BrokerAccount


def gateway_user(tenant_code: str) -> str:
    """Return the name with which the gateway connects for a town. No device can be called so."""
    return f"{tenant_code}/@gateway"


def new_account(tenant_id: int, tenant_code: str, settings: NatsSettings) -> BrokerAccount:
    """Make a town's account with fresh secrets.

    Partitions, window and ack_wait are written down as they are now: at the broker they freeze
    when an intake subscribes for the first time.
    """
    return BrokerAccount(
        tenant_id=tenant_id,
        tenant_code=tenant_code,
        partitions=settings.partitions,
        window_messages=settings.window_messages,
        ack_wait_s=settings.ack_wait_s,
        queue_bytes=settings.queue_bytes,
        gateway_user=gateway_user(tenant_code),
        gateway_password=new_secret(),
        client_id_secret=new_secret(),
    )
