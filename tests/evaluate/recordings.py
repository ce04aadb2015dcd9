"""The real recordings that the core is scored on, as readings."""

import csv
import gzip
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

INCH_M = 0.0254
FOOT_M = 0.3048
# The rules hold a level through half an hour without a reading; two floods lie further apart.
_SILENT_MS = 3_600_000


@dataclass(frozen=True)
class Recording:
    """One sensor's series: times in milliseconds, values in metres."""

    name: str
    time_ms: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Flood:
    """One flood at one sensor, as the recording lists it."""

    sensor: str
    begin_ms: int
    end_ms: int
    peak_m: float


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def ms(text: str) -> int:
    return int(np.datetime64(text.rstrip("Z"), "ms").astype(np.int64))


def number(text: str) -> float:
    return float(text) if text else float("nan")


def street_floods(data: Path) -> tuple[list[Recording], list[Flood]]:
    """New York's street floods: every sensor's profiles, one after the other."""
    per_sensor: dict[str, dict[int, float]] = {}
    floods: dict[str, Flood] = {}
    for row in rows(data / "flood_depth_nyc" / "depth_profiles.csv.gz"):
        time, depth = ms(row["time_utc"]), number(row["depth_inches"]) * INCH_M
        per_sensor.setdefault(row["sensor_id"], {})[time] = depth
        known = floods.get(row["event_id"])
        floods[row["event_id"]] = Flood(
            row["sensor_id"],
            min(known.begin_ms, time) if known else time,
            max(known.end_ms, time) if known else time,
            max(known.peak_m, depth) if known else depth,
        )
    recordings = [
        Recording(name, np.array(sorted(series)), np.array([series[t] for t in sorted(series)]))
        for name, series in sorted(per_sensor.items())
    ]
    return recordings, list(floods.values())


def street_sample(path: Path) -> tuple[list[Recording], list[Flood]]:
    """Depths of some street sensors, metres; a flood is whatever lies between two long silences."""
    per_sensor: dict[str, list[tuple[int, float]]] = {}
    for row in rows(path):
        per_sensor.setdefault(row["device"], []).append(
            (ms(row["time_utc"]), number(row["depth_m"]))
        )
    recordings, floods = [], []
    for name, readings in sorted(per_sensor.items()):
        times, depth = (np.array(column) for column in zip(*sorted(readings), strict=True))
        recordings.append(Recording(name, times, depth))
        silent = np.flatnonzero(np.diff(times) > _SILENT_MS) + 1
        for low, high in pairwise([0, *silent.tolist(), len(times)]):
            peak = float(depth[low:high].max())
            floods.append(Flood(name, int(times[low]), int(times[high - 1]), peak))
    return recordings, floods


def river_stages(data: Path) -> list[Recording]:
    """Flashy urban streams, stage every five minutes; blank readings are missing."""
    recordings = []
    for path in sorted((data / "river_level_usgs").glob("*.csv.gz")):
        table = rows(path)
        times = np.array([ms(row["time_utc"]) for row in table])
        stage = np.array([number(row["gage_height_ft"]) * FOOT_M for row in table])
        order = np.argsort(times, kind="stable")
        recordings.append(Recording(path.name.split("_0")[0], times[order], stage[order]))
    return recordings
