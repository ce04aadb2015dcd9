"""Rules of a street as the tests put them at a sensor."""

from detectors.quality import GrossRange, Spike
from detectors.rules import Level, RateOfRise, Threshold

DEPTH = Threshold(
    (Level(0.1, 0.05, delay_off_s=300.0), Level(0.2, 0.15, delay_off_s=300.0)), ceiling_per_h=20.0
)
LOW = Threshold((Level(0.05, 0.02, delay_on_s=120.0),))
RISE = RateOfRise(limits_per_h=(0.6, 3.0), noise=0.005)


def rule_set(*rules, since_ms=0):
    return [(code, rule.kind, rule.to_params(), since_ms) for code, rule in rules]


RULES = rule_set(
    ("depth", DEPTH), ("rise", RISE), ("range", GrossRange((-0.5, 5.0))), ("spike", Spike(0.1, 0.5))
)
