"""Leases on intakes: the epoch that keeps a gateway from writing after another has taken over."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from store import queries
from store.binary import INT2, INT4, Column, use_columns
from store.database import Connection
from store.errors import StoreError


class LeaseLostError(StoreError):
    """Another gateway has taken over an intake."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write what came in on one partition of one town.

    `known` says whether somebody listened on it before: then the broker should know the session.
    """

    tenant_id: int
    partition_no: int
    epoch: int
    known: bool


def take(conn: Connection, wanted: Collection[tuple[int, int]], holder: str) -> list[Lease]:
    """Take (tenant_id, partition_no) over from whoever held them.

    Waits for a transaction of the former holder to end; its next one fails.
    """
    use_columns(conn)
    parameters = {**_keys(wanted), "holder": holder}
    rows = conn.execute(queries.load("intake_lease")["take"], parameters).fetchall()
    return [Lease(*row) for row in rows]


def fence(conn: Connection, leases: Collection[Lease]) -> None:
    """Hold these leases until the transaction ends.

    Raises
    ------
    LeaseLostError
        If somebody else has taken one of them.
    """
    use_columns(conn)
    keys = _keys([(lease.tenant_id, lease.partition_no) for lease in leases])
    rows = conn.execute(queries.load("intake_lease")["fence"], keys).fetchall()
    now = {(tenant, partition): (epoch, holder) for tenant, partition, epoch, holder in rows}
    for lease in leases:
        epoch, holder = now.get((lease.tenant_id, lease.partition_no), (None, "nobody"))
        if epoch != lease.epoch:
            raise LeaseLostError(
                f"partition {lease.partition_no} of town {lease.tenant_id} has been taken over by "
                f"{holder or 'another gateway'}; this one stops. Two gateways for one broker are "
                "one too many"
            )


def _keys(pairs: Collection[tuple[int, int]]) -> dict[str, Column]:
    keys = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return {"tenant_ids": Column(INT4, keys[:, 0]), "partitions": Column(INT2, keys[:, 1])}
