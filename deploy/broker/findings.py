"""Checks of a running broker, for `mizumori doctor`: typed findings in words."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from deploy.broker.account_admin import AccountAdmin, IntakeSession, QueueUsage
from deploy.broker.errors import BrokerError, BrokerUnreachableError
from deploy.broker.monitor import Monitor, ServerState, Visit
from deploy.broker.settings import NatsSettings
from deploy.broker.town_accounts import intake_filters
from deploy.broker.violations import Refusal, Violation, find_violations, read_log
from store.broker_accounts import BrokerAccount, BrokerDevice

# Partition mapping, subject transforms of streams and the fixes of the MQTT listener.
OLDEST_VERSION = (2, 12)
QUEUE_WARNING = 0.5
QUEUE_ALARM = 0.9
# A device uses one session; many more are left over by client ids that change at each start.
SESSIONS_PER_DEVICE = 10


class Severity(StrEnum):
    """How bad a finding is: fine, to be looked at, or readings are being lost or refused."""

    GOOD = "good"
    WARNING = "warning"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `town` is empty where it concerns the whole server."""

    severity: Severity
    code: str
    town: str
    sentence: str


def examine(
    accounts: Sequence[BrokerAccount],
    devices: Iterable[BrokerDevice],
    settings: NatsSettings,
    now: datetime | None = None,
) -> list[Finding]:
    """Look at a NATS server and at every town's account.

    What cannot be asked is a finding, never an exception.
    """
    monitor = Monitor(settings.monitor_port)
    findings: list[Finding] = []
    visits: list[Visit] = []
    try:
        findings += _server(monitor.server(), settings)
        findings += _store(monitor.complaint(), settings)
        visits = monitor.visits()
    except BrokerUnreachableError as error:
        findings.append(Finding(Severity.ALARM, "unreachable", "", str(error)))
    counts = _count_by_town(devices)
    for account in accounts:
        town = account.tenant_code
        try:
            with AccountAdmin(settings, town) as admin:
                sessions, usage = admin.sessions(), admin.usage()
                limited = admin.is_limited(account)
        except BrokerError as error:
            findings.append(Finding(Severity.ALARM, "account", town, str(error)))
            continue
        findings += judge_sessions(account, sessions)
        findings += judge_queue(account, usage, counts.get(town, 0), limited=limited)
    if settings.log_file is not None:
        violations = find_violations(read_log(settings.log_file), visits)
        findings += judge_violations(violations, now or datetime.now(UTC))
    return findings


def _server(state: ServerState, settings: NatsSettings) -> list[Finding]:
    findings = []
    if _version(state.version) < OLDEST_VERSION:
        findings.append(
            Finding(
                Severity.ALARM,
                "version",
                "",
                f"NATS {state.version} is too old: 2.12 or newer is needed",
            )
        )
    else:
        findings.append(Finding(Severity.GOOD, "version", "", f"NATS {state.version}"))
    if state.sync_always:
        findings.append(
            Finding(Severity.GOOD, "sync", "", "Messages are on the disk when acknowledged")
        )
    elif settings.sync == "fast":
        findings.append(
            Finding(
                Severity.WARNING,
                "sync",
                "",
                "nats.sync is fast, as set: a power cut loses up to two minutes of readings",
            )
        )
    else:
        findings.append(
            Finding(
                Severity.ALARM,
                "sync",
                "",
                "NATS does not sync each message, although nats.sync is always: it runs with "
                "another configuration, or was not restarted since",
            )
        )
    return findings


def _store(complaint: str, settings: NatsSettings) -> list[Finding]:
    if not complaint:
        return []
    text = (
        f"NATS does not store messages: {complaint}. Devices are refused and keep their readings. "
        f"Make room on the disk of {settings.store_dir}, or repair it; `mizumori up` and "
        "`mizumori broker` then start NATS again by themselves"
    )
    return [Finding(Severity.ALARM, "store", "", text)]


def judge_sessions(account: BrokerAccount, sessions: Sequence[IntakeSession]) -> list[Finding]:
    """Judge whether somebody keeps and reads each partition of a town."""
    town = account.tenant_code
    findings = []
    for partition_no in intake_filters(account):
        name = "the devices' states" if partition_no is None else f"partition {partition_no}"
        mine = [s for s in sessions if s.partition_no == partition_no]
        if not mine:
            text = (
                f"The session for {name} does not exist: what devices send there is acknowledged "
                "and thrown away. Was the store deleted? Restart the broker (`mizumori up` or "
                "`mizumori broker`), or run `mizumori broker-config`, to make it again."
            )
            findings.append(Finding(Severity.ALARM, "session_absent", town, text))
        if len(mine) > 1:
            text = (
                f"There are {len(mine)} sessions for {name}: one of them is read by nobody and "
                "fills the queue"
            )
            findings.append(Finding(Severity.ALARM, "session_twice", town, text))
        if mine and not any(s.connected for s in mine):
            waiting = sum(s.waiting + s.unacknowledged for s in mine)
            text = f"Nobody reads {name}; {waiting} messages wait. Does the gateway run?"
            findings.append(Finding(Severity.WARNING, "unread", town, text))
        wanted = (account.window_messages, account.ack_wait_s)
        for session in mine:
            if (session.window_messages, session.ack_wait_s) != wanted:
                text = (
                    f"The session for {name} has a window of {session.window_messages} messages "
                    f"and an ack_wait of {session.ack_wait_s:g} s instead of {wanted[0]} and "
                    f"{wanted[1]} s: it was made under other settings"
                )
                findings.append(Finding(Severity.WARNING, "window", town, text))
    if not findings:
        text = f"All {account.partitions} partitions and the devices' states are read"
        findings.append(Finding(Severity.GOOD, "sessions", town, text))
    return findings


def judge_queue(
    account: BrokerAccount, usage: QueueUsage, device_count: int, *, limited: bool
) -> list[Finding]:
    """Judge how full a town's queue is, and whether it is limited at all."""
    town = account.tenant_code
    if not limited:
        text = (
            "The queue is not limited as it should be: a full store would lock the gateway out. "
            "Restart the broker (`mizumori up` or `mizumori broker`), or run "
            "`mizumori broker-config`."
        )
        return [Finding(Severity.ALARM, "queue_limit", town, text)]
    share = max(
        usage.stored_bytes / max(usage.limit_bytes, 1),
        usage.account_bytes / max(usage.account_limit_bytes, 1),
    )
    text = f"The queue is {share:.0%} full ({usage.messages} messages)"
    severity = Severity.GOOD
    if share >= QUEUE_ALARM:
        severity = Severity.ALARM
        text += "; when it is full, devices are refused and must keep their readings"
    elif share >= QUEUE_WARNING:
        severity = Severity.WARNING
        text += ". Does the gateway run, and does the database answer?"
    findings = [Finding(severity, "queue", town, text)]
    own = account.partitions + 1
    if usage.sessions > own + SESSIONS_PER_DEVICE * max(device_count, 10):
        text = (
            f"{usage.sessions} sessions are stored for {device_count} devices: some device "
            "connects with a new client id and clean_session=false each time"
        )
        findings.append(Finding(Severity.WARNING, "sessions_many", town, text))
    return findings


_SAID = {
    Refusal.PUBLISH: "published to {what!r}, which it may not: acknowledged and thrown away",
    Refusal.SUBSCRIBE: "asked for {what!r}, which it may not read",
    Refusal.LOGIN: "was not let in: unknown to the broker, or the wrong secret",
    Refusal.PROTOCOL: "was refused: {what}; NATS speaks MQTT 3.1.1, set the device to that",
    Refusal.TOPIC: "was disconnected: {what}; a topic must not hold a space",
}


def judge_violations(violations: Iterable[Violation], now: datetime) -> list[Finding]:
    """Put refusals into words; those of the last day are alarms if readings were lost."""
    findings = []
    over = 0
    for violation in violations:
        if violation.refusal is Refusal.LOGIN_ONCE:
            over += 1
            continue
        recent = now - violation.last_time < timedelta(days=1)
        lost = violation.refusal in {Refusal.PUBLISH, Refusal.TOPIC}
        text = (
            f"{violation.who} {_SAID[violation.refusal].format(what=violation.what)} "
            f"({violation.count} times, last {violation.last_time:%Y-%m-%d %H:%M:%SZ})"
        )
        severity = Severity.ALARM if recent and lost else Severity.WARNING
        town, slash, _ = violation.who.partition("/")
        findings.append(
            Finding(severity, f"refused_{violation.refusal}", town if slash else "", text)
        )
    if not findings:
        said = "The broker refuses nothing"
        if over:
            said += f"; {over} {'user' if over == 1 else 'users'} had to try again, and came in"
        findings.append(Finding(Severity.GOOD, "refused", "", said))
    return findings


def _count_by_town(devices: Iterable[BrokerDevice]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for device in devices:
        counts[device.tenant_code] = counts.get(device.tenant_code, 0) + 1
    return counts


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
