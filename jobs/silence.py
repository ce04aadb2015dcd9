"""Which devices are silent, and whether it is they or we who do not hear."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import structlog

from detectors.rules import Silence, rule_from_params
from detectors.silence import silent_after_s
from jobs import metrics
from store import journal, links, rules
from store.database import Connection, Database
from store.links import Change, Listening, Watched

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
            silences = _silences(conn, now)
            for tenant_id, devices in by_town.items():
                if tenant_id not in listening:
                    continue  # added between the two questions: the next look judges it
                heard = listening[tenant_id]
                self._tell_outage(conn, heard, now)
                changes = _judge(devices, silences, heard, now)
                done = set(links.change(conn, changes))
                if not done:
                    continue
                links.announce(conn, tenant_id, sorted(done))
                codes = {device.device_id: device.code for device in devices}
                for state in ("silent", "unknown"):
                    told = [
                        codes[c.device_id]
                        for c in changes
                        if c.state == state and c.device_id in done
                    ]
                    changed[state] += len(told)
                    metrics.links_changed.labels(state).inc(len(told))
                    if told and state == "silent":
                        body = {"event": "silent", "devices": sorted(told)}
                        journal.append(conn, tenant_id, "link", body)
        return dict(changed)

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


def _judge(
    devices: Iterable[Watched], silences: dict[int, Silence], heard: Listening, now: datetime
) -> list[Change]:
    changes = []
    listening = is_listening(heard, now)
    for device in devices:
        rule = silences.get(device.device_id)
        if rule is None or device.state == "silent":
            continue  # switched off for this device, or told already
        interval_s = max(device.expected_interval_s, rule.calm_interval_s or 0.0)
        patience = timedelta(seconds=silent_after_s(rule.loss_rate, interval_s))
        last = device.last_received_time or device.since
        if now <= last + patience:
            continue
        if not listening:
            # Whether it sends, nobody can know. What was known of it before is not certain now.
            if device.state == "online":
                changes.append(_change(device, "unknown", "gateway_outage", now))
        elif heard.since is not None and now > heard.since + patience:
            changes.append(_change(device, "silent", "silence", now))
    return changes


def _change(device: Watched, state: links.State, reason: links.Reason, now: datetime) -> Change:
    return Change(device.device_id, state, reason, now, device.last_received_time)


def _silences(conn: Connection, now: datetime) -> dict[int, Silence]:
    found: dict[int, Silence] = {}
    for row in rules.link_rules(conn, now):
        rule = rule_from_params(row.kind, row.params)
        if isinstance(rule, Silence):
            found.setdefault(row.device_id, rule)
    return found


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
