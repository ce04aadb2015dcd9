"""Leases on intakes: the epoch that keeps a gateway from writing after another has taken over."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from store import queries
from store.binary import INT2, INT4, Column
from store.database import Connection
from store.errors import StoreError
from store.gateways import LEASE_S, Member, Unit


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write what came in on one partition of one town.

    `known` says whether somebody listened on it before: then the broker should know the session.
    """

    tenant_id: int
    partition_no: int
    epoch: int
    known: bool

    @property
    def unit(self) -> Unit:
        """What it is a lease on."""
        return self.tenant_id, self.partition_no


class LeaseLostError(StoreError):
    """Another gateway has taken over some intakes: those of `lost`."""

    def __init__(self, message: str, lost: Collection[Lease]) -> None:
        super().__init__(message)
        self.lost = tuple(lost)


def take(
    conn: Connection, wanted: Collection[Unit], member: Member, patience_s: float = LEASE_S
) -> list[Lease]:
    """Take those of `wanted` that nobody holds who is alive; each with a higher epoch than ever.

    What a transaction of a former holder has locked is left for another time.
    """
    parameters = {
        **_keys(wanted),
        "gateway_id": member.gateway_id,
        "holder": member.name,
        "patience_s": patience_s,
    }
    rows = conn.execute(queries.load("intake_lease")["take"], parameters).fetchall()
    return sorted((Lease(*row) for row in rows), key=lambda lease: lease.unit)


def fence(conn: Connection, leases: Collection[Lease]) -> None:
    """Hold these leases until the transaction ends.

    Raises
    ------
    LeaseLostError
        If somebody else has taken one of them.
    """
    if not leases:
        return
    keys = _keys([lease.unit for lease in leases])
    rows = conn.execute(queries.load("intake_lease")["fence"], keys).fetchall()
    now = {(tenant, partition): (epoch, holder) for tenant, partition, epoch, holder in rows}
    lost = [lease for lease in leases if now.get(lease.unit, (None, ""))[0] != lease.epoch]
    if lost:
        first = lost[0]
        holder = now.get(first.unit, (None, ""))[1] or "nobody: it is no more"
        raise LeaseLostError(
            f"{len(lost)} partitions have other holders now, the first of them partition "
            f"{first.partition_no} of town {first.tenant_id} ({holder})",
            lost,
        )


def _keys(pairs: Collection[Unit]) -> dict[str, Column]:
    keys = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return {"tenant_ids": Column(INT4, keys[:, 0]), "partitions": Column(INT2, keys[:, 1])}
