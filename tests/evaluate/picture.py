"""One real flood as a picture: depth, levels, and the alert that the core raised."""

import numpy as np

from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.readings import Readings
from tests.evaluate.recordings import Flood, Recording

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900, 320, 50, 20, 40
COLOURS = ("none", "#f2e700", "#ff9900", "#ff2800", "#a80000")


def flood_picture(profile: Profile, recordings: list[Recording], floods: list[Flood]) -> str:
    """Draw the longest flood of the set that is at least half a metre deep, as SVG."""
    flood = max((f for f in floods if f.peak_m >= 0.5), key=lambda f: f.end_ms - f.begin_ms)
    recording = next(r for r in recordings if r.name == flood.sensor)
    inside = (recording.time_ms >= flood.begin_ms) & (recording.time_ms <= flood.end_ms)
    times, depth = recording.time_ms[inside], recording.value[inside]
    fleet = Fleet.compile([profile], [0])
    moves = fleet.step(fleet.empty_state(), Readings.of(0, times, depth)).transitions
    at_depth = moves.rule == [keyed.key for keyed in profile.rules].index("street-depth")

    span, top = times[-1] - times[0], max(0.5, float(depth.max())) * 1.05
    x = LEFT + (times - times[0]) / span * (WIDTH - LEFT - 10)
    y = HEIGHT - BOTTOM - np.maximum(depth, 0.0) / top * (HEIGHT - BOTTOM - TOP)
    edges = [
        *(LEFT + (moves.time_ms[at_depth] - times[0]) / span * (WIDTH - LEFT - 10)),
        WIDTH - 10,
    ]
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for k, level in enumerate(moves.to_level[at_depth]):
        parts.append(
            f'<rect x="{edges[k]:.1f}" y="{TOP}" width="{edges[k + 1] - edges[k]:.1f}" '
            f'height="{HEIGHT - BOTTOM - TOP}" fill="{COLOURS[level]}" opacity="0.35"/>'
        )
    for on in (0.05, 0.10, 0.20, 0.30):
        line = HEIGHT - BOTTOM - on / top * (HEIGHT - BOTTOM - TOP)
        parts += [
            (
                f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{line:.1f}" y2="{line:.1f}" '
                'stroke="#888" stroke-dasharray="4 4"/>'
            ),
            f'<text x="{LEFT - 6}" y="{line + 4:.1f}" text-anchor="end">{on * 100:.0f} cm</text>',
        ]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    hours = span / 3.6e6
    parts += [
        f'<polyline points="{path}" fill="none" stroke="#123a5a" stroke-width="1.5"/>',
        (
            f'<text x="{LEFT}" y="{HEIGHT - 12}">{np.datetime64(int(times[0]), "ms")} UTC, '
            f"{hours:.1f} h, highest {depth.max() * 100:.0f} cm; the band is the level of the alert"
            "</text>"
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
