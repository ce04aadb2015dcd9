"""Quality tests against what technicians marked as wrong, beside ioos_qc with the same limits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ioos_qc import qartod

from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.quality import FlatLine, GrossRange, Spike
from detectors.readings import Readings
from tests.evaluate.recordings import ms, number, rows

# Spans of pond probes; spikes and flat lines by judgement, not tuned on these series.
TESTS = {
    "temp": (GrossRange((-5.0, 60.0), (0.0, 40.0)), Spike(1.0, 3.0)),
    "ph": (GrossRange((0.0, 14.0), (4.0, 11.0)), Spike(0.3, 1.0)),
    "do": (GrossRange((0.0, 30.0), (0.0, 20.0)), Spike(1.0, 3.0)),
}
FLAT = FlatLine(6 * 3600.0, 24 * 3600.0)


@dataclass(frozen=True)
class Score:
    """How flags 3 and 4 meet the labels."""

    flagged: int
    hit: int
    runs_found: int

    @classmethod
    def of(cls, bad: np.ndarray, label: np.ndarray) -> "Score":
        begins = np.flatnonzero(np.diff(label.astype(int), prepend=0) == 1)
        run = np.cumsum(np.diff(label.astype(int), prepend=0) == 1) - 1
        found = np.unique(run[bad & label])
        assert len(found) <= len(begins)
        return cls(int(bad.sum()), int((bad & label).sum()), len(found))


def ours(tests: tuple[GrossRange, Spike], times: np.ndarray, values: np.ndarray) -> np.ndarray:
    fleet = Fleet.compile([Profile((*tests, FLAT))], [0])
    return fleet.step(fleet.empty_state(), Readings.of(0, times, values)).flag


def theirs(tests: tuple[GrossRange, Spike], times: np.ndarray, values: np.ndarray) -> np.ndarray:
    span, spike = tests
    moments = times.astype("datetime64[ms]").astype("datetime64[ns]")
    verdicts = [
        qartod.gross_range_test(values, span.sensor_span, span.user_span),
        qartod.spike_test(values, spike.suspect, spike.fail),
        qartod.flat_line_test(values, moments, FLAT.suspect_s, FLAT.fail_s, 1e-9),
    ]
    return np.asarray(qartod.qartod_compare(verdicts))


def section(data: Path) -> list[str]:
    lines = [
        "## Quality tests on labelled water quality",
        "",
        (
            "Sondes of the Logan River Observatory, every 15 minutes; the label is a technician's "
            "qualifier. Labels are incomplete and hold long stretches of wrong offset that no "
            "test of single readings can see, so the runs found matter more than the points."
        ),
        "",
        (
            "| series | labelled points / runs | ours: flagged, of these labelled, runs found "
            "| ioos_qc, same limits |"
        ),
        "|---|---|---|---|",
    ]
    for path in sorted((data / "stream_quality_labelled").glob("*20??.csv.gz")):
        table = rows(path)
        times = np.array([ms(row["datetime"]) for row in table])
        for name, tests in TESTS.items():
            values = np.array([number(row[name]) for row in table])
            label = np.array([bool(row[f"{name}_qual"]) for row in table])
            runs = int(np.count_nonzero(np.diff(label.astype(int), prepend=0) == 1))
            cells = []
            for flag in (ours(tests, times, values), theirs(tests, times, values)):
                s = Score.of(np.isin(flag, (3, 4)), label)
                cells.append(f"{s.flagged}, {s.hit}, {s.runs_found}")
            title = f"{path.name.removesuffix('.csv.gz')} {name}"
            lines.append(f"| {title} | {label.sum()} / {runs} | {' | '.join(cells)} |")
    return [*lines, ""]
