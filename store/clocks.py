"""What devices' clocks did wrong."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from store import queries
from store.database import Connection

_SQL = queries.load("clocks")


@dataclass(frozen=True, slots=True)
class ClockFaults:
    """What one batch shows of a device's clock; `ahead_s` None: it was refused."""

    device_id: int
    tenant_id: int
    too_early: int
    in_future: int
    suspect: int
    last_ms: int
    ahead_s: float | None


def count(conn: Connection, faults: Sequence[ClockFaults]) -> None:
    """Add to what was counted before."""
    if faults:
        with conn.cursor() as cursor:
            cursor.executemany(_SQL["count"], [asdict(one) for one in faults])
