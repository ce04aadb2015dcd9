"""How far devices' clocks are ahead: the largest lead of what each of them sends.

A reading's lead is its phenomenon time minus the time of its receipt: what the clock is ahead,
less the reading's way here. Delay only ever makes it smaller, so the largest one of a window is
what the clock is ahead at least, however many readings came late. Messages that are refused for
being in the future count too: a clock that gains would be lost from view where it is worst.
"""

from typing import TYPE_CHECKING

import numpy as np

from gateway.batch import Batch, Rows
from gateway.reasons import Reason
from gateway.registry import Registry
from store.clocks import WINDOW_MS, Leads
from store.marks import Mark
from store.positions import Positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What comes later than this was kept by a logger or an import and says nothing of a clock.
MOST_BEHIND_MS = 86_400_000
# What is further ahead is of another date, and no clock that drifts.
MOST_AHEAD_MS = 86_400_000
# A lead that is larger by less is not worth a row: networks are not that even.
WORTH_MS = 500
_NONE = np.iinfo(np.int64).min


class LeadWatch:
    """Remembers what was written in the present window, so that little is written."""

    def __init__(self) -> None:
        self._window: NDArray[np.int64] = np.full(0, _NONE)
        self._lead: NDArray[np.int64] = np.full(0, _NONE)

    def due(self, batch: Batch, rows: Rows, positions: Positions, registry: Registry) -> Leads:
        """Return what a batch shows that is not written yet.

        Parameters
        ----------
        rows, positions
            What is stored of the batch.
        """
        of, town, received_ms, time_ms = _too_far(batch, registry)
        device = np.concatenate([registry.device_id[rows.sensor], positions.device_id, of])
        tenant = np.concatenate([registry.tenant_id[rows.sensor], positions.tenant_id, town])
        received = np.concatenate([rows.received_ms, positions.received_ms, received_ms])
        lead = np.concatenate([rows.time_ms, positions.time_ms, time_ms]) - received
        marks = np.concatenate([rows.marks, positions.marks, np.zeros(len(of), np.int16)])
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


def _too_far(
    batch: Batch, registry: Registry
) -> "tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]":
    """Device, town, received and newest phenomenon time of the messages that are too far ahead."""
    found: list[tuple[int, int, int, int]] = []
    for one in batch.refused:
        device = registry.devices.get((one.tenant_id, one.device_code or ""))
        if one.reason != Reason.TIME_IN_FUTURE or device is None:
            continue
        received_ms = one.message.received_ms
        times = [reading.ts for reading in device.decode(one.message.payload)]
        newest_ms = max((ms for ms in times if ms is not None), default=None)
        if newest_ms is not None and newest_ms < received_ms + MOST_AHEAD_MS:
            found.append((device.device_id, device.tenant_id, received_ms, newest_ms))
    of, town, received, time = np.array(found, np.int64).reshape(-1, 4).T
    return of.astype(np.int32), town.astype(np.int32), received, time
