"""Everything that one desk needs at one moment, read in one transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from api.standing import Snapshot, Standing, watching
from detectors.forecast import TimeToThreshold
from detectors.rules import Silence
from store import beacons, level_labels, rules_in_force
from store import map as town_map
from store.alerts import Alert, alerts
from store.database import Connection
from store.rules_in_force import RuleInForce
from store.silences import bound_s, silences
from store.town_catalog import Tenant


@dataclass(frozen=True)
class Placed:
    """A device, its datastreams, and what it stands at."""

    device: town_map.Device
    streams: list[town_map.Latest]
    standing: Standing


@dataclass(frozen=True)
class Desk:
    """The town at one moment."""

    snapshot: Snapshot
    devices: list[Placed]
    forecasting: Mapping[int, RuleInForce]  # by datastream: the rule of its time to threshold

    def of(self, *kinds: str) -> list[Placed]:
        """Return the devices of some kinds."""
        return [each for each in self.devices if each.device.kind in kinds]


def desk(
    conn: Connection,
    town: Tenant,
    now: datetime,
    kinds: tuple[str, ...] | None = None,
    code: str | None = None,
) -> Desk:
    """Read the town, or its devices of some kinds, or one of them, and judge each device."""
    rows = town_map.devices(conn, code=code, kinds=kinds)
    streams = streams_by_device(conn, rows)
    open_alerts: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts(conn, is_open=True):
        open_alerts[alert.device].append(alert)
    in_force = rules_in_force.of_datastreams(conn, now)
    silent = silences(rules_in_force.of_links(conn, now)).of_device
    snapshot = Snapshot(
        now,
        watching(in_force),
        level_labels.in_force(conn, now),
        open_alerts,
        town.training,
        beacons.under_water(conn, _silent_beacons(rows, silent), now),
    )
    limits = _limits(rows, silent)
    return Desk(
        snapshot,
        [
            Placed(
                row,
                streams[row.device_id],
                snapshot.judge(row, streams[row.device_id], limits[row.device_id]),
            )
            for row in rows
        ],
        {rule.datastream_id: rule for rule in in_force if rule.kind == TimeToThreshold.kind},
    )


def unknown_after_s(
    conn: Connection, rows: list[town_map.Device], now: datetime
) -> dict[int, float]:
    """Read after how many seconds a reading of each device says nothing about the present.

    A device without a silence rule is judged by the default one.
    """
    return _limits(rows, silences(rules_in_force.of_links(conn, now)).of_device)


def _limits(rows: Sequence[town_map.Device], silent: Mapping[int, Silence]) -> dict[int, float]:
    return {
        row.device_id: bound_s(silent.get(row.device_id, Silence()), row.expected_interval_s)
        for row in rows
    }


def _silent_beacons(rows: Sequence[town_map.Device], silent: Mapping[int, Silence]) -> list[int]:
    """List silent devices whose radio drowns when they are under water."""
    return [
        row.device_id
        for row in rows
        if row.link_state == "silent" and silent.get(row.device_id, Silence()).drowns
    ]


def streams_by_device(
    conn: Connection, rows: list[town_map.Device]
) -> dict[int, list[town_map.Latest]]:
    """Read the datastreams of these devices with their newest readings."""
    found: dict[int, list[town_map.Latest]] = {row.device_id: [] for row in rows}
    for each in town_map.latest(conn, device_ids=list(found)):
        found[each.device_id].append(each)
    return found
