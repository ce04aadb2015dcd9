"""Generated series, profiles and ways to cut them up."""

from hypothesis import strategies as st

from detectors.profile import Profile
from detectors.quality import Climatology, FlatLine, GrossRange, RateOfChange, Season, Spike
from detectors.rules import Level, RateOfRise, Threshold

START = 1_763_760_000_123
STEPS = (1, 400, 1_000, 9_999, 30_000, 60_000, 60_000, 60_000, 61_250, 240_000, 600_000, 4_000_000)
VALUES = (0.0, 0.0, 0.02, 0.04, 0.05, 0.08, 0.1, 0.1, 0.15, 0.2, 0.3, 0.45, 0.9, 2.0, 5.0, -1.0)


@st.composite
def series(draw, most=70):
    """(times, values), strictly ascending times, with holes and stretches of one value."""
    n = draw(st.integers(0, most))
    steps = draw(st.lists(st.sampled_from(STEPS), min_size=n, max_size=n))
    times, t = [], START
    for step in steps:
        t += step
        times.append(t)
    odd = st.sampled_from((float("nan"), float("inf"), float("-inf"), 1e6))
    plain = st.sampled_from(VALUES) | st.floats(-0.25, 1.25)
    values: list[float] = []
    while len(values) < n:
        value = draw(plain if draw(st.integers(0, 9)) else odd)
        values += [value] * draw(st.sampled_from((1, 1, 1, 2, 4)))
    return times, values[:n]


@st.composite
def ramps(draw, most=60):
    """Rising and falling water with ripples: slopes that rules act on."""
    n = draw(st.integers(4, most))
    step = draw(st.sampled_from((10_000, 60_000, 90_000)))
    times, values, t, x = [], [], START, 0.0
    slope = 0.0
    for _ in range(n):
        if draw(st.integers(0, 7)) == 0:
            slope = draw(st.sampled_from((-0.05, -0.01, 0.0, 0.01, 0.02, 0.06, 0.4)))
        t += step + draw(st.sampled_from((0, 0, 1, 137, step)))
        x = max(0.0, x + slope)
        times.append(t)
        values.append(x + draw(st.sampled_from((0.0, 0.002, -0.003, 0.5))))
    return times, values


@st.composite
def thresholds(draw):
    direction = draw(st.sampled_from(("rising", "falling")))
    sign = 1.0 if direction == "rising" else -1.0
    ons = sorted(
        draw(st.lists(st.sampled_from((0.05, 0.1, 0.2, 0.3, 0.9, 2.0)), min_size=1, max_size=5))
    )
    on_delay = sorted(draw(st.sampled_from((0, 0, 60, 90, 300))) for _ in ons)
    off_delay = sorted((draw(st.sampled_from((0, 60, 600, 1800))) for _ in ons), reverse=True)
    drop = draw(st.sampled_from((0.01, 0.02, 0.049)))
    return Threshold(
        tuple(
            Level(sign * on, sign * (on - drop), a, b)
            for on, a, b in zip(ons, on_delay, off_delay, strict=True)
        ),
        direction=direction,
        ceiling_per_h=draw(st.sampled_from((None, 1.0, 20.0))),
        noise=draw(st.sampled_from((0.0, 0.01))),
        unconfirmed_from=draw(st.sampled_from((1, 2, 4))),
        failed_may_raise=draw(st.booleans()),
    )


@st.composite
def profiles(draw):
    quality = []
    if draw(st.booleans()):
        quality.append(GrossRange((-0.5, 5.0), draw(st.sampled_from((None, (0.0, 0.9))))))
    if draw(st.booleans()):
        quality.append(Spike(0.05, 0.3))
    if draw(st.booleans()):
        quality.append(RateOfChange(draw(st.sampled_from((0.0, 0.002, 0.5)))))
    if draw(st.booleans()):
        quality.append(FlatLine(120.0, draw(st.sampled_from((None, 120.0, 900.0)))))
    if draw(st.booleans()):
        quality.append(Climatology((Season(10, 2, (0.0, 0.5)),)))
    rules = [(f"t{k}", draw(thresholds())) for k in range(draw(st.integers(0, 2)))]
    if draw(st.booleans()):
        rules.append(
            (
                "rise",
                RateOfRise(
                    limits_per_h=draw(st.sampled_from(((0.1,), (0.6, 3.0)))),
                    window_s=draw(st.sampled_from((60.0, 600.0))),
                    interval_s=10.0,
                    noise=draw(st.sampled_from((0.0, 0.01))),
                    delay_off_s=draw(st.sampled_from((0.0, 120.0))),
                    direction=draw(st.sampled_from(("rising", "falling"))),
                ),
            )
        )
    made = Profile.of(rules, max_gap_s=draw(st.sampled_from((300.0, 3600.0))), lateness_s=900.0)
    return Profile(tuple(quality), made.rules, made.max_gap_s, made.lateness_s)


def cuts(n: int):
    """Sorted places to cut n rows into batches."""
    return st.lists(st.integers(0, n), max_size=6).map(sorted)
