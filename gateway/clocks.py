"""What devices' clocks did wrong, as each batch shows it."""

from dataclasses import dataclass

import numpy as np

from gateway.batch import Batch, Rows
from gateway.reasons import Reason
from gateway.registry import Registry
from store.clocks import ClockFaults
from store.marks import Mark, borne
from store.positions import Positions


@dataclass
class _Count:
    tenant_id: int
    too_early: int = 0
    in_future: int = 0
    suspect: int = 0
    last_ms: int = 0
    ahead_s: float | None = None

    def at(self, received_ms: int, ahead_s: float | None) -> None:
        if received_ms >= self.last_ms:
            self.last_ms, self.ahead_s = received_ms, ahead_s


def faults(batch: Batch, rows: Rows, positions: Positions, registry: Registry) -> list[ClockFaults]:
    """Count, device by device: messages refused for their time, and new suspect readings.

    Parameters
    ----------
    rows, positions
        What is stored of the batch: a repeated message counts once.
    """
    found: dict[int, _Count] = {}
    if not batch.refused and not borne(Mark.CLOCK_SUSPECT, rows.marks, positions.marks):
        return []
    for one in batch.refused:
        if one.reason not in (Reason.TIME_TOO_EARLY, Reason.TIME_IN_FUTURE):
            continue
        device = registry.devices.get((one.tenant_id, one.device_code or ""))
        if device is None:
            continue
        count = found.setdefault(device.device_id, _Count(device.tenant_id))
        count.too_early += one.reason == Reason.TIME_TOO_EARLY
        count.in_future += one.reason == Reason.TIME_IN_FUTURE
        count.at(one.message.received_ms, None)
    suspect = np.flatnonzero(rows.marks & Mark.CLOCK_SUSPECT)
    sensor = rows.sensor[suspect]
    _add(
        found,
        registry.device_id[sensor].tolist(),
        registry.tenant_id[sensor].tolist(),
        rows.received_ms[suspect].tolist(),
        rows.time_ms[suspect].tolist(),
    )
    suspect = np.flatnonzero(positions.marks & Mark.CLOCK_SUSPECT)
    _add(
        found,
        positions.device_id[suspect].tolist(),
        positions.tenant_id[suspect].tolist(),
        positions.received_ms[suspect].tolist(),
        positions.time_ms[suspect].tolist(),
    )
    return [
        ClockFaults(
            device,
            count.tenant_id,
            count.too_early,
            count.in_future,
            count.suspect,
            count.last_ms,
            count.ahead_s,
        )
        for device, count in sorted(found.items())
    ]


def _add(
    found: dict[int, _Count],
    devices: list[int],
    tenants: list[int],
    received_ms: list[int],
    time_ms: list[int],
) -> None:
    for device, tenant, received, time in zip(devices, tenants, received_ms, time_ms, strict=True):
        count = found.setdefault(device, _Count(tenant))
        count.suspect += 1
        count.at(received, (time - received) / 1000)
