"""How far devices' clocks are ahead: the largest lead of what each of them sends.

A reading's lead is its phenomenon time minus the time of its receipt: what the clock is ahead,
less the reading's way here. Delay only ever makes it smaller, so the largest one of a window is
what the clock is ahead at least, however many readings came late. Messages that are refused for
being in the future count too: a clock that gains would be lost from view where it is worst.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.batch import Batch, Rows
from gateway.reasons import Reason
from gateway.registry import Registry
from store.clocks import WINDOW_MS, Leads
from store.marks import Mark
from store.positions import Positions

# What comes later than this was kept by a logger or an import and says nothing of a clock.
MOST_BEHIND_MS = 86_400_000
# What is further ahead is of another date, and no clock that drifts.
MOST_AHEAD_MS = 86_400_000
# A lead that is larger by less is not worth a row: networks are not that even.
WORTH_MS = 500
_NONE = np.iinfo(np.int64).min
_NO_DEVICE_TIME = np.int16(Mark.NO_DEVICE_TIME)


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
        shown = _shown(registry.device_id[rows.sensor], registry.tenant_id[rows.sensor], rows)
        if len(positions):
            fixes = _shown(positions.device_id, positions.tenant_id, positions)
            shown = _joined(shown, fixes)
        if batch.refused:
            shown = _joined(shown, _too_far(batch, registry))
        device, tenant, received_ms, time_ms, marks = shown
        lead = time_ms - received_ms
        own = (marks & _NO_DEVICE_TIME == 0) & (lead > -MOST_BEHIND_MS)
        window_ms = int(received_ms[own].max(initial=0)) // WINDOW_MS * WINDOW_MS
        self._grow(int(device.max(initial=0)) + 1)
        window, known = self._window[device], self._lead[device]
        due = own & ((window < window_ms) | (window == window_ms) & (lead >= known + WORTH_MS))
        if not due.any():
            return Leads.none()
        device, first, place = np.unique(device[due], return_index=True, return_inverse=True)
        top = np.full(len(device), _NONE)
        np.maximum.at(top, place, lead[due])
        return Leads(device, tenant[due][first], window_ms, top)

    def committed(self, leads: Leads) -> None:
        """Remember what was written."""
        self._window[leads.device_id] = leads.window_ms
        self._lead[leads.device_id] = leads.lead_ms

    def _grow(self, length: int) -> None:
        if length > len(self._lead):
            more = np.full(2 * length - len(self._lead), _NONE)
            self._window = np.concatenate([self._window, more])
            self._lead = np.concatenate([self._lead, more])


def _shown(
    device_id: NDArray[np.int32], tenant_id: NDArray[np.int32], of: Rows | Positions
) -> list[NDArray[Any]]:
    return [device_id, tenant_id, of.received_ms, of.time_ms, of.marks]


def _joined(columns: list[NDArray[Any]], others: list[NDArray[Any]]) -> list[NDArray[Any]]:
    return [np.concatenate(pair) for pair in zip(columns, others, strict=True)]


def _too_far(batch: Batch, registry: Registry) -> list[NDArray[Any]]:
    """Return the messages that are too far ahead, each with its newest phenomenon time."""
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
    no_marks = np.zeros(len(of), np.int16)
    return [of.astype(np.int32), town.astype(np.int32), received, time, no_marks]
