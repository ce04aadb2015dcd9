"""`make chaos ROUNDS=n SEED=s GATEWAYS=n KINDS=… FLOODS=1`: random faults, then the audit."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.faults import KINDS, choose
from tests.chaos.ground import Ground
from tests.chaos.rounds import run

PER_S = 150.0


def main() -> int:
    """Run the rounds; 0 if nothing was lost, doubled, changed or invented, nor an alert wrong."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--gateways", type=int, default=1)
    options.add_argument("--kinds", default=",".join(KINDS), help="comma-separated")
    options.add_argument("--round-s", type=float, default=4.0)
    options.add_argument(
        "--floods", action="store_true", help="some streets flood; compare the alerts too"
    )
    said = options.parse_args()
    kinds = said.kinds.split(",")
    if unknown := set(kinds) - KINDS.keys():
        options.error(f"no such kind of fault: {', '.join(sorted(unknown))}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mizumori-chaos-") as name:
        Path(name).chmod(0o711)  # the account that runs the database passes through
        ground = Ground(Path(name), disks=bool({"full", "read-only"} & set(kinds)))
        ground.gateways = said.gateways
        try:
            ground.start()
            faults = choose(said.seed, said.rounds, said.round_s, said.gateways, kinds)
            messages = round(said.round_s * PER_S)
            found = run(
                ground, faults, seed=said.seed, messages=messages, per_s=PER_S,
                floods=said.floods,
                say=lambda line: print(line, flush=True),
            )  # fmt: skip
        except BaseException:
            print(ground.logs())
            raise
        finally:
            ground.close()
    print(found, f"({time.monotonic() - began:.0f} s)")
    for what in ("lost", "doubled", "changed", "invented"):
        for code, at_ms in getattr(found, what)[:20]:
            print(f"  {what}: {code} at {at_ms}")
    for difference in found.alerts.differences[:20] if found.alerts else ():
        print(f"  {difference}")
    return 0 if found.sound else 1


if __name__ == "__main__":
    sys.exit(main())
