"""`make chaos ROUNDS=n SEED=s GATEWAYS=n`: random faults against a real system, then the audit."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.rounds import choose, run
from tests.fixtures.system import System


def main() -> int:
    """Run the rounds; 0 if nothing was lost, doubled, changed or invented."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--gateways", type=int, default=1)
    said = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="mizumori-chaos-") as name:
        Path(name).chmod(0o711)  # the account that runs the database passes through
        system = System(Path(name))
        system.gateways = said.gateways
        try:
            system.start()
            faults = choose(said.seed, said.rounds, 4.0, said.gateways)
            found = run(system, faults, seed=said.seed, say=print)
        finally:
            system.close()
    print(found)
    for what in ("lost", "doubled", "changed", "invented"):
        for code, at_ms in getattr(found, what)[:20]:
            print(f"  {what}: {code} at {at_ms}")
    return 0 if found.sound else 1


if __name__ == "__main__":
    sys.exit(main())
