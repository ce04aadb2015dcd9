"""Towns' accounts at the broker, and the devices that may connect to them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from store import queries
from store.database import Connection


@dataclass(frozen=True, slots=True)
class BrokerAccount:
    """A town's account at the broker. Its text form holds no secrets."""

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

    def relay_client_id(self, operator_id: int) -> str:
        """Return the client id for the messages of an operator. A secret: never log it."""
        return f"mz-{self.client_id_secret}-o{operator_id}"


@dataclass(frozen=True, slots=True)
class BrokerDevice:
    """A device that may connect: a town's code, its own code, the hash of its secret."""

    tenant_code: str
    code: str
    secret_hash: str = field(repr=False)


def list_accounts(conn: Connection) -> list[BrokerAccount]:
    """Return every town's account by the town's code."""
    rows = conn.execute(queries.load("broker_accounts")["accounts"]).fetchall()
    return [BrokerAccount(*row) for row in rows]


def list_devices(conn: Connection) -> list[BrokerDevice]:
    """Return the devices of all towns that have a secret and are not retired."""
    rows = conn.execute(queries.load("broker_accounts")["devices"]).fetchall()
    return [BrokerDevice(*row) for row in rows]


def towns_without_account(conn: Connection) -> list[tuple[int, str]]:
    """Return (tenant_id, code) of the towns that the broker knows nothing of yet."""
    rows = conn.execute(queries.load("broker_accounts")["towns_without_account"]).fetchall()
    return [(tenant_id, code) for tenant_id, code in rows]


def add_account(conn: Connection, account: BrokerAccount) -> None:
    """Store a town's account; one that is there already stays as it is."""
    parameters = {
        "tenant_id": account.tenant_id,
        "partitions": account.partitions,
        "window_messages": account.window_messages,
        "ack_wait_s": account.ack_wait_s,
        "queue_bytes": account.queue_bytes,
        "gateway_user": account.gateway_user,
        "gateway_password": account.gateway_password,
        "client_id_secret": account.client_id_secret,
    }
    conn.execute(queries.load("broker_accounts")["add_account"], parameters)


def probes_seen(conn: Connection, nonces: Collection[str]) -> set[str]:
    """Return those of the test publishes that the gateway has seen."""
    rows = conn.execute(
        queries.load("broker_accounts")["probes_seen"], {"nonces": list(nonces)}
    ).fetchall()
    return {nonce for (nonce,) in rows}


def town_probe_seen(conn: Connection, nonce: str) -> bool:
    """Tell whether a gateway has seen a test publish of the town that the transaction serves."""
    statement = queries.load("broker_accounts")["town_probe_seen"]
    return conn.execute(statement, {"nonce": nonce}).fetchone() is not None


def see_probes(conn: Connection, probes: Iterable[tuple[str, int]]) -> None:
    """Tell provisioning which test publishes (nonce, tenant_id) came through."""
    seen = [{"nonce": nonce, "tenant_id": town} for nonce, town in probes]
    with conn.cursor() as cursor:
        cursor.executemany(queries.load("broker_accounts")["see_probe"], seen)
