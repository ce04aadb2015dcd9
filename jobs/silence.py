"""Which devices are silent, and whether it is they or we who do not hear."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from detectors.rules import Silence
from jobs import metrics
from jobs.router_watch import Expected, RouterWatch
from jobs.set_aside import PASSING
from store import journal, links, routers, rules_in_force
from store.database import Connection, Database
from store.links import Change, Listening, Watched
from store.routers import Outage
from store.silences import bound_s, interval_s, silences

log = structlog.get_logger(__name__)

# Intakes give a sign of life every ten seconds or so; three may be missed.
BEAT_WITHIN: Final = timedelta(seconds=30)


class SilenceWatch:
    """Looks at received times alone: never at values, never into the ledger.

    Parameters
    ----------
    database
        As mizumori_jobs.
    outage_after_s
        Seconds for which a town's gateway must not have listened before that is told.
    """

    def __init__(self, database: Database, outage_after_s: float) -> None:
        self._database = database
        self._outage_after = timedelta(seconds=outage_after_s)
        self._started: datetime | None = None
        self._refused: Sequence[object] = ()
        self._failures: dict[int, str] = {}

    def look(self) -> dict[str, int]:
        """Look once; returns the number of links that changed, by state.

        Raises
        ------
        DatabaseAwayError
            If the database does not answer.
        """
        changed: dict[str, int] = defaultdict(int)
        with self._database.transaction() as conn:
            now = links.clock(conn)
            self._started = self._started or now
            listening = links.listening(conn)
            by_town: dict[int, list[Watched]] = defaultdict(list)
            for device in links.watched(conn):
                by_town[device.tenant_id].append(device)
            rule_of = self._rules(conn, now)
            routers_of, outages = routers.of_devices(conn), routers.outages(conn)
            for tenant_id, devices in by_town.items():
                if tenant_id not in listening:
                    continue  # added between the two questions: the next look judges it
                heard = listening[tenant_id]
                expected = [
                    _expected(device, rule_of[device.device_id])
                    for device in devices
                    if device.device_id in rule_of  # else switched off for this device
                ]
                of_town = {name: o for (town, name), o in outages.items() if town == tenant_id}
                try:
                    with conn.transaction():
                        self._tell_outage(conn, heard, now)
                        changes = _changes(conn, heard, expected, routers_of, of_town, now)
                        _write(conn, tenant_id, devices, changes, changed)
                except PASSING:
                    raise
                except Exception as error:  # noqa: BLE001 - the other towns must not wait for it
                    self._tell_failure(tenant_id, error)
                else:
                    self._failures.pop(tenant_id, None)
            links.publish(conn)
        return dict(changed)

    def _rules(self, conn: Connection, now: datetime) -> Mapping[int, Silence]:
        """Read the silence rules by device, and tell once of those that cannot be read."""
        found = silences(rules_in_force.of_links(conn, now))
        if found.refused != self._refused:
            self._refused = found.refused
            for one in found.refused:
                log.error(
                    "silence rule refused, the default holds instead",
                    rule=one.code,
                    version=one.version,
                    error=one.error,
                )
        return found.of_device

    def _tell_failure(self, tenant_id: int, error: Exception) -> None:
        """Count that a town could not be looked at, and tell it once; the next look tries again."""
        metrics.task_failures.labels("silence").inc()
        if self._failures.get(tenant_id) != repr(error):
            self._failures[tenant_id] = repr(error)
            log.error("town not watched", tenant_id=tenant_id, error=str(error), exc_info=error)

    def _tell_outage(self, conn: Connection, heard: Listening, now: datetime) -> None:
        """Tell once that a town is not listened to, and once that it is again."""
        told = journal.outage_told(conn, heard.tenant_id)
        if is_listening(heard, now):
            if told:
                body = {"event": "gateway_back", "since": _iso(heard.since)}
                journal.append(conn, heard.tenant_id, "link", body)
                log.info("gateway listens again", tenant_id=heard.tenant_id)
            return
        assert self._started is not None
        # A gateway that starts after us is not an outage.
        if not told and now - max(heard.beat_at, self._started) >= self._outage_after:
            body = {"event": "gateway_outage", "last_sign_of_life": _iso(heard.beat_at)}
            journal.append(conn, heard.tenant_id, "link", body)
            log.warning("gateway does not listen", tenant_id=heard.tenant_id)


def is_listening(heard: Listening, now: datetime) -> bool:
    """Tell whether every intake of a town is connected and alive."""
    return heard.since is not None and now - heard.beat_at <= BEAT_WITHIN


def _expected(device: Watched, rule: Silence) -> Expected:
    patience = timedelta(seconds=bound_s(rule, device.expected_interval_s))
    return Expected(device, interval_s(rule, device.expected_interval_s), patience)


def _changes(
    conn: Connection,
    heard: Listening,
    expected: Sequence[Expected],
    routers_of: Mapping[int, Sequence[str]],
    outages: Mapping[str, Outage],
    now: datetime,
) -> list[Change]:
    if heard.since is None or not is_listening(heard, now):
        return _unheard(expected, now)
    watch = RouterWatch(conn, expected, routers_of, outages, heard.since, now)
    watch.tell(heard.tenant_id)
    return _judge(expected, watch, heard.since, now)


def _unheard(expected: Iterable[Expected], now: datetime) -> list[Change]:
    """While nobody listens: whether a device sends, nobody can know, whatever was known before."""
    return [
        _change(one.device, "unknown", "gateway_outage", now)
        for one in expected
        if one.device.state == "online" and now > one.due(one.device.since)
    ]


def _judge(
    expected: Iterable[Expected], watch: RouterWatch, since: datetime, now: datetime
) -> list[Change]:
    changes = []
    for one in expected:
        device = one.device
        if device.state == "silent":
            back = watch.back_since(device)
            if back is not None and now > back + one.patience:
                changes.append(_change(device, "silent", "silence", now))
        elif now > one.due(since):
            router = watch.to_blame(device)
            if router is not None:
                changes.append(_change(device, "silent", "router_outage", now, router))
            elif not watch.waits(device):
                changes.append(_change(device, "silent", "silence", now))
    return changes


def _write(
    conn: Connection,
    tenant_id: int,
    devices: Iterable[Watched],
    changes: Sequence[Change],
    changed: dict[str, int],
) -> None:
    """Write down what changed, and tell it; what belongs to a router was told with it."""
    done = set(links.change(conn, changes))
    if not done:
        return
    links.announce(conn, tenant_id, sorted(done))
    codes = {device.device_id: device.code for device in devices}
    for state in ("silent", "unknown"):
        new = [c for c in changes if c.state == state and c.device_id in done]
        changed[state] += len(new)
        metrics.links_changed.labels(state).inc(len(new))
        told = sorted(codes[c.device_id] for c in new if c.reason == "silence")
        if told:
            journal.append(conn, tenant_id, "link", {"event": "silent", "devices": told})


def _change(
    device: Watched,
    state: links.State,
    reason: links.Reason,
    now: datetime,
    router: str | None = None,
) -> Change:
    return Change(device.device_id, state, reason, now, device.last_received_time, router)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
