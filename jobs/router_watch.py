"""Which routers (LoRaWAN gateways and the like) are out, told once for all of their devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import structlog

from detectors.silence import RouterState, router_outages
from store import journal, routers
from store.database import Connection
from store.links import Watched
from store.routers import Outage
from store.times import milliseconds

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Expected:
    """A device that is listened for: how often it reports, and for how long it may say nothing."""

    device: Watched
    interval_s: float
    patience: timedelta

    def due(self, since: datetime) -> datetime:
        """Until when it has time, in the eyes of one who has listened since a time."""
        return max(self.device.last_received_time or self.device.since, since) + self.patience


class RouterWatch:
    """The routers of one town at one look.

    Parameters
    ----------
    conn
        As mizumori_jobs.
    expected
        The town's devices that may be called silent.
    routers_of
        By device the routers that hear it.
    outages
        By router the outages that last, or that silent devices are put down to.
    listening_since
        Since when the town is listened to.
    now
    """

    def __init__(
        self,
        conn: Connection,
        expected: Sequence[Expected],
        routers_of: Mapping[int, Sequence[str]],
        outages: Mapping[str, Outage],
        listening_since: datetime,
        now: datetime,
    ) -> None:
        self._conn = conn
        self._routers_of = routers_of
        self._outages = outages
        self._now = now
        # Those that fell silent for reasons of their own say nothing about a router.
        self._members = [
            one
            for one in expected
            if one.device.last_received_time is not None
            and len(routers_of.get(one.device.device_id, ())) == 1
            and (one.device.state != "silent" or one.device.router is not None)
        ]
        lasting = {name for name, outage in outages.items() if outage.over_at is None}
        self._back = {name for name in lasting if self._is_back(outages[name])}
        states = self._judge(listening_since)
        self._begun = {
            name
            for name, state in states.items()
            if state is RouterState.OUT and name not in lasting
        }
        self._out = (lasting - self._back) | self._begun
        self._waiting = {name for name, state in states.items() if state is RouterState.WAITING}

    def tell(self, tenant_id: int) -> None:
        """Write down what began and what is over, and tell it."""
        for name in sorted(self._begun):
            members = self._of(name)
            since = max(m.device.last_received_time or m.device.since for m in members)
            routers.begin(self._conn, tenant_id, name, since, self._now)
            body = {
                "event": "router_outage",
                "router": name,
                "since": since.isoformat(),
                "devices": sorted(m.device.code for m in members),
            }
            journal.append(self._conn, tenant_id, "link", body)
            log.warning("router is out", tenant_id=tenant_id, router=name, devices=len(members))
        for name in sorted(self._back):
            routers.over(self._conn, self._outages[name], self._now)
            body = {"event": "router_back", "router": name}
            journal.append(self._conn, tenant_id, "link", body)
            log.info("router is back", tenant_id=tenant_id, router=name)

    def waits(self, device: Watched) -> bool:
        """Whether a device is not to be called silent yet, because its router may be out."""
        return any(name in self._waiting for name in self._routers_of.get(device.device_id, ()))

    def to_blame(self, device: Watched) -> str | None:
        """Return the router to whose outage a device's silence is put down: all of its are out."""
        names = self._routers_of.get(device.device_id, ())
        return names[0] if names and all(name in self._out for name in names) else None

    def back_since(self, device: Watched) -> datetime | None:
        """Since when the router is heard again that a silent device was put down to."""
        if device.router is None or device.router in self._out:
            return None
        outage = self._outages.get(device.router)
        return self._now if outage is None else outage.over_at or self._now

    def _is_back(self, outage: Outage) -> bool:
        """Whether a device was heard through it again, or none is put down to it any more."""
        members = self._of(outage.router)
        return any(
            (m.device.last_received_time or m.device.since) > outage.since for m in members
        ) or not any(m.device.state == "silent" for m in members)

    def _of(self, name: str) -> list[Expected]:
        return [m for m in self._members if self._routers_of[m.device.device_id][0] == name]

    def _judge(self, listening_since: datetime) -> dict[str, RouterState]:
        names = sorted({self._routers_of[m.device.device_id][0] for m in self._members})
        place = {name: i for i, name in enumerate(names)}
        heard_ms = [
            milliseconds(max(m.device.last_received_time or m.device.since, listening_since))
            for m in self._members
        ]
        states = router_outages(
            np.array([place[self._routers_of[m.device.device_id][0]] for m in self._members], int),
            np.array(heard_ms, np.int64),
            np.array([m.interval_s for m in self._members], np.float64),
            np.array([m.patience.total_seconds() for m in self._members], np.float64),
            milliseconds(self._now),
        )
        return {name: RouterState(int(states[i])) for name, i in place.items()}
