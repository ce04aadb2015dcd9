"""One profile's parameters as plain numbers, for readings that are decided one by one."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from detectors.checks import Checks
from detectors.lanes import Lanes


class ValueLane(NamedTuple):
    """A lane that looks at the value; what the limits mean is told by `Lanes.value_limits`."""

    bit: int
    sign: float
    on: float
    off: float
    ceiling_per_ms: float
    slack: float
    tell_at: float
    failed_raises: float


class SlopeLane(NamedTuple):
    """A lane that looks at the slope; see `Lanes.slope_limits`."""

    bit: int
    sign: float
    on: float
    off: float
    significance: float


class Delays(NamedTuple):
    """How long a lane's state machine waits, in milliseconds, before it turns on and off."""

    lane: int
    bit: int
    on_ms: int
    off_ms: int


@dataclass(frozen=True, slots=True)
class PlainProfile:
    """What `Lanes` and `Checks` hold of one profile; only lanes that it has.

    Attributes
    ----------
    values, slopes, delays : tuple
        By lane; `delays` of both kinds.
    max_gap_ms, span_ms, noise, inflation : int, int, float, float
    sensor_span, user_span : (float, float)
        NaN: no such test, here and below.
    seasons : tuple of 12 (float, float), or empty
        By month.
    spike_suspect, spike_fail, rate_per_s : float
    flat_suspect_ms, flat_fail_ms : int
    """

    values: tuple[ValueLane, ...]
    slopes: tuple[SlopeLane, ...]
    delays: tuple[Delays, ...]
    max_gap_ms: int
    span_ms: int
    noise: float
    inflation: float
    sensor_span: tuple[float, float]
    user_span: tuple[float, float]
    seasons: tuple[tuple[float, float], ...]
    spike_suspect: float
    spike_fail: float
    rate_per_s: float
    flat_suspect_ms: int
    flat_fail_ms: int

    @classmethod
    def of(cls, lanes: Lanes, checks: Checks, profile: int) -> Self:
        """Read one row of the tables."""
        own = [lane for lane in range(lanes.count) if lanes.present[profile, lane]]
        on_value = [lane for lane in own if lane < lanes.value_lanes]
        on_slope = [lane for lane in own if lane >= lanes.value_lanes]
        of_values = lanes.value_limits[:, on_value, profile].T.tolist() if on_value else []
        of_slopes = lanes.slope_limits[:, on_slope, profile].T.tolist() if on_slope else []
        seasons = zip(
            checks.season_low[profile].tolist(), checks.season_high[profile].tolist(), strict=True
        )
        return cls(
            values=tuple(
                ValueLane(1 << lane, *limits)
                for lane, limits in zip(on_value, of_values, strict=True)
            ),
            slopes=tuple(
                SlopeLane(1 << lane, *limits)
                for lane, limits in zip(on_slope, of_slopes, strict=True)
            ),
            delays=tuple(
                Delays(lane, 1 << lane, int(on_ms), int(off_ms))
                for lane, on_ms, off_ms in zip(
                    own, lanes.delay_on_ms[profile, own], lanes.delay_off_ms[profile, own],
                    strict=True,
                )
            ),
            max_gap_ms=int(lanes.max_gap_ms[profile]),
            span_ms=int(lanes.span_ms[profile]),
            noise=float(lanes.noise[profile]),
            inflation=float(lanes.inflation[profile]),
            sensor_span=(float(checks.sensor_low[profile]), float(checks.sensor_high[profile])),
            user_span=(float(checks.user_low[profile]), float(checks.user_high[profile])),
            seasons=tuple(seasons) if not all(map(math.isnan, checks.season_low[profile])) else (),
            spike_suspect=float(checks.spike_suspect[profile]),
            spike_fail=float(checks.spike_fail[profile]),
            rate_per_s=float(checks.rate_per_s[profile]),
            flat_suspect_ms=int(checks.flat_suspect_ms[profile]),
            flat_fail_ms=int(checks.flat_fail_ms[profile]),
        )  # fmt: skip


class PlainProfiles(dict[int, PlainProfile]):
    """By number, each read when it is asked for the first time."""

    def __init__(self, lanes: Lanes, checks: Checks) -> None:
        super().__init__()
        self._lanes = lanes
        self._checks = checks

    def __missing__(self, profile: int) -> PlainProfile:
        self[profile] = found = PlainProfile.of(self._lanes, self._checks, profile)
        return found
