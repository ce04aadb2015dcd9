"""Score the detection core on real floods and on seeded noise: `make evaluate`.

Writes docs/detection-report.md. Nothing was tuned on what is scored here except where the report
says so; the baselines are a plain threshold without hysteresis, and plain least squares.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from detectors.fleet import Fleet
from detectors.forecast import Reach, TimeToThreshold, Tracks, arrival, follow
from detectors.profile import Profile
from detectors.profiles import default_rules
from detectors.readings import Readings
from detectors.rules import RateOfRise
from tests.evaluate import labelled
from tests.evaluate.picture import flood_picture
from tests.evaluate.recordings import Flood, Recording, river_stages, street_floods

MINUTE_MS = 60_000
MONTH_MINUTES = 30 * 24 * 60


def poisson_interval(count: int, exposure: float) -> tuple[float, float]:
    """Exact 95% interval of a rate."""
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return low / exposure, stats.chi2.ppf(0.975, 2 * count + 2) / 2 / exposure


def street_profile() -> Profile:
    return Profile.of(
        (
            (rule.code, rule.rule)
            for rule in default_rules("flood_level", "street")
            if rule.observed_property == "depth_m"
        ),
        max_gap_s=1800.0,
    )


@dataclass
class StreetScore:
    floods: int = 0
    missed: int = 0
    onset_readings: list[int] | None = None
    episodes: int = 0
    plain_episodes: int = 0
    false_clears: int = 0


def score_streets(recordings: list[Recording], floods: list[Flood], on_m: float) -> StreetScore:
    """Alerts at or above the level that comes on at `on_m`, against the readings themselves."""
    profile = street_profile()
    names = [keyed.key for keyed in profile.rules]
    rule = names.index("street-depth")
    levels = profile.rules[rule].rule.levels
    number = [level.on for level in levels].index(on_m) + 1
    off_m = levels[number - 1].off
    score = StreetScore(onset_readings=[])
    fleet = Fleet.compile([profile], np.zeros(len(recordings), np.int64))
    sensor = np.concatenate([np.full(len(r.time_ms), k) for k, r in enumerate(recordings)])
    readings = Readings.of(
        sensor,
        np.concatenate([r.time_ms for r in recordings]),
        np.concatenate([r.value for r in recordings]),
    )
    moves = fleet.step(fleet.empty_state(), readings).transitions
    of = {r.name: k for k, r in enumerate(recordings)}
    for flood in floods:
        if flood.peak_m < on_m:
            continue
        score.floods += 1
        recording = recordings[of[flood.sensor]]
        inside = (recording.time_ms >= flood.begin_ms) & (recording.time_ms <= flood.end_ms)
        times, depth = recording.time_ms[inside], recording.value[inside]
        above = depth >= on_m
        score.plain_episodes += int(np.count_nonzero(np.diff(above.astype(int), prepend=0) == 1))
        mine = (moves.sensor == of[flood.sensor]) & (moves.rule == rule)
        before = mine & (moves.time_ms < flood.begin_ms)
        standing = before.any() and moves.to_level[np.flatnonzero(before)[-1]] >= number
        here = mine & (moves.time_ms >= flood.begin_ms) & (moves.time_ms <= flood.end_ms)
        ups = here & (moves.to_level >= number) & (moves.from_level < number)
        downs = here & (moves.to_level < number) & (moves.from_level >= number)
        score.episodes += int(np.count_nonzero(ups)) + int(standing)
        score.false_clears += int(np.count_nonzero(moves.value[downs] > off_m))
        if standing:
            continue
        if not ups.any():
            score.missed += 1
            continue
        onset = moves.time_ms[np.flatnonzero(ups)[0]]
        plain = times[np.argmax(above)]
        score.onset_readings.append(
            int(np.searchsorted(times, onset) - np.searchsorted(times, plain))
        )
    return score


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


@dataclass
class ForecastScore:
    said: int = 0
    inside: int = 0
    expected: int = 0
    expected_never: int = 0
    errors_min: list[float] | None = None


def score_forecast(
    recordings: list[Recording], goals: list[tuple[float, ...]], rule: TimeToThreshold
) -> ForecastScore:
    """Follow each recording and check each thing that was said against what then happened."""
    score = ForecastScore(errors_min=[])
    one = np.array([0])
    for recording, levels in zip(recordings, goals, strict=True):
        times, values = recording.time_ms, recording.value
        crossings = {goal: times[values >= goal] for goal in levels}
        lowest = min(levels)
        tracks = Tracks.empty(1)
        for time, value in zip(times, values, strict=True):
            tracks = follow(tracks, rule, one, np.array([time]), np.array([value]))
            if not np.isfinite(value) or tracks.sure[0] < 2 or value < 0.2 * lowest:
                continue
            above = [goal for goal in levels if goal > tracks.level[0]]
            if not above:
                continue
            goal = min(above)
            said = arrival(tracks, rule, one, np.array([goal]))
            if said.reach[0] == Reach.NOTHING:
                continue
            later = crossings[goal]
            at = np.searchsorted(later, time, side="right")
            truth = (later[at] - time) / 1000.0 if at < len(later) else np.inf
            if truth > 4 * 3600.0:
                truth = np.inf
            score.said += 1
            score.inside += bool(said.earliest_s[0] <= truth <= said.latest_s[0])
            if np.isfinite(truth):
                score.errors_min.append(abs(said.after_s[0] - truth) / 60.0)
            if said.reach[0] == Reach.EXPECTED:
                score.expected += 1
                score.expected_never += not np.isfinite(truth)
    return score


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def street_section(recordings: list[Recording], floods: list[Flood]) -> list[str]:
    months = sorted(f.begin_ms for f in floods)
    middle = months[len(months) // 2]
    lines = [
        "## Street floods, New York 2020-2025",
        "",
        (
            f"{len(recordings)} ultrasonic sensors, {len(floods)} floods, "
            f"{sum(len(r.value) for r in recordings):,} readings, default rules of a street. "
            "Only floods are in the set, so it says nothing about false alarms in dry weather."
        ),
        "",
        (
            "| level | period | floods that reach it | missed | onset: readings after the plain "
            "threshold (share at 0 / 1 / more) | episodes, ours / plain threshold "
            "| clears above `off` |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for on in (0.05, 0.10, 0.20, 0.30):
        for label, some in (
            ("first half", [f for f in floods if f.begin_ms < middle]),
            ("second half", [f for f in floods if f.begin_ms >= middle]),
        ):
            s = score_streets(recordings, some, on)
            late = np.array(s.onset_readings)
            parts = [int((late <= 0).sum()), int((late == 1).sum()), int((late > 1).sum())]
            lines.append(
                f"| {on * 100:.0f} cm | {label} | {s.floods} | {s.missed} | "
                f"{' / '.join(share(p, len(late)) for p in parts)} | "
                f"{s.episodes} / {s.plain_episodes} | {s.false_clears} |"
            )
    return [*lines, ""]


def rate_section() -> list[str]:
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


def forecast_section(streets: list[Recording], rivers: list[Recording]) -> list[str]:
    lines = [
        "## Time to threshold",
        "",
        (
            "Everything that was said, against the next crossing within four hours. The interval "
            "is meant to hold 80 of 100."
        ),
        "",
        "| recording | said | inside the interval | median error | expected | of these never |",
        "|---|---|---|---|---|---|",
    ]
    deep = [r for r in streets if np.nanmax(r.value) > 0.2]
    cases = [
        ("streets, first half of the sensors", deep[::2], [(0.1, 0.2, 0.3)] * len(deep[::2])),
        ("streets, second half", deep[1::2], [(0.1, 0.2, 0.3)] * len(deep[1::2])),
    ]
    for river in rivers:
        base = float(np.nanmedian(river.value))
        cases.append((river.name, [river], [(base + 0.3, base + 0.6, base + 0.9)]))
    for name, recordings, goals in cases:
        s = score_forecast(recordings, goals, TimeToThreshold(noise=0.01))
        error = f"{np.median(s.errors_min):.1f} min" if s.errors_min else "-"
        lines.append(
            f"| {name} | {s.said} | {share(s.inside, s.said)} | {error} | {s.expected} | "
            f"{share(s.expected_never, s.expected)} |"
        )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the recordings")
    parser.add_argument("--out", type=Path, default=Path("docs/detection-report.md"))
    args = parser.parse_args()
    if not (args.data / "flood_depth_nyc").is_dir():
        sys.exit(f"{args.data} holds no recordings; give their folder with DATA=...")
    recordings, floods = street_floods(args.data)
    picture = args.out.parent / "images" / "detection-flood.svg"
    picture.write_text(flood_picture(street_profile(), recordings, floods))
    lines = [
        "# How well the core detects",
        "",
        "Written by `make evaluate`. Every figure comes from the same code that runs live.",
        "",
        *street_section(recordings, floods),
        f"![A street flood and the alert it raises](images/{picture.name})",
        "",
        *rate_section(),
        *forecast_section(recordings, river_stages(args.data)),
        *labelled.section(args.data),
    ]
    args.out.write_text("\n".join(lines).rstrip() + "\n")
    print(args.out.read_text())


if __name__ == "__main__":
    main()
