"""Score the detection core on recordings and on seeded streets and ponds: `make evaluate`.

Writes docs/detection-report.md. Every part says on what its values were chosen, if on anything.
"""

import argparse
import sys
from pathlib import Path

from tests.evaluate import anomalies, arrivals, blind, floods, labelled, ponds, rise, storms
from tests.evaluate.picture import flood_picture
from tests.evaluate.recordings import river_stages, street_floods


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the recordings")
    parser.add_argument("--out", type=Path, default=Path("docs/detection-report.md"))
    args = parser.parse_args()
    if not (args.data / "flood_depth_nyc").is_dir():
        sys.exit(f"{args.data} holds no recordings; give their folder with DATA=...")
    recordings, events = street_floods(args.data)
    picture = args.out.parent / "images" / "detection-flood.svg"
    picture.write_text(flood_picture(floods.street_profile(), recordings, events))
    lines = [
        "# How well the core detects",
        "",
        (
            "Written by `make evaluate`. Every figure comes from the same code that runs live. "
            "Real floods are split by sensor (even and odd numbers) and by time (odd and even "
            "calendar months); what was chosen on a recording was chosen on even sensors in odd "
            "months alone, and the rest is acceptance. Synthetic months are drawn from two seeds "
            "each, and nothing was chosen on them."
        ),
        "",
        *floods.section(recordings, events),
        f"![A street flood and the alert it raises](images/{picture.name})",
        "",
        *arrivals.section(recordings, river_stages(args.data)),
        *blind.section(blind.stream_stages(args.data)),
        *rise.section(),
        *storms.section(),
        *ponds.section(),
        *labelled.section(args.data),
        *anomalies.section(args.data),
    ]
    args.out.write_text("\n".join(lines).rstrip() + "\n")
    print(args.out.read_text())


if __name__ == "__main__":
    main()
