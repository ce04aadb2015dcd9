"""How far devices' clocks are ahead: the largest lead of what each of them sends.

A reading's lead is its phenomenon time minus the time of its receipt: what the clock is ahead,
less the reading's way here. Delay only ever makes it smaller, so the largest one of a window is
what the clock is ahead at least, however many readings came late.
"""

from typing import TYPE_CHECKING

import numpy as np

from gateway.batch import Rows
from gateway.registry import Registry
from store.clocks import WINDOW_MS, Leads
from store.marks import Mark
from store.positions import Positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What comes later than this was kept by a logger or an import and says nothing of a clock.
MOST_BEHIND_MS = 86_400_000
# A lead that is larger by less is not worth a row: networks are not that even.
WORTH_MS = 500
_NONE = np.iinfo(np.int64).min


class LeadWatch:
    """Remembers what was written in the present window, so that little is written."""

    def __init__(self) -> None:
        self._window: NDArray[np.int64] = np.full(0, _NONE)
        self._lead: NDArray[np.int64] = np.full(0, _NONE)

    def due(self, rows: Rows, positions: Positions, registry: Registry) -> Leads:
        """Return what a batch shows that is not written yet.

        Parameters
        ----------
        rows, positions
            What is stored of the batch.
        """
        device = np.concatenate([registry.device_id[rows.sensor], positions.device_id])
        tenant = np.concatenate([registry.tenant_id[rows.sensor], positions.tenant_id])
        received = np.concatenate([rows.received_ms, positions.received_ms])
        lead = np.concatenate([rows.time_ms, positions.time_ms]) - received
        marks = np.concatenate([rows.marks, positions.marks])
        own = (marks & np.int16(Mark.NO_DEVICE_TIME) == 0) & (lead > -MOST_BEHIND_MS)
        if not own.any():
            return Leads.none()
        window_ms = int(received[own].max()) // WINDOW_MS * WINDOW_MS
        device, first, place = np.unique(device[own], return_index=True, return_inverse=True)
        self._grow(int(device[-1]) + 1)
        top = np.full(len(device), _NONE)
        np.maximum.at(top, place, lead[own])
        window, known = self._window[device], self._lead[device]
        due = (window < window_ms) | (window == window_ms) & (top >= known + WORTH_MS)
        if not due.any():
            return Leads.none()
        return Leads(device[due], tenant[own][first[due]], window_ms, top[due])

    def committed(self, leads: Leads) -> None:
        """Remember what was written."""
        self._window[leads.device_id] = leads.window_ms
        self._lead[leads.device_id] = leads.lead_ms

    def _grow(self, length: int) -> None:
        if length > len(self._lead):
            more = np.full(2 * length - len(self._lead), _NONE)
            self._window = np.concatenate([self._window, more])
            self._lead = np.concatenate([self._lead, more])
