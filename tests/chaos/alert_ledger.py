"""The ledger of flood alerts: as it is stored, and as the core alone makes it of the readings."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import psycopg

from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.profiles import default_rules, max_gap_s
from detectors.readings import Readings
from store.marks import Mark

INTERVAL_S = 60.0  # what a flood sensor is registered with
STANDING = (
    " from alert a join datastream using (datastream_id) join device d using (device_id)"
    " join tenant t on t.tenant_id = d.tenant_id"
)
WHERE = " where t.code = %s and not a.withdrawn and a.merged_into is null"


class Transition(NamedTuple):
    """A change of an alert's level."""

    device: str
    rule: str
    time_ms: int
    from_level: int
    to_level: int
    value: float
    unconfirmed: bool


class Episode(NamedTuple):
    """An alert from its onset to its end, if it has one."""

    device: str
    rule: str
    onset_ms: int
    clear_ms: int | None
    peak_level: int


@dataclass(frozen=True)
class AlertAudit:
    """What the comparison of two ledgers found.

    Attributes
    ----------
    expected, stored, stored_episodes
        As the core alone makes them, and as they stand.
    settled
        How many readings came too late for the gateway and were decided on by the jobs.
    unsettled
        How many series still wait for that.
    """

    expected: list[Transition]
    stored: list[Transition]
    stored_episodes: list[Episode]
    settled: int = 0
    unsettled: int = 0

    @property
    def sound(self) -> bool:
        """Whether there was something to compare, and it is the same to the byte."""
        return (
            bool(self.expected)
            and not self.unsettled
            and _bytes(self.stored, self.stored_episodes)
            == _bytes(self.expected, episodes(self.expected))
        )

    @property
    def differences(self) -> list[str]:
        """What the stored ledger lacks and what it has too much, a line each."""
        pairs = (
            (self.expected, self.stored),
            (episodes(self.expected), self.stored_episodes),
        )
        return [
            *("missing: " + str(row) for a, b in pairs for row in (Counter(a) - Counter(b))),
            *("too much: " + str(row) for a, b in pairs for row in (Counter(b) - Counter(a))),
        ]

    def __str__(self) -> str:
        said = (
            f"{len(self.stored)} transitions in {len(self.stored_episodes)} alerts"
            f" ({self.settled} readings settled late) compared with {len(self.expected)}"
            " of the core alone: "
        )
        if self.sound:
            return said + "the same"
        if not self.expected:
            return said + "nothing to compare, no series has crossed a level"
        if self.unsettled:
            said += f"{self.unsettled} series not settled, "
        return said + f"{len(self.differences)} differences"


def of_core(readings: Iterable[tuple[str, int, float]]) -> list[Transition]:
    """Let the core decide on depths, in order of time: device code, phenomenon time in ms, value.

    With the rules a new town's flood sensors start with.
    """
    ordered = sorted(readings, key=lambda reading: (reading[1], reading[0]))
    devices = sorted({device for device, *_ in ordered})
    number = {device: n for n, device in enumerate(devices)}
    rules = [
        (rule.code, rule.rule)
        for rule in default_rules("flood_level", "street")
        if rule.observed_property == "depth_m"
    ]
    profile = Profile.of(rules, max_gap_s=max_gap_s(INTERVAL_S))
    fleet = Fleet.compile([profile], np.zeros(len(devices), np.int32))
    found = fleet.step(
        fleet.empty_state(),
        Readings.of(
            np.array([number[device] for device, _, _ in ordered], np.int32),
            np.array([time_ms for _, time_ms, _ in ordered], np.int64),
            np.array([value for _, _, value in ordered]),
        ),
    ).transitions
    return sorted(
        Transition(
            devices[found.sensor[n]],
            profile.rules[found.rule[n]].key,
            int(found.time_ms[n]),
            int(found.from_level[n]),
            int(found.to_level[n]),
            float(found.value[n]),
            bool(found.unconfirmed[n]),
        )
        for n in range(len(found))
    )


def episodes(transitions: Iterable[Transition]) -> list[Episode]:
    """Join transitions, sorted, to alerts."""
    made: list[Episode] = []
    for move in transitions:
        last = made[-1] if made and made[-1][:2] == move[:2] else None
        if last is None or last.clear_ms is not None:
            made.append(Episode(move.device, move.rule, move.time_ms, None, move.to_level))
        elif move.to_level == 0:
            made[-1] = last._replace(clear_ms=move.time_ms)
        else:
            made[-1] = last._replace(peak_level=max(last.peak_level, move.to_level))
    return made


def audit_alerts(
    dsn: str, tenant: str, expected: list[Transition], unsettled: int = 0
) -> AlertAudit:
    """Compare a town's alerts and their transitions, as they stand, with those of the core."""
    with psycopg.connect(dsn) as connection:
        moves = connection.execute(
            "select d.code, a.rule_code, (extract(epoch from x.phenomenon_time) * 1000)::bigint,"
            " x.from_level, x.to_level, x.value, (x.evidence -> 'unconfirmed')::boolean"
            f"{STANDING} join alert_transition x using (alert_id)"
            f"{WHERE} and x.withdrawn_revision is null",
            (tenant,),
        ).fetchall()
        alerts = connection.execute(
            "select d.code, a.rule_code, (extract(epoch from a.onset_time) * 1000)::bigint,"
            " (extract(epoch from a.clear_time) * 1000)::bigint, a.peak_level"
            f"{STANDING}{WHERE}",
            (tenant,),
        ).fetchall()
        [[settled]] = connection.execute(
            "select count(*) from observation where marks & %(settled)s = %(settled)s",
            {"settled": Mark.LATE | Mark.SETTLED},
        ).fetchall()
    return AlertAudit(
        expected,
        sorted(Transition(*row) for row in moves),
        sorted((Episode(*row) for row in alerts), key=lambda alert: alert[:3]),
        settled,
        unsettled,
    )


def _bytes(transitions: list[Transition], alerts: list[Episode]) -> bytes:
    return json.dumps([transitions, alerts]).encode()
