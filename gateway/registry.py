"""What a gateway knows at one moment: towns, devices, datastreams, and the rules compiled."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import structlog
from numpy.typing import NDArray

from detectors.fleet import Fleet
from detectors.profiles import max_gap_s
from gateway.codecs.binding import Decode, bind
from gateway.errors import RefusedReadingError
from gateway.message import Message
from gateway.partition import partition_of
from gateway.reasons import Reason
from gateway.topics import parse_up
from store import fleet as fleet_rows
from store.database import Connection
from store.fleet import FleetRows, TownRow
from store.marks import Mark
from store.rule_profile import AlertRule, Compiled, compile_rules
from store.times import milliseconds

if TYPE_CHECKING:
    from store.rules_in_force import RuleInForce

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """A device, and the sensors of the fleet that its properties are.

    `derived` are properties that are computed here and that it may not send.
    """

    device_id: int
    tenant_id: int
    code: str
    state: str
    codec: str
    decode: Decode
    training_mark: int
    streams: Mapping[str, int]
    derived: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Registry:
    """One moment's towns, devices and compiled rules.

    Attributes
    ----------
    towns
        By code.
    devices
        By town and code.
    datastream_id, tenant_id, device_id : int32[S]
        Of each sensor of the fleet.
    decided_from_ms : int64[S]
        Phenomenon time from which on the rules of a sensor are those that are compiled: rules
        are never applied to readings from before they were valid.
    ruled : bool[S]
        Whether a sensor has any rule or quality test.
    fleet
        The compiled profiles.
    compiled
        Per profile, its rules with their versions.
    next_rule_change
        When the next version of a rule comes into force.
    """

    towns: Mapping[str, TownRow]
    devices: Mapping[tuple[int, str], Device]
    datastream_id: NDArray[np.int32]
    tenant_id: NDArray[np.int32]
    device_id: NDArray[np.int32]
    decided_from_ms: NDArray[np.int64]
    ruled: NDArray[np.bool_]
    fleet: Fleet
    compiled: tuple[Compiled, ...]
    next_rule_change: datetime | None
    device_codes: Mapping[int, str]
    town_codes: Mapping[int, str]
    training: frozenset[int]
    _routes: dict[tuple[int, int | None, bytes], Device] = field(default_factory=dict)

    def rule_of(self, sensor: int, rule: int) -> AlertRule:
        """Return the rule that an index of the fleet's outcome means."""
        return self.compiled_of(sensor).versions[rule]

    def compiled_of(self, sensor: int) -> Compiled:
        """Return the rules of a sensor."""
        return self.compiled[int(self.fleet.sensor_profile[sensor])]

    def route(self, message: Message) -> Device:
        """Find the device that sent a message.

        Raises
        ------
        RefusedReadingError
            If the topic is not one of ours, not of the intake's town or partition, or the town
            has no such device.
        """
        intake = message.intake
        key = (intake.tenant_id, intake.partition_no, message.topic)
        device = self._routes.get(key)
        if device is None:
            device = self._routes[key] = self._find(message)
        return device

    def _find(self, message: Message) -> Device:
        intake = message.intake
        try:
            topic = parse_up(message.topic.decode())
        except UnicodeDecodeError as error:
            raise RefusedReadingError(Reason.BAD_TOPIC, "not UTF-8") from error
        town = self.towns.get(topic.tenant_code)
        if town is None or town.tenant_id != intake.tenant_id:
            raise RefusedReadingError(Reason.BAD_TOPIC, "not of this town")
        if topic.partition_no != intake.partition_no or (
            topic.partition_no is not None
            and partition_of(topic.device_code, intake.partitions) != topic.partition_no
        ):
            raise RefusedReadingError(
                Reason.WRONG_PARTITION, f"partition {topic.partition_no} is not this device's"
            )
        device = self.devices.get((town.tenant_id, topic.device_code))
        if device is None:
            raise RefusedReadingError(
                Reason.UNKNOWN_DEVICE, f"the town has no device {topic.device_code!r}"
            )
        return device

    @staticmethod
    def code_in(message: Message) -> str | None:
        """Return the device's code in a message's topic, if there is one."""
        try:
            return parse_up(message.topic.decode()).device_code
        except (RefusedReadingError, UnicodeDecodeError):
            return None


def load(conn: Connection) -> Registry:
    """Read the registry as it is now."""
    return build(fleet_rows.load(conn, datetime.now(UTC)))


def build(rows: FleetRows) -> Registry:
    """Compile the rules of every datastream; equal sets of rules share a profile."""
    interval = {device.device_id: device.expected_interval_s for device in rows.devices}
    in_force: dict[int, list[RuleInForce]] = defaultdict(list)
    for rule in rows.rules:
        in_force[rule.datastream_id].append(rule)
    compiled: list[Compiled] = []
    index: dict[tuple[tuple[int, ...], float], int] = {}
    sensor_profile, decided_from = [], []
    for stream in rows.datastreams:
        own = in_force[stream.datastream_id]
        gap_s = max_gap_s(interval[stream.device_id])
        key = (tuple(rule.rule_id for rule in own), gap_s if own else 0.0)
        if key not in index:
            index[key] = len(compiled)
            compiled.append(compile_rules(own, interval[stream.device_id]))
        sensor_profile.append(index[key])
        since = rows.unchanged_since.get(stream.datastream_id)
        decided_from.append(0 if since is None else milliseconds(since))
    for left_out in (one for each in compiled for one in each.left_out):
        log.error("rule_left_out", **asdict(left_out))
    ruled = np.array([each.ruled for each in compiled], np.bool_)
    profile_of = np.array(sensor_profile, np.int32)
    training = frozenset(town.tenant_id for town in rows.towns if town.training)
    return Registry(
        towns={town.code: town for town in rows.towns},
        devices=_devices(rows, training),
        datastream_id=np.array([s.datastream_id for s in rows.datastreams], np.int32),
        tenant_id=np.array([s.tenant_id for s in rows.datastreams], np.int32),
        device_id=np.array([s.device_id for s in rows.datastreams], np.int32),
        decided_from_ms=np.array(decided_from, np.int64),
        ruled=ruled[profile_of] if len(ruled) else np.zeros(0, np.bool_),
        fleet=Fleet.compile([each.profile for each in compiled], profile_of),
        compiled=tuple(compiled),
        next_rule_change=rows.next_rule_change,
        device_codes={device.device_id: device.code for device in rows.devices},
        town_codes={town.tenant_id: town.code for town in rows.towns},
        training=training,
    )


def _devices(rows: FleetRows, training: frozenset[int]) -> dict[tuple[int, str], Device]:
    streams: dict[int, dict[str, int]] = defaultdict(dict)
    for sensor, stream in enumerate(rows.datastreams):
        streams[stream.device_id][stream.property] = sensor
    derived: dict[int, set[str]] = defaultdict(set)
    for device_id, name in rows.derived:
        derived[device_id].add(name)
    return {
        (row.tenant_id, row.code): Device(
            row.device_id,
            row.tenant_id,
            row.code,
            row.state,
            row.codec,
            bind(
                row.codec,
                row.codec_params,
                streams[row.device_id],
                moves=row.kind == "plow",
            ),
            int(Mark.TRAINING) if row.tenant_id in training else 0,
            streams[row.device_id],
            frozenset(derived.get(row.device_id, ())),
        )
        for row in rows.devices
    }
