"""What is unknown and was looked up lately."""

import time
from collections.abc import Iterable

from gateway.batch import Refused
from gateway.reasons import Reason

# An unknown device may be one that was added a moment ago and whose notification is on its way, so
# it is looked up when it is first heard; one that stays unknown, only so often and so many.
AGAIN_S = 60.0
AT_MOST = 1000

_UNKNOWN = frozenset({Reason.UNKNOWN_DEVICE, Reason.UNKNOWN_PROPERTY})


class Lookups:
    """Says what is to be looked up, and remembers that it was."""

    def __init__(self) -> None:
        self._at_s: dict[tuple[int, str, str], float] = {}

    def due(self, refused: Iterable[Refused]) -> set[tuple[int, str]]:
        """Return the towns and devices of what is unknown and was not looked up lately."""
        now = time.monotonic()
        found = set()
        for one in refused:
            if one.reason not in _UNKNOWN:
                continue
            code = one.device_code or ""
            key = (one.tenant_id, code, one.detail)
            if now - self._at_s.get(key, -AGAIN_S) < AGAIN_S:
                continue
            if len(self._at_s) >= AT_MOST:
                self._at_s = {k: at for k, at in self._at_s.items() if now - at < AGAIN_S}
            if len(self._at_s) < AT_MOST:
                self._at_s[key] = now
                found.add((one.tenant_id, code))
        return found
