"""The pond rules on the synthetic month, beside a plain limit and ioos_qc."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import numpy as np
from ioos_qc import qartod

from detectors.derived import OXYGEN, PH, TEMPERATURE, Series, derive
from detectors.fleet import Fleet
from detectors.hourly import Attenuated, attenuated
from detectors.profile import Profile
from detectors.profiles import DEFAULT_RULES
from detectors.readings import Readings
from tests.evaluate.events import HEAD, MONTH_MS, Score, Span, alerts_of, runs, score
from tests.evaluate.pond_month import BEGIN_MS, LAT, LON, PER_HOUR, STEP_MS, Ponds

HOUR_MS: Final = 3_600_000
_RULES: Final = {rule.code: rule for rule in DEFAULT_RULES}
Values = Mapping[str, list[Series]]


def series(month: Ponds) -> Values:
    """Readings and all that the jobs derive from them, by property, one series a pond."""
    values: dict[str, list[Series]] = {}
    for rows in zip(month.temp_c, month.ph, month.oxygen, strict=True):
        own = {}
        for name, row in zip((TEMPERATURE, PH, OXYGEN), rows, strict=True):
            sent = ~np.isnan(row)
            own[name] = Series(month.time_ms[sent], row[sent])
        found = {name: one for (_, name), one in derive({1: own}, LAT, LON, BEGIN_MS).items()}
        for name, one in (own | found).items():
            values.setdefault(name, []).append(one)
    return values


def alerts(values: Values, code: str, level: int) -> list[Span]:
    """Alerts of a default rule of ponds, by the streaming core."""
    rule, rows = _RULES[code].rule, values[_RULES[code].observed_property]
    fleet = Fleet.compile([Profile.of([(code, rule)])], np.zeros(len(rows), np.int64))
    readings = Readings.of(
        np.concatenate([np.full(len(one.time_ms), pond) for pond, one in enumerate(rows)]),
        np.concatenate([one.time_ms for one in rows]),
        np.concatenate([one.value for one in rows]),
    )
    moves = fleet.step(fleet.empty_state(), readings).transitions
    return alerts_of(moves, 0, level, int(readings.time_ms.max()))


def stretches(
    rows: list[Series], bad: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> list[Span]:
    """Stretches of readings, pond by pond, that a judge of (times, values) calls bad."""
    return [
        span
        for pond, one in enumerate(rows)
        for span in runs(pond, one.time_ms, bad(one.time_ms, one.value))
    ]


def below(limit: float, _times: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values < limit


def above(limit: float, _times: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values > limit


def changed(limit: float, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Further than a limit from the reading of an hour ago."""
    before = np.searchsorted(times, times - HOUR_MS)
    return np.abs(values - values[before]) > limit


def dull(rule: Attenuated, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    flags = attenuated(rule, times, values, np.arange(len(times)))
    return np.isin(flags, (3, 4))


def ioos(test: Callable[..., np.ndarray], times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What a test of ioos_qc flags as suspect or failed."""
    moments = times.astype("datetime64[ms]").astype("datetime64[ns]")
    return np.isin(np.asarray(test(values, moments)), (3, 4))


def scores(month: Ponds) -> dict[tuple[str, str], Score]:
    """Score each rule and what stands beside it, by (what, who)."""
    values = series(month)
    temp, ph, oxygen = values[TEMPERATURE], values[PH], values[OXYGEN]
    months = month.temp_c.size * STEP_MS / MONTH_MS
    overgrown = _RULES["pond-oxygen-dull"].rule
    assert isinstance(overgrown, Attenuated)
    range_test = partial(
        qartod.attenuated_signal_test, suspect_threshold=overgrown.suspect_below,
        fail_threshold=overgrown.fail_below, check_type="range",
        test_period=int(overgrown.window_s),
    )  # fmt: skip
    hour_test = partial(qartod.rate_of_change_test, threshold=2.0 / 3600.0)

    def span_test(row: np.ndarray, _moments: np.ndarray) -> np.ndarray:
        return qartod.gross_range_test(row, fail_span=(2.0, 30.0), suspect_span=(4.0, 20.0))

    # What, the events, hours before and after them that an alert may still be about, and who.
    cases: list[tuple[str, list[Span], int, int, dict[str, list[Span]]]] = [
        ("oxygen below 4 mg/L", month.low_oxygen(4.0, 2.0), 0, 1, {
            "core": alerts(values, "pond-oxygen-low", 2),
            "plain threshold": stretches(oxygen, partial(below, 4.0)),
            "ioos_qc": stretches(oxygen, partial(ioos, span_test)),
            "do nothing": [],
        }),
        ("below 3 mg/L by sunrise, ahead", month.low_oxygen(3.0, 2.0), 10, 3, {
            "core": alerts(values, "pond-oxygen-night", 1),
            "plain threshold": stretches(oxygen, partial(below, 3.0)),
            "do nothing": [],
        }),
        ("temperature shock", month.shocks, 0, 8, {
            "core": alerts(values, "pond-temp-change-1h", 1),
            "plain: 2 degC an hour": stretches(temp, partial(changed, 2.0)),
            "ioos_qc": stretches(temp, partial(ioos, hour_test)),
            "do nothing": [],
        }),
        ("bloom: pH swings", month.blooms, 0, 25, {
            "core": alerts(values, "pond-ph-swing", 2),
            "plain: pH above 9": stretches(ph, partial(above, 9.0)),
            "do nothing": [],
        }),
        ("overgrown oxygen probe", month.fouled, 0, 13, {
            "core": stretches(oxygen, partial(dull, overgrown)),
            "ioos_qc": stretches(oxygen, partial(ioos, range_test)),
            "do nothing": [],
        }),
        ("lift-out of all probes", month.lifted, 0, 1, {
            "core": alerts(values, "pond-lifted-out", 1), "do nothing": [],
        }),
    ]  # fmt: skip
    return {
        (what, by): score(events, found, months, ahead_ms=ahead * HOUR_MS, after_ms=after * HOUR_MS)
        for what, events, ahead, after, detectors in cases
        for by, found in detectors.items()
    }


def section() -> list[str]:
    """Write the report's part."""
    lines = [
        "## Synthetic carp ponds",
        "",
        (
            f"30 ponds for 30 days, a reading of temperature, pH and oxygen every "
            f"{60 // PER_HOUR} minutes, seeded; what they go through is written in "
            "tests/evaluate/pond_month.py. Default rules of ponds, over the readings and over "
            "what the jobs derive from them. A negative delay is a lead. Critical: below 2 mg/L. "
            "Nothing was chosen on these."
        ),
        "",
        f"| seed | what | by | {HEAD} |",
        "|" + "---|" * (HEAD.count("|") + 4),
    ]
    for seed in (201, 202):
        for (what, by), one in scores(Ponds.seeded(seed)).items():
            lines.append(f"| {seed} | {what} | {by} | {one.cells()} |")
    return [*lines, ""]
