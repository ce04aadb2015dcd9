"""What devices' clocks did wrong, and how far they are ahead."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from store import queries
from store.binary import FLOAT8, INT4, TIMESTAMPTZ, Column
from store.database import Connection

_SQL = queries.load("clocks")
# Of how much received time the largest lead is taken. Several readings of every device fall into
# it, so that one of them came without delay; and a clock that was set right shows soon.
WINDOW: Final = timedelta(hours=6)
WINDOW_MS: Final = WINDOW // timedelta(milliseconds=1)
# A clock drifts where the largest leads of windows without a gap between them lie on a line: a
# clock that was set or started anew steps, and delays are never so even. Four points, because three
# lie on one by chance: leads that scatter by 100 s do for 3 % of the time, with four for 0.1 %.
LINE: Final = 4
# How far the next lead may lie off the line: by what the least delayed readings of windows are
# delayed, and by what the warmth of a day does to a quartz.
MOST_OFF_S: Final = 5.0
MOST_OFF_SHARE: Final = 0.1
# A device that is behind and comes nearer by more is not shown to drift: it may be sending what it
# has kept. The worst quartz gains less.
CATCHING_UP_S_PER_DAY: Final = 600.0


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


@dataclass(frozen=True, eq=False)
class Leads:
    """The largest lead of n devices in one window.

    Attributes
    ----------
    device_id, tenant_id : int32[n]
    window_ms
        Where the window begins, by received time.
    lead_ms : int64[n]
        Phenomenon time minus received time.
    """

    device_id: NDArray[np.int32]
    tenant_id: NDArray[np.int32]
    window_ms: int
    lead_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.device_id)

    @classmethod
    def none(cls) -> "Leads":
        """Return those of no device."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.int32), 0, np.zeros(0, np.int64))


def count(conn: Connection, faults: Sequence[ClockFaults]) -> None:
    """Add to what was counted before."""
    if faults:
        with conn.cursor() as cursor:
            cursor.executemany(_SQL["count"], [asdict(one) for one in faults])


def write_leads(conn: Connection, leads: Leads) -> None:
    """Keep the largest lead of each device's present window, and the line that they lie on."""
    if not len(leads.device_id):
        return
    parameters = {
        "device_id": Column(INT4, leads.device_id),
        "tenant_id": Column(INT4, leads.tenant_id),
        "window_at": Column(TIMESTAMPTZ, np.full(len(leads.device_id), leads.window_ms)),
        "lead_s": Column(FLOAT8, leads.lead_ms / 1000.0),
        "window": WINDOW,
        "line": LINE,
        "most_s": MOST_OFF_S,
        "share": MOST_OFF_SHARE,
    }
    conn.execute(_SQL["write_leads"], parameters)
