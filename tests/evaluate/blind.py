"""The time to threshold on water that nobody had looked at when this procedure was written.

Every street flood of the recordings has been shown in the report since its first edition, in the
parts that were held out too: held out is not unseen. What no choice and no report had looked at
are three streams' stages, read every 15 minutes, and a month of drawn streets under a seed of its
own. What is taken, asked and demanded of them was committed before anything was computed; then it
was computed once, and what came of it is not tuned away.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from detectors.forecast import TimeToThreshold
from detectors.profiles import DEFAULT_RULES
from detectors.quality import GrossRange
from tests.evaluate.arrivals import STREET_LEVELS, Said, around, statements, stretches
from tests.evaluate.events import share
from tests.evaluate.recordings import Recording, ms, number, rows
from tests.evaluate.storms import Streets

CENTIMETRE_M: Final = 0.01
# Folder, file, column of the time, column of the level in cm. Two more levels, read hourly and
# every 90 minutes, are read too rarely for a horizon of half an hour.
STREAMS: Final = (
    ("stream_level_maintenance", "hydro_data", "Timestamp", "level_raw"),
    ("stream_quality_labelled", "FranklinBasin2014", "datetime", "stage"),
    ("stream_quality_labelled", "MainStreet2019", "datetime", "stage"),
)
SEED: Final = 301
# Demanded of the interval, and of what is called expected: as of the floods that are known.
INSIDE: Final = (0.75, 0.85)
NEVER_AT_MOST: Final = 0.10
# Fewer say neither yes nor no: a share of 100 has a standard deviation of four points, and 30
# that all come leave a true share of one in ten that never does a chance of 4 in 100.
STATEMENTS_AT_LEAST: Final = 100
EXPECTED_AT_LEAST: Final = 30


def stream_stages(data: Path) -> list[Recording]:
    """Raw stages in metres; what the default gross range fails was never measured."""
    span = next(rule.rule for rule in DEFAULT_RULES if rule.code == "stage-range")
    assert isinstance(span, GrossRange)
    low, high = span.sensor_span
    recordings = []
    for folder, name, time, level in STREAMS:
        table = rows(data / folder / f"{name}.csv.gz")
        times, first = np.unique([ms(row[time].replace(" ", "T")) for row in table], True)
        stage = CENTIMETRE_M * np.array([number(row[level]) for row in table])[first]
        stage[(stage < low) | (stage > high)] = np.nan
        recordings.append(Recording(name, times, stage))
    return recordings


def levels_of(stream: Recording) -> tuple[float, ...]:
    """Levels 0.3, 0.6 and 0.9 m above the usual stage."""
    base = float(np.nanmedian(stream.value))
    return base + 0.3, base + 0.6, base + 0.9


def of_stream(stream: Recording, rule: TimeToThreshold) -> Said:
    """Everything said around its floods."""
    goals = [levels_of(stream)]
    near = around(stream, float(np.nanmedian(stream.value)) + 0.2)
    return statements(list(stretches([near], goals, rule.max_gap_s)), goals, rule)


def crossings(stream: Recording) -> int:
    """How often the stream rose over one of its levels, from one reading to the next."""
    before, after = stream.value[:-1], stream.value[1:]
    return sum(int(np.count_nonzero((before < on) & (after >= on))) for on in levels_of(stream))


def of_streets(streets: Streets, rule: TimeToThreshold) -> Said:
    """Everything said in a drawn month, dry weather and dirt too, against the true depth."""
    known = [np.isfinite(depth) for depth in streets.reported_m]
    levels = [STREET_LEVELS] * len(known)

    def cut(depths: np.ndarray) -> list:
        recordings = [
            Recording(str(k), streets.minute_ms[sent], depth[sent])
            for k, (sent, depth) in enumerate(zip(known, depths, strict=True))
        ]
        return list(stretches(recordings, levels, rule.max_gap_s))

    pairs = zip(cut(streets.reported_m), cut(streets.truth_m), strict=True)
    parts = [replace(reported, truth_s=true.truth_s) for reported, true in pairs]
    return statements(parts, levels, rule)


def verdict(said: Said) -> str:
    """Say whether the interval and what is called expected held what is demanded of them."""
    n, expected = len(said.truth_s), int(said.expected.sum())
    inside = float(np.mean((said.earliest_s <= said.truth_s) & (said.truth_s <= said.latest_s)))
    interval = "too few to tell"
    if n >= STATEMENTS_AT_LEAST:
        interval = "interval holds" if INSIDE[0] <= inside <= INSIDE[1] else "interval does not"
    if expected < EXPECTED_AT_LEAST:
        return f"{interval}; expected: too few to tell"
    never = float(np.mean(~np.isfinite(said.truth_s[said.expected])))
    return f"{interval}; expected {'holds' if never <= NEVER_AT_MOST else 'does not'}"


def section(streams: Sequence[Recording]) -> list[str]:
    """Write the report's part."""
    rule = TimeToThreshold()
    said = {f"stream {stream.name}": of_stream(stream, rule) for stream in streams}
    said[f"drawn streets, seed {SEED}"] = of_streets(Streets.seeded(SEED), rule)
    lines = [
        "### Water that nobody had looked at",
        "",
        (
            "Every street flood above has been in this report since its first edition, also in "
            "the parts that were held out; street floods that nobody has seen are not at hand. "
            "What neither a choice nor a report had looked at are the stages of three streams, "
            "read every 15 minutes, and a month of drawn streets under a seed of its own. What "
            "is taken, asked and demanded of them (tests/evaluate/blind.py) was committed before "
            "anything was computed, then computed once, on 22 November 2026, and nothing was "
            f"changed for it. Rule and demands as above; fewer than {STATEMENTS_AT_LEAST} "
            f"statements, or {EXPECTED_AT_LEAST} of what is expected, say neither yes nor no. "
            "Streets are asked all month, in dry weather too, against the depth that was drawn."
        ),
        "",
        (
            "| recording | said, in how many stretches | inside the interval | median error "
            "| expected | of these never | demanded |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in said.items():
        cells = one.cells() if len(one.truth_s) else f"0 in 0 | {share(0, 0)} | - | 0 | - (0)"
        lines.append(
            f"| {name} | {cells} | {verdict(one) if len(one.truth_s) else 'nothing said'} |"
        )
    came = sum(crossings(stream) for stream in streams)
    return [
        *lines,
        "",
        (
            f"The three streams rose over a level {came} times. With a reading every 15 minutes "
            "the gates let nothing be said of the next half hour: nothing wrong, and nothing that "
            "helps. Drawn streets show that the interval holds where water moves as it was drawn; "
            "they stand in for no real flood."
        ),
        "",
    ]
