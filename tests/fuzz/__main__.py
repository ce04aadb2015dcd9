"""Spoiled input of every kind through the product's own functions: `python -m tests.fuzz`.

Nothing may escape, no neighbour may be lost, memory may not grow, and what is accepted must be
storable. What needs a database has a real one, which is made for it.
"""

import argparse
import collections
import logging
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from tests.fixtures.database import FOR_TESTS, DatabaseDsn, migrated, server
from tests.fuzz.decoded import BATCH, Decoded
from tests.fuzz.ground import Ground
from tests.fuzz.imported import SPOILED, Imported
from tests.fuzz.pushed import REQUESTS, Pushed
from tests.fuzz.relayed import Relayed
from tests.fuzz.unknown import MESSAGES, Unknown

# What is spoiled, its share of the cases, and the cases of a batch.
KINDS: dict[str, tuple[float, int]] = {
    "decoded": (0.54, BATCH),
    "relayed": (0.3, BATCH),
    "pushed": (0.03, REQUESTS),
    "unknown": (0.03, MESSAGES),
    "imported": (0.1, SPOILED),
}
Seen = dict[str, collections.Counter]


def run(
    dsn: DatabaseDsn,
    cases: int,
    seed: int,
    kinds: tuple[str, ...] = tuple(KINDS),
    report: Callable[[int], None] = lambda _: None,
) -> Seen:
    """Try so many cases, the kinds in turn; return what became of them, by kind."""
    ground = Ground(dsn)
    makers = {
        "decoded": Decoded,
        "relayed": Relayed,
        "pushed": lambda: Pushed(ground),
        "unknown": lambda: Unknown(ground),
        "imported": lambda: Imported(ground),
    }
    made = {kind: makers[kind]() for kind in kinds}
    whole = sum(KINDS[kind][0] for kind in kinds)
    done, seen = dict.fromkeys(kinds, 0), {kind: collections.Counter() for kind in kinds}
    try:
        while sum(done.values()) < cases:
            kind = min(kinds, key=lambda kind: done[kind] / KINDS[kind][0] * whole)
            try:
                made[kind].batch(random.Random(f"{seed}/{kind}/{done[kind]}"), seen[kind])
            except BaseException:
                print(f"{kind}, batch {seed}/{done[kind]}", file=sys.stderr)
                raise
            done[kind] += KINDS[kind][1]
            report(sum(done.values()))
    finally:
        for one in made.values():
            one.close()
        ground.close()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=KINDS, action="append", help="Leave the others out.")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    started, sizes = time.monotonic(), []
    step = max(1, arguments.cases // 20)

    def report(done: int) -> None:
        if done // step > len(sizes):
            sizes.append(_resident_kib())
            print(f"{done} cases, {sizes[-1] // 1024} MiB", flush=True)

    with server(*FOR_TESTS) as superuser:
        kinds = tuple(arguments.only or KINDS)
        seen = run(migrated(superuser, "fuzz"), arguments.cases, arguments.seed, kinds, report)
    if arguments.cases >= 200_000:
        half = max(sizes[: len(sizes) // 2])
        assert sizes[-1] < half * 1.1, f"memory grows: {sizes}"
    print(f"{arguments.cases} cases in {time.monotonic() - started:.0f} s, nothing escaped")
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    for kind, counts in seen.items():
        for what, count in counts.most_common():
            print(f"{count:>9} {kind}: {what}")


def _resident_kib() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0])


if __name__ == "__main__":
    main()
