"""One real flood as a picture: depth, levels, and the alert that the core raised."""

from zoneinfo import ZoneInfo

from api import plot
from api.plot import Plot, text
from detectors.fleet import Fleet
from detectors.level_labels import LEVEL_LABELS
from detectors.profile import Profile
from detectors.readings import Readings
from store.times import moment
from tests.evaluate.recordings import Flood, Recording

WIDTH, HEIGHT = 900, 340
ZONE = ZoneInfo("America/New_York")  # where the sensors stand
STREET = {label.level: label for label in LEVEL_LABELS if label.scheme == "street"}


def flood_picture(profile: Profile, recordings: list[Recording], floods: list[Flood]) -> str:
    """Draw the longest flood of the set that is at least half a metre deep, as SVG."""
    flood = max((f for f in floods if f.peak_m >= 0.5), key=lambda f: f.end_ms - f.begin_ms)
    recording = next(r for r in recordings if r.name == flood.sensor)
    inside = (recording.time_ms >= flood.begin_ms) & (recording.time_ms <= flood.end_ms)
    times, depth = recording.time_ms[inside], recording.value[inside] * 100.0
    fleet = Fleet.compile([profile], [0])
    moves = fleet.step(fleet.empty_state(), Readings.of(0, times, depth / 100.0)).transitions
    number = [keyed.key for keyed in profile.rules].index("street-depth")
    levels = profile.rules[number].rule.levels
    steps = [
        (moment(int(time_ms)), int(level))
        for time_ms, level, rule in zip(moves.time_ms, moves.to_level, moves.rule, strict=True)
        if rule == number
    ]
    first, last = (moment(int(times[at])) for at in (0, -1))
    frame = Plot(50, 40, WIDTH - 64, HEIGHT - 90, first, last, 0.0, float(depth.max()) * 1.08)
    said = f"Depth in cm, highest {depth.max():.0f} cm; shaded by the level of the alert"
    parts = [text(14, 22, said, font_size=13)]
    for (begin, level), (end, _) in zip(steps, [*steps[1:], (last, 0)], strict=True):
        if level:
            parts.append(frame.shade(begin, end, STREET[level].colour, 0.35))
    parts += frame.time_axis(ZONE)
    parts += frame.value_axis()
    for number, level in enumerate(levels, 1):
        parts += frame.level(level.on * 100.0, STREET[number].colour)
    parts.append(
        frame.line([(moment(int(t)), float(d)) for t, d in zip(times, depth, strict=True)])
    )
    parts += frame.names(
        [(level.on * 100, STREET[k].label_en) for k, level in enumerate(levels, 1)]
    )
    parts.append(frame.frame())
    return plot.document(WIDTH, HEIGHT, parts, said, "en")
