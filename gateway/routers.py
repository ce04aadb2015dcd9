"""Which network gateways hear a device, as far as that is worth writing down."""

from typing import Final

from gateway.batch import Batch
from store.routers import Heard

# One that is known already is written again after so long: a job looks at who heard a device in a
# week.
AGAIN_MS: Final = 6 * 3_600_000
# More than hear any device. Names come from outside: what is kept of them has an end.
MOST: Final = 32


class Routers:
    """Remembers what was written, so that little is."""

    def __init__(self) -> None:
        self._written_ms: dict[int, dict[str, int]] = {}

    def due(self, batch: Batch) -> list[Heard]:
        """Return what a batch says that is not written yet."""
        found: list[Heard] = []
        for device_id, names in batch.routers.items():
            tenant_id, received_ms = batch.heard[device_id]
            known = self._written_ms.get(device_id, {})
            room = MOST - len(known)
            for name in dict.fromkeys(names):
                last_ms = known.get(name)
                room -= last_ms is None
                if room >= 0 if last_ms is None else received_ms - last_ms >= AGAIN_MS:
                    found.append(Heard(device_id, tenant_id, name, received_ms))
        return found

    def committed(self, rows: list[Heard]) -> None:
        """Remember what was written."""
        for row in rows:
            self._written_ms.setdefault(row.device_id, {})[row.router] = row.received_ms
