"""Seeded synthetic streets: a month of weather, dirt and lost reports, whose truth is known."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from ioos_qc import qartod

from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.readings import Readings
from tests.evaluate.events import HEAD, MONTH_MS, Score, Span, alerts_of, runs, score
from tests.evaluate.floods import HELD_M_PER_H, RULE, street_profile

MINUTE_MS: Final = 60_000
SENSORS: Final = 60
DAYS: Final = 30
ON_M, GRAVE_M = 0.10, 0.30
OUTLIERS: Final = 0.0005
RISING_M_PER_H: Final = 0.6
# A rise shorter than this is a ripple; the rule's window holds ten minutes.
RISING_AT_LEAST_MS: Final = 5 * MINUTE_MS


@dataclass(frozen=True, eq=False)
class Streets:
    """Depths of S sensors at every minute, as they are and as they are reported.

    Attributes
    ----------
    truth_m, reported_m : float64[S, T]
        NaN in `reported_m`: the report was lost.
    """

    truth_m: np.ndarray
    reported_m: np.ndarray

    @property
    def minute_ms(self) -> np.ndarray:
        """Time of each column."""
        return np.arange(self.truth_m.shape[1]) * MINUTE_MS

    @classmethod
    def seeded(cls, seed: int, sensors: int = SENSORS, days: int = DAYS) -> "Streets":
        """Draw a month.

        Notes
        -----
        Eight storms strike the town; a sensor floods in each with probability 0.4, to a depth of
        3 to 80 cm, within 8 to 60 minutes, stands for up to 40 and drains within hours. The
        reading has 5 mm of noise, up to 1.5 cm of daily drift with the sun (the speed of sound),
        0.05% single outliers (cars, people, insects: -0.5 to 1.5 m), and 5% of the reports are
        lost; every tenth sensor grows noisier to 1.5 cm.
        """
        rng = np.random.default_rng(seed)
        minutes = days * 1440
        truth = np.zeros((sensors, minutes))
        minute = np.arange(minutes)
        for begin in np.sort(rng.integers(600, minutes - 900, 8)):
            for sensor in np.flatnonzero(rng.random(sensors) < 0.4):
                peak = float(np.clip(rng.lognormal(np.log(0.15), 0.8), 0.03, 0.8))
                rise, stand = rng.uniform(8.0, 60.0), rng.uniform(0.0, 40.0)
                drain = rng.uniform(20.0, 90.0)
                since = minute - (begin + rng.integers(0, 60))
                shape = np.where(
                    since < rise, since / rise, np.exp(-np.maximum(since - rise - stand, 0) / drain)
                )
                water = np.where(since >= 0, np.maximum(peak * shape - 0.002, 0.0), 0.0)
                truth[sensor] = np.maximum(truth[sensor], water)
        noise = np.where(np.arange(sensors) % 10 == 0, 0.015, 0.005)[:, None]
        sun = 0.015 * rng.random((sensors, 1)) * np.sin(2.0 * np.pi * minute / 1440.0)
        reported = truth + sun + noise * rng.normal(size=truth.shape)
        hit = rng.random(truth.shape) < OUTLIERS
        reported[hit] += rng.uniform(-0.5, 1.5, np.count_nonzero(hit))
        reported[rng.random(truth.shape) < 0.05] = np.nan
        return cls(truth, reported)

    def floods(self) -> list[Span]:
        """Stretches with 10 cm of water; grave from 30 cm on."""
        spans = []
        for sensor, depth in enumerate(self.truth_m):
            for span in runs(sensor, self.minute_ms, depth >= ON_M):
                inside = depth[span.begin_ms // MINUTE_MS : span.end_ms // MINUTE_MS + 1]
                spans.append(
                    Span(sensor, span.begin_ms, span.end_ms, bool(inside.max() >= GRAVE_M))
                )
        return spans

    def rises(self) -> list[Span]:
        """Stretches that truly rise by more than the watch limit."""
        spans = []
        for sensor, depth in enumerate(self.truth_m):
            rising = np.diff(depth, prepend=0.0) * 60.0 > RISING_M_PER_H
            spans += [
                span
                for span in runs(sensor, self.minute_ms, rising)
                if span.end_ms - span.begin_ms >= RISING_AT_LEAST_MS
            ]
        return spans


def held(ceiling_per_h: float) -> Profile:
    """Default rules of a street, but steps beyond a ceiling are held for one reading."""
    profile = street_profile()
    return replace(
        profile,
        rules=tuple(
            replace(keyed, rule=replace(keyed.rule, ceiling_per_h=ceiling_per_h))
            if keyed.key == RULE
            else keyed
            for keyed in profile.rules
        ),
    )


def core(streets: Streets, profile: Profile) -> tuple[list[Span], list[Span]]:
    """Alerts of a street's rules: 10 cm and more, and rate of rise."""
    keys = [keyed.key for keyed in profile.rules]
    sensors, minutes = streets.reported_m.shape
    fleet = Fleet.compile([profile], np.zeros(sensors, np.int64))
    sensor, minute = (grid.ravel() for grid in np.indices(streets.reported_m.shape))
    value = streets.reported_m.ravel()
    sent = np.isfinite(value)
    readings = Readings.of(sensor[sent], minute[sent] * MINUTE_MS, value[sent])
    moves = fleet.step(fleet.empty_state(), readings).transitions
    end_ms = minutes * MINUTE_MS
    level = [one.on for one in profile.rules[keys.index(RULE)].rule.levels].index(ON_M) + 1
    floods = alerts_of(moves, keys.index(RULE), level, end_ms)
    rises = alerts_of(moves, keys.index("street-rise"), 1, end_ms)
    return floods, rises


def plain(streets: Streets) -> tuple[list[Span], list[Span]]:
    """Alerts of a bare threshold, and of the difference to ten minutes before."""
    floods, rises = [], []
    for sensor, depth in enumerate(streets.reported_m):
        sent = np.flatnonzero(np.isfinite(depth))
        times, values = sent * MINUTE_MS, depth[sent]
        floods += runs(sensor, times, values >= ON_M)
        back = np.maximum(np.searchsorted(times, times - 10 * MINUTE_MS), 0)
        hours = np.maximum(times - times[back], MINUTE_MS) / 3.6e6
        rises += runs(sensor, times, (values - values[back]) / hours > RISING_M_PER_H)
    return floods, rises


def ioos(streets: Streets) -> tuple[list[Span], list[Span]]:
    """Alerts of ioos_qc's flags: out of the usual span, and rate of change."""
    floods, rises = [], []
    for sensor, depth in enumerate(streets.reported_m):
        sent = np.flatnonzero(np.isfinite(depth))
        times, values = sent * MINUTE_MS, depth[sent]
        usual = np.nextafter(ON_M, 0.0)
        span = qartod.gross_range_test(values, fail_span=(-9, 9), suspect_span=(-9, usual))
        moments = times.astype("datetime64[ms]").astype("datetime64[ns]")
        rate = qartod.rate_of_change_test(values, moments, threshold=RISING_M_PER_H / 3600.0)
        floods += runs(sensor, times, np.isin(np.asarray(span), (3, 4)))
        rises += runs(sensor, times, np.isin(np.asarray(rate), (3, 4)))
    return floods, rises


def nothing(_streets: Streets) -> tuple[list[Span], list[Span]]:
    """Say nothing."""
    return [], []


def scores(streets: Streets) -> dict[str, tuple[Score, Score]]:
    """Score each detector on floods and on rises; a rise may be told until ten minutes after."""
    sensors, minutes = streets.truth_m.shape
    months = sensors * minutes * MINUTE_MS / MONTH_MS
    events, rises = streets.floods(), streets.rises()
    result = {}
    for name, detector in (
        ("core", lambda s: core(s, street_profile())),
        (f"core, held above {HELD_M_PER_H:g} m/h", lambda s: core(s, held(HELD_M_PER_H))),
        ("plain threshold / difference", plain), ("ioos_qc", ioos),
        ("do nothing", nothing),
    ):  # fmt: skip
        floods, risen = detector(streets)
        result[name] = (
            score(events, floods, months, after_ms=30 * MINUTE_MS),
            score(rises, risen, months, after_ms=10 * MINUTE_MS),
        )
    return result


def section() -> list[str]:
    """Write the report's part."""
    lines = [
        "## Synthetic storms on streets",
        "",
        (
            f"{SENSORS} sensors for {DAYS} days at one reading a minute, seeded; what they go "
            "through is written in tests/evaluate/storms.py. An event is a stretch with 10 cm of "
            "water, critical from 30 cm on; a rise is a stretch of at least five minutes that "
            f"truly rises by more than {RISING_M_PER_H} m/h. {OUTLIERS:.2%} of the readings are "
            "single outliers, about 22 a month: what a bare threshold calls at each of them. The "
            "default ceiling of 20 m/h holds no step of a minute below 33 cm, and from 30 cm on a "
            "step is told at once, as unconfirmed; so a row shows what a ceiling of "
            f"{HELD_M_PER_H:g} m/h would do for a site (for how it meets New York's floods see "
            "above). Nothing was chosen on these."
        ),
        "",
        f"| seed | what | by | {HEAD} |",
        "|" + "---|" * (HEAD.count("|") + 4),
    ]
    for seed in (101, 102):
        for by, pair in scores(Streets.seeded(seed)).items():
            for what, one in zip(("10 cm of water", "rate of rise"), pair, strict=True):
                lines.append(f"| {seed} | {what} | {by} | {one.cells()} |")
    return [*lines, ""]
