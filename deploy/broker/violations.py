"""What the NATS server refused, read from its log.

MQTT 3.1.1 has no way to refuse a publish, so the server acknowledges what it drops: its log is
the only place where a device that writes to a wrong topic shows.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from deploy.broker.monitor import Visit

# The newest part of the log is enough; it is written anew at 64 MiB.
_READ_BYTES = 8 << 20


class Refusal(StrEnum):
    """Why the server refused something."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    LOGIN = "login"
    LOGIN_ONCE = "login_once"
    PROTOCOL = "protocol"
    TOPIC = "topic"


@dataclass(frozen=True, slots=True)
class Violation:
    """What one connection's user was refused, how often, and when last.

    `who` is the user where the server still knows the connection, else the MQTT client id or the
    address. A gateway's client id is a secret and never stands here.
    """

    refusal: Refusal
    who: str
    what: str
    count: int
    last_time: datetime


_LINE = re.compile(
    r"\[\d+\] (?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?)\S* \[ERR\] (?P<address>\S+) - "
    r'mid:(?P<mid>\d+) - "(?P<client_id>[^"]*)" - (?P<message>.*)'
)
_START = re.compile(r"\] Starting nats-server$")
_MESSAGES = (
    (Refusal.PUBLISH, re.compile(r'Publish Violation - .*?Subject "(?P<what>[^"]*)"')),
    (Refusal.SUBSCRIBE, re.compile(r'Subscription Violation - .*?Subject "(?P<what>[^"]*)"')),
    (Refusal.LOGIN, re.compile(r'authentication error - User "(?P<who>[^"]*)"')),
    (Refusal.PROTOCOL, re.compile(r"(?P<what>unacceptable protocol version of \d+)")),
    (Refusal.TOPIC, re.compile(r"(?P<what>character not supported for MQTT topics)")),
)


def read_log(path: Path) -> list[str]:
    """Return the last lines of the server's log, oldest first; none if there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            start = max(0, file.tell() - _READ_BYTES)
            file.seek(start)
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[1:] if start else lines


def find_violations(lines: Iterable[str], visits: Iterable[Visit]) -> list[Violation]:
    """Collect what was refused since the server's last start.

    Who was not let in, and has been since, is told of as `Refusal.LOGIN_ONCE`: after a start of
    the server all devices come before it knows them.

    Parameters
    ----------
    lines
        The log, oldest first.
    visits
        As `Monitor.visits` gives them. Numbers begin again with each start of the server, so older
        lines cannot be assigned.

    Returns
    -------
    list of Violation
        Latest first.
    """
    visits = list(visits)
    users = {visit.number: visit.user for visit in visits}
    counts: Counter[tuple[Refusal, str, str]] = Counter()
    last: dict[tuple[Refusal, str, str], datetime] = {}
    for line in lines:
        if _START.search(line):
            counts.clear()
            last.clear()
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        for refusal, pattern in _MESSAGES:
            found = pattern.search(match["message"])
            if found is None:
                continue
            said = found.groupdict()
            who = said.get("who") or users.get(int(match["mid"])) or _nickname(match)
            key = (refusal, who, said.get("what") or "")
            counts[key] += 1
            at = datetime.fromisoformat(match["time"].replace("/", "-"))
            last[key] = at.replace(tzinfo=UTC)
            break
    in_order = sorted(visits, key=lambda visit: visit.began_at)
    let_in = {visit.user: visit.began_at for visit in in_order if visit.let_in}  # the newest stands
    violations = []
    for (refusal, who, what), count in counts.items():
        at = last[refusal, who, what]
        over = refusal is Refusal.LOGIN and who in let_in and let_in[who] > at
        told = Refusal.LOGIN_ONCE if over else refusal
        violations.append(Violation(told, who, what, count, at))
    return sorted(violations, key=lambda v: (v.last_time, v.count), reverse=True)


def _nickname(match: re.Match[str]) -> str:
    client_id = match["client_id"]
    if client_id.startswith("mz-"):
        return "a gateway"
    address = match["address"].rpartition(":")[0]
    return f"client {client_id!r} at {address}" if client_id else f"a client at {address}"
