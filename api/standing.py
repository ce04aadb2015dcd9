"""What a device may be said to stand at: decided once, for maps and counts alike.

Unknown is never shown as safe: normal needs a device that is heard, a rule that watches it, and
a fresh reading that passed quality control.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from detectors.derived import LIFTED_OUT
from detectors.flags import Flag
from detectors.level_labels import LevelLabel
from store import map as town_map
from store.alerts import Alert
from store.marks import Mark
from store.rules_in_force import RuleInForce

State = Literal["normal", "alert", "unknown", "maintenance", "out_of_season"]
UnknownReason = Literal[
    "quarantined",
    "never_heard",
    "link_unknown",
    "silent",
    "under_water",
    "offline",
    "no_rule",
    "lifted_out",
    "never_seen",
    "missing",
    "failed",
    "not_evaluated",
    "stale",
]
WATCHING = ("threshold", "rate_of_rise")  # kinds of rules that raise alerts, the foremost first
# Which property a device is shown by, while no alert says otherwise.
FOREMOST = ("depth_m", "stage_m", "dissolved_oxygen_mg_l", "water_temp_c", "ph")


@dataclass(frozen=True)
class Standing:
    """What a device stands at.

    ``level`` is None unless the state is normal (0) or alert. ``shown`` is the datastream whose
    value stands for the device. With state alert, ``unknown_reason`` says that the alert rests
    on what was last seen.
    """

    state: State
    unknown_reason: UnknownReason | None
    level: int | None
    alert: Alert | None
    label: LevelLabel | None
    shown: town_map.Latest | None
    training: bool


def watching(rules: Sequence[RuleInForce]) -> dict[int, RuleInForce]:
    """Pick for each datastream the rule that watches it: a threshold before a rate of rise."""
    found: dict[int, RuleInForce] = {}
    for kind in WATCHING:
        for rule in rules:
            if rule.kind == kind:
                found.setdefault(rule.datastream_id, rule)
    return found


@dataclass(frozen=True)
class Snapshot:
    """What a town's devices are judged by."""

    now: datetime
    watching: Mapping[int, RuleInForce]  # by datastream: a rule that raises alerts
    labels: Mapping[tuple[str, int], LevelLabel]
    alerts: Mapping[str, Sequence[Alert]]  # open ones, by device code
    training: bool  # the whole town is in an exercise
    under_water: Collection[int] = frozenset()  # silent beacons that probably are, by device

    def judge(
        self, device: town_map.Device, streams: Sequence[town_map.Latest], unknown_after_s: float
    ) -> Standing:
        """Decide what one device stands at."""
        watched = sorted((s for s in streams if s.datastream_id in self.watching), key=_order)
        # That probes are out of the water is no alert of the water: it makes it unknown.
        alerts = self.alerts.get(device.code, ())
        alert = _gravest([each for each in alerts if each.scheme != "lift"])
        shown = next((s for s in watched if alert and s.datastream_id == alert.datastream_id), None)
        shown = shown or next(iter(watched), None)
        reason = self._unknown(device, watched, unknown_after_s)
        state, level, label = _state(device, reason), None, None
        if alert is not None and state in ("normal", "unknown"):
            state, level = "alert", alert.level
        elif state == "normal":
            level = 0
            scheme = shown and self.watching[shown.datastream_id].label_scheme
            label = self.labels.get((scheme, 0)) if scheme else None
        return Standing(
            state=state,
            unknown_reason=reason if state in ("unknown", "alert") else None,
            level=level,
            alert=alert,
            label=label,
            shown=shown,
            training=self.training
            or bool(alert and alert.training)
            or any((s.marks or 0) & Mark.TRAINING for s in watched)
            or bool((device.fix_marks or 0) & Mark.TRAINING),
        )

    def _unknown(
        self,
        device: town_map.Device,
        streams: Sequence[town_map.Latest],
        unknown_after_s: float,
    ) -> UnknownReason | None:
        """Say why nothing can be said about the device, or None."""
        if device.state == "quarantined":
            return "quarantined"
        match device.link_state:
            case "silent" if device.device_id in self.under_water:
                return "under_water"
            case "silent" | "offline" as lost:
                return lost
            case "online":
                pass
            case _:
                # Nobody listened for a while: what was received before is not forgotten.
                heard = device.last_received or device.fix_time or any(s.time for s in streams)
                return "link_unknown" if heard else "never_heard"
        if device.kind == "plow":
            return self._doubt(
                device.fix_time, device.fix_received, device.fix_flag, 0.0, unknown_after_s
            )
        return self._unknown_water(streams, unknown_after_s)

    def _unknown_water(
        self, streams: Sequence[town_map.Latest], unknown_after_s: float
    ) -> UnknownReason | None:
        """Say why the newest readings of a device tell nothing about the present, or None."""
        own = [each for each in streams if not each.derived]
        if not own:
            return "no_rule"
        if any(self._lifted_out(each) for each in streams):
            return "lifted_out"
        doubts = (
            self._doubt(
                each.time,
                each.received,
                each.flag if each.revised_flag is None else each.revised_flag,
                each.value,
                unknown_after_s,
            )
            for each in own
        )
        # What is derived may not be known for days; but once it is, it must not fall behind.
        behind = any(
            self._age_s(each.time, each.received) > unknown_after_s
            for each in streams
            if each.derived and each.time and each.received
        )
        doubt = next((doubt for doubt in doubts if doubt is not None), None)
        return "stale" if doubt is None and behind else doubt

    def _lifted_out(self, stream: town_map.Latest) -> bool:
        """Whether the newest reading says that the probes are out of the water still."""
        if stream.property != LIFTED_OUT or not stream.derived:
            return False
        if stream.time is None or stream.received is None or not stream.value:
            return False
        return self._age_s(stream.time, stream.received) < 60.0 * stream.value

    def _age_s(self, time: datetime, received: datetime) -> float:
        """Age of a reading: a clock that runs ahead must not make an old one look fresh."""
        return (self.now - min(time, received)).total_seconds()

    def _doubt(
        self,
        time: datetime | None,
        received: datetime | None,
        flag: int | None,
        value: float | None,
        unknown_after_s: float,
    ) -> UnknownReason | None:
        """Say why one reading tells nothing about the present, or None."""
        if time is None or received is None:
            return "never_seen"
        if flag == Flag.MISSING or value is None:
            return "missing"
        if flag == Flag.FAIL:
            return "failed"
        if flag == Flag.NOT_EVALUATED:
            return "not_evaluated"
        if self._age_s(time, received) > unknown_after_s:
            return "stale"
        return None


def _state(device: town_map.Device, reason: UnknownReason | None) -> State:
    """Say what a device stands at while no alert is open."""
    match device.state:
        case "maintenance" | "out_of_season" as idle:
            # A person has said so. An alert stays in the list until the water is seen to fall.
            return idle
        case _:
            return "normal" if reason is None else "unknown"


def _order(stream: town_map.Latest) -> tuple[int, int]:
    known = stream.property in FOREMOST
    return (FOREMOST.index(stream.property) if known else len(FOREMOST), stream.datastream_id)


def _gravest(alerts: Sequence[Alert]) -> Alert | None:
    """Pick the alert that a device is shown by: the highest level, the water before its rate."""
    return max(
        alerts, key=lambda each: (each.level, each.scheme != "rate", -each.alert_id), default=None
    )
