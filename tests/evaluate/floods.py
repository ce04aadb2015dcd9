"""The street rules on New York's real floods: what was missed, how late, and cleared too early."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from detectors.fleet import Fleet
from detectors.outcome import Transitions
from detectors.profile import Profile
from detectors.profiles import default_rules
from detectors.readings import Readings
from detectors.rules import Threshold
from tests.evaluate.events import share
from tests.evaluate.recordings import Flood, Recording
from tests.evaluate.split import PARTS, part_of

RULE = "street-depth"
# A ceiling that a site might choose; the default is 20 m/h.
HELD_M_PER_H: Final = 6.0


def street_profile() -> Profile:
    """Default rules of an ultrasonic street sensor."""
    return Profile.of(
        (
            (rule.code, rule.rule)
            for rule in default_rules("flood_level", "street")
            if rule.observed_property == "depth_m"
        ),
        max_gap_s=1800.0,
    )


@dataclass
class FloodScore:
    """One level over some floods.

    Attributes
    ----------
    onset_readings : list of int
        Readings between the plain threshold and our onset, per flood.
    false_clears : int
        Times that the level went off at a reading above its `off`.
    """

    floods: int = 0
    missed: int = 0
    onset_readings: list[int] = field(default_factory=list)
    episodes: int = 0
    plain_episodes: int = 0
    false_clears: int = 0


def run(recordings: Sequence[Recording], profile: Profile) -> Transitions:
    """Step the core over all sensors' recordings at once."""
    fleet = Fleet.compile([profile], np.zeros(len(recordings), np.int64))
    readings = Readings.of(
        np.concatenate([np.full(len(r.time_ms), k) for k, r in enumerate(recordings)]),
        np.concatenate([r.time_ms for r in recordings]),
        np.concatenate([r.value for r in recordings]),
    )
    return fleet.step(fleet.empty_state(), readings).transitions


def score_floods(
    recordings: Sequence[Recording], floods: Sequence[Flood], moves: Transitions, on_m: float
) -> FloodScore:
    """Alerts at or above the level that comes on at `on_m`, against the readings themselves."""
    profile = street_profile()
    rule = [keyed.key for keyed in profile.rules].index(RULE)
    levels = profile.rules[rule].rule.levels
    number = [level.on for level in levels].index(on_m) + 1
    score = FloodScore()
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
        score.false_clears += int(np.count_nonzero(moves.value[downs] > levels[number - 1].off))
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


def steep_crossings(
    recordings: Sequence[Recording], ceilings_m_per_h: Sequence[float]
) -> tuple[int, list[int]]:
    """Count crossings of the street's levels, and those that a ceiling would hold.

    Returns
    -------
    crossings : int
        Readings at or above a level that the reading before, no gap between, lay below; a reading
        that crosses several levels counts once for each.
    steep : list of int
        Of these, for each ceiling: steps beyond it by more than three `noise`.
    """
    profile = street_profile()
    rule = next(keyed.rule for keyed in profile.rules if keyed.key == RULE)
    assert isinstance(rule, Threshold)
    crossings, steep = 0, [0] * len(ceilings_m_per_h)
    for recording in recordings:
        step, hours = np.diff(recording.value), np.diff(recording.time_ms) / 3.6e6
        before, after = recording.value[:-1], recording.value[1:]
        linked = hours * 3600.0 <= profile.max_gap_s
        for level in rule.levels:
            crosses = linked & (before < level.on) & (after >= level.on)
            crossings += int(np.count_nonzero(crosses))
            for k, ceiling in enumerate(ceilings_m_per_h):
                held = crosses & (step > ceiling * hours + 3.0 * rule.noise)
                steep[k] += int(np.count_nonzero(held))
    return crossings, steep


def section(recordings: Sequence[Recording], floods: Sequence[Flood]) -> list[str]:
    """Write the report's part, by level and by part of the set."""
    readings = sum(len(r.value) for r in recordings)
    lines = [
        "## Street floods, New York 2020-2025",
        "",
        (
            f"{len(recordings)} ultrasonic sensors, {len(floods)} floods, {readings:,} readings, "
            "default rules of a street. No value of these rules was chosen on any of these "
            "floods, so all parts are acceptance. Only floods are in the set: it says nothing "
            "about false alarms in dry weather, which the synthetic streets below do. Demanded: "
            "no flood of 10 cm or more missed, no onset more than one reading after the plain "
            "threshold, no clear while the water stands."
        ),
        "",
        (
            "| level | part | floods that reach it | missed | onset: readings after the plain "
            "threshold (share at 0 / 1 / more) | episodes, ours / plain threshold "
            "| clears above `off` |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    moves = run(recordings, street_profile())
    number = {r.name: k for k, r in enumerate(recordings)}
    for on in (0.05, 0.10, 0.20, 0.30):
        for part in PARTS:
            some = [f for f in floods if part_of(number[f.sensor], f.begin_ms) == part]
            s = score_floods(recordings, some, moves, on)
            late = np.array(s.onset_readings)
            shares = [int((late <= 0).sum()), int((late == 1).sum()), int((late > 1).sum())]
            lines.append(
                f"| {on * 100:.0f} cm | {part.removesuffix(' (tuned here)')} | {s.floods} | "
                f"{s.missed} | {' / '.join(share(p, len(late)) for p in shares)} | "
                f"{s.episodes} / {s.plain_episodes} | {s.false_clears} |"
            )
    ceilings = (HELD_M_PER_H, 20.0)
    crossings, steep = steep_crossings(recordings, ceilings)
    return [
        *lines,
        "",
        (
            f"Of {crossings:,} crossings of a level, one for each level that a reading crosses, "
            + " and ".join(
                f"{n} rose by more than {ceiling:g} m/h"
                for n, ceiling in zip(steep, ceilings, strict=True)
            )
            + " (beyond three times the noise): that many a ceiling there holds for one reading."
        ),
        "",
    ]
