"""Speed of the gateway against what else there is: `make bench-gateway`.

Broker, database, gateway, API and load share this machine. Each part begins with a fresh broker
and a fresh database and can be run alone; peers run in the same minutes as what they are compared
with. Prints Markdown for docs/performance.md.
"""

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.bench import disk, latency, soak, throughput
from tests.bench.rig import running
from tests.bench.throughput import Speed

SYNCS = ("fast", "always")
# How much of a part a short run does.
SHORT = 0.1


@dataclass(frozen=True)
class Options:
    """What is run, and how much of it."""

    messages: int
    rate: float
    seconds: float
    minutes: float
    soak_rate: float
    gateways: int
    superuser: str

    def title(self, what: str, sync: str) -> str:
        """Head a table."""
        count = "" if self.gateways == 1 else f", {self.gateways} gateways"
        return f"\n**{what}, broker `{sync}`{count}**\n"


def single(options: Options, sync: str) -> None:
    """Messages of one reading: drain and live, against peers."""
    n = options.messages
    with running(sync, options.superuser, options.gateways) as rig:
        tell_speeds(options.title("One reading a message", sync), [
            throughput.drain(rig, n, 1),
            throughput.peer_drain(rig, "paho", n),
            throughput.peer_drain(rig, "bulk", n),
            throughput.peer_drain(rig, "naive", max(500, n // 20)),
            throughput.live(rig, n, 1),
            throughput.peer_live(rig, "paho", n),
        ])  # fmt: skip


def many(options: Options, sync: str) -> None:
    """Messages of twenty readings: drain and live, against COPY."""
    n = options.messages // 3
    with running(sync, options.superuser, options.gateways) as rig:
        tell_speeds(options.title("20 readings a message", sync), [
            throughput.drain(rig, n, 20),
            throughput.live(rig, n, 20),
            throughput.copy(rig, 20 * n, 1_000),
            throughput.copy(rig, 20 * n, 10_000),
            throughput.copy(rig, 20 * n, 20_000),
        ])  # fmt: skip


def delay(options: Options, sync: str) -> None:
    """From publication to commit, and to an event on the live feed."""
    with running(sync, options.superuser, options.gateways) as rig:
        found = latency.measure(rig, options.rate, options.seconds)
    print(options.title(f"Delay, {options.rate:,.0f} messages/s", sync))
    print("| way | p50 | p99 | messages seen |\n|---|---|---|---|")
    for way, one in found.items():
        print(f"| {way} | {one.p50_ms:.1f} ms | {one.p99_ms:.1f} ms | {one.seen:.1%} |")


def memory(options: Options, sync: str) -> None:
    """Memory over a long run, with the database away for a while."""
    with running(sync, options.superuser, options.gateways) as rig:
        found = soak.soak(rig, options.minutes, options.soak_rate)
    load = f"{found.minutes:g} minutes at {found.rate:,.0f} messages/s"
    print(options.title(f"Memory of the gateway, {load}", sync))
    print("| when | MB |\n|---|---|")
    print(f"| warm | {found.first_mb:.0f} |\n| before the database went | {found.before_mb:.0f} |")
    print(f"| most while it was away ({found.away_s:.0f} s) | {found.away_mb:.0f} |")
    print(f"| a while after it came back | {found.back_mb:.0f} |")
    print(f"| at the end | {found.last_mb:.0f} |\n| most ever | {found.most_mb:.0f} |")
    print(f"\nReadings acknowledged to devices and not stored: {found.missing}.")


def size(options: Options, sync: str) -> None:
    """Bytes of a stored reading, and how long a sensor's are read."""
    minutes = max(60, round(options.messages / 200))
    with running(sync, options.superuser, options.gateways) as rig:
        found = disk.measure(rig, minutes)
    print("\n**A stored reading, its part of the index included, and one sensor's last day**\n")
    print(f"{minutes} minutes are stored.\n")
    print("| table | bytes | raw | in buckets of 10 minutes |\n|---|---|---|---|")
    for one in found:
        print(f"| {one.how} | {one.each:.1f} | {one.raw_ms:.1f} ms | {one.tens_ms:.1f} ms |")


# Each with whether the broker's mode makes a difference.
PARTS: dict[str, tuple[Callable[[Options, str], None], bool]] = {
    "single": (single, True),
    "many": (many, True),
    "delay": (delay, True),
    "memory": (memory, False),
    "size": (size, False),
}


def tell_speeds(title: str, speeds: Sequence[Speed]) -> None:
    """Print what was measured as a table."""
    parts = list(dict.fromkeys(name for speed in speeds for name in speed.processor_us))
    print(title)
    print(f"| what | messages/s | readings/s | {' | '.join(f'{p} µs' for p in parts)} |")
    print("|---" * (3 + len(parts)) + "|")
    for speed in speeds:
        used = [speed.processor_us.get(name) for name in parts]
        each = " | ".join("" if us is None else f"{us:.1f}" for us in used)
        print(f"| {speed.what} | {speed.messages_per_s:,.0f} | {speed.readings_per_s:,.0f} "
              f"| {each} |")  # fmt: skip
    print("\nµs: processor time of each part, per message (COPY: per reading).", flush=True)


def machine() -> str:
    """Say on what it was measured, and how calm that was."""
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} processors "
        f"({platform.machine()}), Python {platform.python_version()}, load {load:.1f}"
    )


def main() -> None:
    """Run the parts that are asked for."""
    # Asked to end, it stops broker and database first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *PARTS],
                        help=f"{', '.join(PARTS)}; without: all")  # fmt: skip
    parser.add_argument("--sync", nargs="+", choices=SYNCS, default=list(SYNCS))
    parser.add_argument("--messages", type=int, default=120_000, help="of single and many")
    parser.add_argument("--rate", type=float, default=1000, help="messages/s of delay")
    parser.add_argument("--seconds", type=float, default=30, help="of delay")
    parser.add_argument("--minutes", type=float, default=10, help="of memory")
    parser.add_argument("--soak-rate", type=float, default=2000, help="messages/s of memory")
    parser.add_argument("--gateways", type=int, default=1, help="processes that share the work")
    parser.add_argument("--repeat", type=int, default=1, help="each part so often")
    parser.add_argument("--short", action="store_true", help="a tenth of everything")
    said = parser.parse_args()
    part = SHORT if said.short else 1.0
    options = Options(
        # The first commit of a drain, which is not counted, is up to half of all windows.
        messages=max(60_000, round(said.messages * part)),
        rate=said.rate,
        seconds=max(5.0, said.seconds * part),
        minutes=max(0.5, said.minutes * part),
        soak_rate=said.soak_rate,
        gateways=said.gateways,
        superuser=os.environ.get("MIZUMORI_TEST_DSN", ""),
    )
    for name in said.parts or PARTS:
        measure, by_sync = PARTS[name]
        for sync in said.sync if by_sync else said.sync[:1]:
            for _ in range(said.repeat):
                began = time.monotonic()
                print(f"\n{machine()}")
                measure(options, sync)
                print(f"\n({name}: {time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
