"""Towns' accounts at the broker, and the devices that may connect to them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BrokerAccount:
    """A town's account at the broker. Secrets are left out of its text form."""

    tenant_id: int
    tenant_code: str
    partitions: int
    window_messages: int
    ack_wait_s: int
    queue_bytes: int
    gateway_user: str
    gateway_password: str = field(repr=False)
    client_id_secret: str = field(repr=False)

    def intake_client_id(self, partition_no: int) -> str:
        """Return the client id of the intake of one partition. A secret: never log it."""
        return f"mz-{self.client_id_secret}-{partition_no}"

    @property
    def status_client_id(self) -> str:
        """The client id for status messages and wills. A secret: never log it."""
        return f"mz-{self.client_id_secret}-s"


@dataclass(frozen=True, slots=True)
class BrokerDevice:
    """A device that may connect: a town's code, its own code, the hash of its secret."""

    tenant_code: str
    code: str
    secret_hash: str = field(repr=False)
