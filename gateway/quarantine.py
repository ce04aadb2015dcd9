"""What was refused is kept, up to a rate per device; beyond it, it is counted."""

import time
from collections import Counter
from collections.abc import Callable, Collection

from gateway import metrics
from gateway.batch import Refused
from gateway.reasons import Reason
from store import quarantine
from store.database import Connection
from store.quarantine import QuarantineRow
from store.times import moment

# A message can be a whole buffer; what is kept of it in quarantine is its beginning.
QUARANTINE_BYTES = 16 * 1024
_HOUR_S = 3600.0
_HOUR_MS = 3_600_000
# Buckets that are full again say nothing; they are forgotten once there are so many.
_BUCKETS = 10_000
# Topics and devices that the town does not have: a sender could make up ever new ones, so they
# share one rate.
_NOBODYS = frozenset({Reason.BAD_TOPIC, Reason.UNKNOWN_DEVICE, Reason.REGISTRATION_FULL})

_Key = tuple[int, str]


class Quarantine:
    """Writes refused messages, each device's within its rate.

    A device that sends nothing but nonsense fills neither the disk nor the list that a person
    reads, and takes nothing from the others. What goes beyond is in `quarantine_overflow` and in
    the metrics.

    Parameters
    ----------
    per_hour
        Messages that are kept of one device in an hour; so many may come at once.
    clock
        Seconds that never step back.
    """

    def __init__(self, per_hour: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_hour = per_hour
        self._clock = clock
        self._buckets: dict[_Key, tuple[float, float]] = {}  # (messages left, at)

    def write(self, conn: Connection, refused: Collection[Refused]) -> None:
        """Keep or count refused messages, in the caller's transaction."""
        rows: list[QuarantineRow] = []
        beyond: Counter[tuple[int, str, int, str]] = Counter()
        for one in refused:
            code = one.device_code if one.reason not in _NOBODYS else None
            if self._take((one.tenant_id, code or "")):
                rows.append(_row(one))
            else:
                hour_ms = one.message.received_ms // _HOUR_MS * _HOUR_MS
                beyond[one.tenant_id, code or "", hour_ms, str(one.reason)] += 1
        if rows:
            quarantine.add(conn, rows)
        if beyond:
            quarantine.count_overflow(
                conn,
                [
                    (tenant, code, moment(hour_ms), reason, count)
                    for (tenant, code, hour_ms, reason), count in sorted(beyond.items())
                ],
            )
            metrics.QUARANTINE_OVERFLOW.inc(beyond.total())

    def _take(self, key: _Key) -> bool:
        now = self._clock()
        left, at = self._buckets.get(key, (float(self._per_hour), now))
        left = min(self._per_hour, left + (now - at) * self._per_hour / _HOUR_S)
        taken = left >= 1
        self._buckets[key] = (left - taken, now)
        if len(self._buckets) > _BUCKETS:
            self._forget(now)
        return taken

    def _forget(self, now: float) -> None:
        refill_s = _HOUR_S
        kept = {key: one for key, one in self._buckets.items() if now - one[1] < refill_s}
        self._buckets = kept


def _row(one: Refused) -> QuarantineRow:
    return QuarantineRow(
        one.tenant_id,
        moment(one.message.received_ms),
        one.message.topic.decode(errors="replace"),
        one.message.payload[:QUARANTINE_BYTES],
        one.device_code,
        str(one.reason),
        one.detail,
    )
