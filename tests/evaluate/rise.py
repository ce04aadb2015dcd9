"""The rate-of-rise rule on seeded noise and seeded rises."""

import numpy as np

from detectors.backtest import poisson_interval
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.readings import Readings
from detectors.rules import RateOfRise

MINUTE_MS = 60_000
MONTH_MINUTES = 30 * 24 * 60


def false_rises(outliers: float, sensors: int = 300, days: int = 10) -> tuple[int, float]:
    """Onsets of the rate rule on still water with noise of 5 mm, and the months watched."""
    rng = np.random.default_rng(11)
    rule = RateOfRise(limits_per_h=(0.6, 3.0), noise=0.005)
    fleet = Fleet.compile([Profile.of([("rise", rule)])], np.zeros(sensors, np.int64))
    state, onsets = fleet.empty_state(), 0
    minutes = 240
    for start in range(0, days * 1440, minutes):
        minute = np.repeat(np.arange(start, start + minutes), sensors)
        depth = rng.normal(0.3, 0.005, len(minute))
        hit = rng.random(len(minute)) < outliers
        depth[hit] += rng.uniform(-0.5, 1.5, np.count_nonzero(hit))
        sensor = np.tile(np.arange(sensors), minutes)
        outcome = fleet.step(state, Readings.of(sensor, minute * MINUTE_MS, depth))
        state = outcome.state
        onsets += int(np.count_nonzero(outcome.transitions.from_level == 0))
    return onsets, sensors * days * 1440 / MONTH_MINUTES


def false_rises_of_plain_fit(outliers: float, windows: int = 200_000) -> float:
    """Share of 10-minute windows whose ordinary least-squares slope is beyond 0.6 m/h."""
    rng = np.random.default_rng(11)
    depth = rng.normal(0.3, 0.005, (windows, 11))
    hit = rng.random(depth.shape) < outliers
    depth[hit] += rng.uniform(-0.5, 1.5, np.count_nonzero(hit))
    t = np.arange(11) / 60.0
    t = t - t.mean()
    slope = (depth - depth.mean(axis=1, keepdims=True)) @ t / (t @ t)
    return float((slope > 0.6).mean())


def rise_delays(rate_m_per_h: float = 3.0, sensors: int = 2_000) -> np.ndarray:
    """Minutes from the start of a true rise to the watch onset, at 60 s and 5 mm noise."""
    rng = np.random.default_rng(12)
    rule = RateOfRise(limits_per_h=(0.6, 3.0), noise=0.005)
    fleet = Fleet.compile([Profile.of([("rise", rule)])], np.zeros(sensors, np.int64))
    minute = np.repeat(np.arange(40), sensors)
    begin = 20.0
    depth = 0.2 + np.maximum(minute - begin, 0.0) * rate_m_per_h / 60.0
    depth = depth + rng.normal(0, 0.005, len(minute))
    readings = Readings.of(np.tile(np.arange(sensors), 40), minute * MINUTE_MS, depth)
    moves = fleet.step(fleet.empty_state(), readings).transitions
    first = moves.from_level == 0
    return moves.time_ms[first] / MINUTE_MS - begin


def section() -> list[str]:
    """Write the report's part."""
    lines = [
        "## Rate of rise on seeded noise",
        "",
        (
            "Still water, 5 mm noise, one reading a minute, 300 sensors for 10 days; outliers "
            "between -0.5 and +1.5 m."
        ),
        "",
        (
            "| outliers | false onsets | per sensor-month (95% exact) | plain least squares: "
            "windows beyond 0.6 m/h |"
        ),
        "|---|---|---|---|",
    ]
    for outliers in (0.0, 0.01, 0.02):
        count, months = false_rises(outliers)
        low, high = poisson_interval(count, months)
        lines.append(
            f"| {outliers:.0%} | {count} | {count / months:.3f} ({low:.3f}-{high:.3f}) | "
            f"{false_rises_of_plain_fit(outliers):.2%} |"
        )
    delay = rise_delays()
    return [
        *lines,
        "",
        (
            f"A true 3 m/h is told (watch level) after {np.median(delay):.1f} min in the median, "
            f"{np.percentile(delay, 95):.1f} min at the 95th percentile, from {len(delay)} starts "
            f"of which {int((delay < 0).sum())} came before the rise."
        ),
        "",
    ]
