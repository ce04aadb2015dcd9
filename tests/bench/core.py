"""Speed of the detection core against what else there is: `make bench`.

Everything runs in one process, one after the other, so that the ratios hold on any machine; times
are processor time, because other programs may be running beside it.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ioos_qc import qartod

from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.profiles import default_rules
from detectors.readings import Readings
from tests.detectors.twin import tell

MINUTE_MS = 60_000
WINDOWLESS = ("threshold", "gross_range", "rate_of_change")


@dataclass(frozen=True)
class Timed:
    """Processor seconds of repeated runs."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def p99(self) -> float:
        return float(np.percentile(self.seconds, 99))


def timed(run: Callable[[], object], repeats: int) -> Timed:
    run()
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        seconds.append(time.process_time() - begin)
    return Timed(seconds)


def street(kinds: tuple[str, ...] | None = None) -> Profile:
    """Default rules of an ultrasonic street sensor, or some kinds of them."""
    return Profile.of(
        (rule.code, rule.rule)
        for rule in default_rules("flood_level", "street")
        if rule.observed_property == "depth_m" and (kinds is None or rule.kind in kinds)
    )


def every_kind() -> list[Profile]:
    """Default rules of every kind of datastream, as a town with all of them has."""
    kinds = (
        (device, site)
        for device in ("flood_contact", "flood_level", "pond_probe")
        for site in ("street", "river", "pond")
    )
    profiles = []
    for device, site in kinds:
        rules = default_rules(device, site)
        for prop in sorted({rule.observed_property for rule in rules}):
            pairs = ((r.code, r.rule) for r in rules if r.observed_property == prop)
            profiles.append(Profile.of(pairs))
    return profiles


class Stream:
    """Batches of a fleet that never stands still: noise of 5 mm, and a storm at every tenth."""

    def __init__(self, profiles: list[Profile], sensors: int, seed: int = 1) -> None:
        self.fleet = Fleet.compile(profiles, np.arange(sensors) % len(profiles))
        self.state = self.fleet.empty_state()
        self.sensors = sensors
        self.minute = 0
        self.rng = np.random.default_rng(seed)

    def batch(self, sensors: np.ndarray, minutes: int) -> Readings:
        sensor = np.tile(sensors, minutes)
        minute = self.minute + np.repeat(np.arange(minutes), len(sensors))
        self.minute += minutes
        depth = self.rng.normal(0.0, 0.005, len(sensor))
        depth += (sensor % 10 == 0) * 0.2 * (1.0 + np.sin(minute / 40.0))
        shuffled = self.rng.permutation(len(sensor))
        return Readings.of(sensor, minute * MINUTE_MS, depth).take(shuffled)

    def steps(self, batches: list[Readings]) -> Timed:
        seconds = []
        for batch in batches:
            begin = time.process_time()
            self.state = self.fleet.step(self.state, batch).state
            seconds.append(time.process_time() - begin)
        return Timed(seconds)


def throughput(name: str, profiles: list[Profile], repeats: int) -> None:
    stream = Stream(profiles, 20_000)
    every = np.arange(stream.sensors)
    stream.steps([stream.batch(every, 20)])
    took = stream.steps([stream.batch(every, 5) for _ in range(repeats)])
    rate = 100_000 / took.median / 1e6
    print(f"{name}: {rate:.2f} M readings/s; a batch of 100,000: p99 {took.p99 * 1e3:.0f} ms")


def small_batches(profile: Profile, repeats: int) -> None:
    stream = Stream([profile], 20_000)
    stream.steps([stream.batch(np.arange(stream.sensors), 20)])
    picks = [stream.rng.permutation(stream.sensors)[:100] for _ in range(20 * repeats)]
    took = stream.steps([stream.batch(pick, 1) for pick in picks])
    print(
        f"a batch of 100 readings: median {took.median * 1e3:.2f} ms, p99 {took.p99 * 1e3:.2f} ms"
    )


def million(profile: Profile) -> None:
    stream = Stream([profile], 1_000_000)
    every = np.arange(stream.sensors)
    stream.steps([stream.batch(every, 1) for _ in range(4)])
    took = stream.steps([stream.batch(every, 1) for _ in range(3)])
    table = stream.state.table()
    print(
        f"1,000,000 sensors, one reading each: {took.median:.2f} s; "
        f"memory {table.nbytes / stream.sensors:.0f} bytes a sensor, "
        f"stored state {len(stream.state.dump(1))} bytes a quiet sensor"
    )


def against_others(repeats: int) -> None:
    """One long series and a fleet of short ones, for each."""
    kinds = ("gross_range", "rate_of_change", "spike")
    profile = street(kinds)
    for label, sensors, each in (("one series", 1, 100_000), ("1,000 sensors", 1_000, 100)):
        rng = np.random.default_rng(3)
        depth = rng.normal(0.1, 0.01, (sensors, each))
        times = np.arange(each) * MINUTE_MS
        moments = times.astype("datetime64[ms]").astype("datetime64[ns]")
        readings = Readings.of(
            np.repeat(np.arange(sensors), each), np.tile(times, sensors), depth.reshape(-1)
        )
        fleet = Fleet.compile([profile], np.zeros(sensors, np.int64))
        empty = fleet.empty_state()

        def ours(fleet=fleet, empty=empty, readings=readings):
            return fleet.step(empty, readings)

        def ioos(depth=depth, moments=moments):
            for row in depth:
                flags = [
                    qartod.gross_range_test(row, fail_span=(-0.5, 10), suspect_span=(-0.1, 3)),
                    qartod.rate_of_change_test(row, moments, threshold=20 / 3600),
                    qartod.spike_test(row, suspect_threshold=0.1, fail_threshold=0.5),
                ]
                qartod.qartod_compare(flags)

        def with_pandas(depth=depth, times=times):
            sensor = np.repeat(np.arange(len(depth)), len(times))
            frame = pd.DataFrame({"s": sensor, "t": np.tile(times, len(depth)), "x": depth.ravel()})
            group = frame.groupby("s")
            step = group["x"].diff().abs() / (group["t"].diff() / 1000.0)
            spike = (frame["x"] - (group["x"].shift(1) + group["x"].shift(-1)) / 2.0).abs()
            suspect = (step > 20 / 3600) | (spike > 0.1) | ~frame["x"].between(-0.1, 3)
            return suspect | ~frame["x"].between(-0.5, 10) | (spike > 0.5)

        def twin(depth=depth, times=times):
            tell(profile, times.tolist()[:1000], depth[0, :1000].tolist())

        base = timed(ours, repeats).median
        n = sensors * each
        print(f"range, rate and spike, {n:,} readings of {label}: ours {base * 1e3:.0f} ms")
        for name, other, share in (
            ("ioos_qc", ioos, 1.0),
            ("pandas, no state kept", with_pandas, 1.0),
            ("plain loops", twin, n / min(each, 1000)),
        ):
            took = timed(other, 1).median * share
            print(f"  {name}: {took * 1e3:.0f} ms, {took / base:.1f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--without-million", action="store_true")
    args = parser.parse_args()
    throughput("full rule set", [street()], args.repeats)
    throughput("full rule set, sensors of every kind mixed", every_kind(), args.repeats)
    throughput("threshold and rate of change", [street(WINDOWLESS)], args.repeats)
    small_batches(street(), args.repeats)
    if not args.without_million:
        million(street())
    against_others(max(3, args.repeats // 5))


if __name__ == "__main__":
    main()
