"""The rule sets a town starts with, per device kind and site kind: data with their sources.

The store writes them as version 1 of a town's rules; each can be changed per site and per device.
Marks in the sources: [J] is a judgement that a site may override.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from detectors.consistency import ContactLadder, Neighbours, Stuck
from detectors.drift import Drift
from detectors.forecast import TimeToThreshold
from detectors.hourly import Attenuated, StepAgainstScatter
from detectors.level_labels import LEVEL_LABELS, LevelLabel
from detectors.parameters import Parameters
from detectors.quality import FlatLine, GrossRange, RateOfChange, Spike
from detectors.rules import Direction, Level, RateOfRise, Silence, Threshold

__all__ = [
    "DEFAULT_RULES",
    "LEVEL_LABELS",
    "DefaultRule",
    "LevelLabel",
    "default_rules",
    "hysteresis_off",
    "max_gap_s",
    "river_threshold",
]

# What a property of this name means that is no datastream: the rule looks at the device's link.
LINK: Final = "link"


@dataclass(frozen=True)
class DefaultRule:
    """A row of `rule`, with where it comes from.

    Attributes
    ----------
    code : str
    rule : Parameters
        Its `kind` and `to_params()` go into the row.
    observed_property : str
        Property of the datastreams it applies to; "link" for the device itself.
    device_kind : str
    site_kinds : tuple of str
        Empty: any site.
    label_scheme : str
    source : str
    """

    code: str
    rule: Parameters
    observed_property: str
    device_kind: str
    site_kinds: tuple[str, ...]
    label_scheme: str
    source: str

    @property
    def kind(self) -> str:
        """Name of the rule's kind in the database."""
        return self.rule.kind

    @property
    def params(self) -> dict[str, Any]:
        """Parameters as JSON values."""
        return self.rule.to_params()


def hysteresis_off(on: float, noise: float) -> float:
    """Where a flood level that comes on at `on` goes off again, in metres.

    Notes
    -----
    off = on - max(0.05 m, 5 noise) [J], but never more than half of `on` below it: the 5 cm level
    of a street would otherwise go off at 0 cm, which a noisy or dirty sensor never quite shows,
    and the alert would never end. 5 cm goes off at 2.5 cm, still 5 standard deviations of a good
    ultrasonic sensor (5 mm) below.
    """
    return round(on - min(max(0.05, 5.0 * noise), on / 2.0), 6)


def max_gap_s(expected_interval_s: float) -> float:
    """Longest time between two readings through which a state is carried, in seconds.

    Notes
    -----
    Three missed reports, half an hour at least [J]: sensors that leave out unchanged readings
    (New York's street sensors do) must not look silent between them.
    """
    return max(1800.0, 3.5 * expected_interval_s)


# delay_off 30 min [J]: a street that dries and floods again within one downpour is one episode.
_FLOOD_DELAY_OFF_S = 1800.0
_ULTRASONIC_NOISE_M = 0.005
# Kise River 2.71 m and Toga River 1.34 m in 10 minutes (2008): a plausibility ceiling on a small
# urban stream must not be below 20 m/h.
_CEILING_M_PER_H = 20.0


def _street(ons: Sequence[float], noise: float, ceiling_per_h: float | None) -> Threshold:
    levels = tuple(
        Level(on, hysteresis_off(on, noise), delay_off_s=_FLOOD_DELAY_OFF_S) for on in ons
    )
    return Threshold(levels, ceiling_per_h=ceiling_per_h, noise=noise)


def river_threshold(stages_m: Sequence[float], noise: float = _ULTRASONIC_NOISE_M) -> Threshold:
    """Rule of a river gauge from its own stages, which no default can know.

    Parameters
    ----------
    stages_m : sequence of float
        水防団待機, 氾濫注意, 避難判断, 氾濫危険 and, where known, 氾濫発生, in metres above the
        gauge's datum, ascending.
    noise : float
        Standard deviation of a reading in metres.

    Raises
    ------
    ParameterError
        Stages that do not ascend.
    """
    drop = max(0.05, 5.0 * noise)
    levels = tuple(
        Level(on, round(on - drop, 6), delay_off_s=_FLOOD_DELAY_OFF_S) for on in stages_m
    )
    return Threshold(levels, ceiling_per_h=_CEILING_M_PER_H, noise=noise)


def _pond(
    ons: Sequence[float],
    step: float,
    direction: Direction,
    delay_on_s: float = 600.0,
    delay_off_s: float = 600.0,
) -> Threshold:
    # Ten minutes both ways [J]: a net or a hand at the probe is not a pond. Error codes of pond
    # probes (85.0 of a temperature chip that has just started) must not call people out.
    sign = -1.0 if direction == "rising" else 1.0
    levels = tuple(Level(on, round(on + sign * step, 6), delay_on_s, delay_off_s) for on in ons)
    return Threshold(levels, direction=direction, failed_may_raise=False)


_STREETS = ("street", "underpass")
_CLOSING = (
    "Cities close streets at 7 to 20 cm: Tochigi 7, Kanazawa 5/10, Kanuma 10/20, Nagoya about 15; "
    "30 cm stops cars. delay_off and the 5 cm level [J]"
)
_BESIDE = (
    "Wet while 2 neighbours that lie 0.3 m lower are dry for 15 min [J]; 0.3 m is the vertical "
    "error of the 5 m laser elevation model (国土地理院)"
)
# None for rivers: on two flashy streams the interval that should hold 80 of 100 held 58 and 68.
_FORECAST = "Drive and gate by New York's street floods 2020-2025: see the detection report"
_RISE = "Defaults [J]; Toga River rose 1.34 m and Kise River 2.71 m in 10 min (2008)"


def _flood() -> tuple[DefaultRule, ...]:
    level, contact = "flood_level", "flood_contact"
    depth, stage = "depth_m", "stage_m"
    ons = (0.05, 0.10, 0.20, 0.30)
    rise = RateOfRise(limits_per_h=(0.6, 3.0), noise=_ULTRASONIC_NOISE_M)
    rows = (
        ("street-depth", _street(ons, _ULTRASONIC_NOISE_M, _CEILING_M_PER_H), depth, level,
         _STREETS, "street", _CLOSING),
        ("street-contact", _street(ons, 0.0, None), depth, contact, _STREETS, "street",
         _CLOSING + "; a contact sensor reports 0, 0.10, 0.20 or 0.30"),
        ("street-rise", rise, depth, level, _STREETS, "rate", _RISE),
        ("river-rise", rise, stage, level, ("river",), "rate", _RISE),
        ("depth-range", GrossRange((-0.5, 10.0), (-0.1, 3.0)), depth, level, (), "street",
         "Span of common ultrasonic and pressure sensors [J]"),
        ("contact-range", GrossRange((0.0, 0.3)), depth, contact, (), "street",
         "Contacts at 10, 20 and 30 cm"),
        ("stage-range", GrossRange((-5.0, 30.0)), stage, level, (), "river", "[J]"),
        ("depth-spike", Spike(0.10, 0.50), depth, level, (), "street", "[J]"),
        ("depth-step", RateOfChange(_CEILING_M_PER_H / 3600.0), depth, level, (), "street", _RISE),
        ("stage-step", RateOfChange(_CEILING_M_PER_H / 3600.0), stage, level, (), "river", _RISE),
        ("stage-scatter", StepAgainstScatter(smallest=0.3), stage, level, ("river",), "river",
         "QARTOD's 3 deviations of 25 hours; 0.3 m is no digit and no ripple [J]"),
        ("street-neighbours", Neighbours(), depth, level, _STREETS, "street", _BESIDE),
        ("contact-neighbours", Neighbours(), depth, contact, _STREETS, "street", _BESIDE),
        ("contact-ladder", ContactLadder(), depth, contact, _STREETS, "street",
         "20 cm wet while 10 cm is dry, beyond one heartbeat [J]"),
        ("street-stuck", Stuck(), depth, level, _STREETS, "street",
         "A level to the millimetre for 6 hours while two neighbours move by 5 cm [J]"),
        ("street-forecast", TimeToThreshold(), depth, level, _STREETS, "street", _FORECAST),
        ("level-silence", Silence(), LINK, level, (), "street", "1 false alarm in 100 months"),
        ("contact-silence", Silence(), LINK, contact, (), "street", "as level-silence"),
    )  # fmt: skip
    return tuple(DefaultRule(*row) for row in rows)


# Of 44,000 windows of 12 hours in the corrected records of two streams, 1 in 1,000 moves less; no
# equal values for 12 hours, and no step beyond `smallest`. Departures from the 14 days before reach
# 0.25 of pH and 1.2 mg/L; a pH probe that drifted by 0.7 was corrected by hand.
_LOGAN: Final = "Logan River Observatory 2014 and 2019 (Jones, Jones, Horsburgh 2022); [J]"


def _slow(temp: str, ph: str, oxygen: str) -> tuple[tuple[str, Parameters, str, str], ...]:
    """Tests of a pond's probes over hours and days."""
    hour, day = 3600.0, 24 * 3600.0
    return (
        ("pond-ph-flat", FlatLine(12 * hour, day), ph, _LOGAN),
        ("pond-oxygen-flat", FlatLine(6 * hour, day), oxygen, _LOGAN),
        ("pond-temp-dull", Attenuated(0.03, 0.005), temp, _LOGAN),
        ("pond-ph-dull", Attenuated(0.015, 0.005), ph, _LOGAN),
        ("pond-oxygen-dull", Attenuated(0.08, 0.01), oxygen, _LOGAN),
        ("pond-temp-scatter", StepAgainstScatter(smallest=1.0), temp, _LOGAN),
        ("pond-ph-scatter", StepAgainstScatter(smallest=0.3), ph, _LOGAN),
        ("pond-oxygen-scatter", StepAgainstScatter(smallest=1.0), oxygen, _LOGAN),
        ("pond-temp-drift", Drift(1.0), temp, "The season moves it too: with neighbours only; [J]"),
        ("pond-ph-drift", Drift(0.2, 0.3), ph, _LOGAN),
        ("pond-oxygen-drift", Drift(0.8, 1.5), oxygen, _LOGAN),
    )


def _ponds() -> tuple[DefaultRule, ...]:
    device, sites = "pond_probe", ("pond",)
    temp, ph, oxygen = "water_temp_c", "ph", "dissolved_oxygen_mg_l"
    rows = (
        ("pond-temp-high", _pond((30.0, 33.0, 35.0), 0.5, "rising"), temp,
         "Preferred 27.4-31.2, upper incipient lethal 37.3 (Sheng & Xu 2008); koi 20-27; [J]"),
        ("pond-temp-low", _pond((5.0, 3.0), 0.5, "falling"), temp,
         "Below 5 degC stop feeding [J]"),
        ("pond-ph-high", _pond((8.8, 9.0, 9.5), 0.2, "rising"), ph,
         "Best 7.5-8.0, tolerates 6-9, death above 11 (Boyd); [J]"),
        ("pond-ph-low", _pond((6.7, 6.5, 5.5), 0.2, "falling"), ph,
         "6.7-7.5 (水産用水基準 2018), death below 4 (Boyd); [J]"),
        ("pond-oxygen-low", _pond((5.0, 4.0, 3.0, 2.0), 0.5, "falling"), oxygen,
         "6 or more (水産用水基準); distress 2-4, death below 2 (Francis-Floyd); [J]"),
        ("pond-temp-range", GrossRange((-5.0, 60.0), (0.0, 40.0)), temp, "[J]"),
        ("pond-ph-range", GrossRange((0.0, 14.0), (4.0, 11.0)), ph, "Boyd"),
        ("pond-oxygen-range", GrossRange((0.0, 30.0), (0.0, 20.0)), oxygen, "[J]"),
        ("pond-temp-flat", FlatLine(6 * 3600.0, 24 * 3600.0), temp, "[J]"),
        *_slow(temp, ph, oxygen),
        ("pond-silence", Silence(), LINK, "as level-silence"),
    )  # fmt: skip
    return tuple(
        DefaultRule(code, rule, prop, device, sites, "pond", source)
        for code, rule, prop, source in rows
    )


def _derived() -> tuple[DefaultRule, ...]:
    # Rules over series that the jobs compute (`detectors.derived`). Two levels at one limit: what
    # is a warning at once. Temperature and pH are medians of three readings: no delay is needed.
    # What is true of a day is over when it has not been for a quarter of one: in a real tank that
    # joins the alerts of one change of weather.
    zero, scheme, end = 0.01, "pond", 6 * 3600.0
    lifted = Threshold((Level(1.0, 0.0),))
    rows = (
        ("pond-temp-change-1h", _pond((2.0, 2.0, 7.0), 0.5, "rising", 0.0), "temp_change_1h_c",
         scheme, "Drops of 7-11 degC: stress within 20 min (Tanck 2000); koi 3 at most; [J]"),
        ("pond-temp-change-24h", _pond((3.0, 5.0), 0.5, "rising", 0.0, end), "temp_change_24h_c",
         scheme, "Koi water change 3 degC at most; [J]"),
        ("pond-ph-swing", _pond((1.0, 1.5), 0.2, "rising", 0.0, end), "ph_swing_24h",
         scheme, "Ponds in bloom swing 7.5-9.5 every day (Boyd & Fast 1992); [J]"),
        ("pond-ph-unusual", _pond((0.5,), 0.2, "rising", 0.0, end), "ph_off_usual", scheme, "[J]"),
        ("pond-oxygen-night", _pond((3.0, 3.0), 0.5, "falling"), "oxygen_until_sunrise_mg_l",
         scheme, "Distress 2-4 (Francis-Floyd); lower 80% bound before sunrise [J]"),
        ("pond-oxygen-warm", _pond((zero, zero), zero, "rising"), "warm_oxygen_short_mg_l",
         scheme, "Warmer than 28 degC with less than 5 mg/L [J]"),
        ("pond-ammonia-risk", _pond((zero,), zero, "rising"), "warm_ph_excess",
         scheme, "pH above 8.8, warmer than 25 degC: a third is un-ionised (Emerson 1975); [J]"),
        ("pond-ammonia", _pond((0.02, 0.05, 0.2), 0.005, "rising"), "nh3_n_mg_l",
         scheme, "96 h LC50 0.93 (Abbas 2006); fry 1.74-1.84 (Hasan & Macintosh 1986); [J]"),
        ("pond-lifted-out", lifted, "lifted_out_min", "lift",
         "All probes jump together: held back for 30 min [J]"),
    )  # fmt: skip
    return tuple(
        DefaultRule(code, rule, prop, "pond_probe", ("pond",), labels, source)
        for code, rule, prop, labels, source in rows
    )


DEFAULT_RULES: Final[tuple[DefaultRule, ...]] = (
    *_flood(),
    *_ponds(),
    *_derived(),
    DefaultRule("plow-silence", Silence(), LINK, "plow", (), "street", "as level-silence"),
)


def default_rules(device_kind: str, site_kind: str | None = None) -> tuple[DefaultRule, ...]:
    """Rules that a device of a kind starts with at a site of a kind.

    Parameters
    ----------
    device_kind : str
        flood_contact, flood_level, pond_probe or plow.
    site_kind : str, optional
        street, underpass, river, pond or depot; None: not said yet, so the rules of every kind.

    Returns
    -------
    tuple of DefaultRule

    Examples
    --------
    >>> [rule.code for rule in default_rules("flood_contact", "street")]
    ['street-contact', 'contact-range', 'contact-neighbours', 'contact-ladder', 'contact-silence']
    """
    return tuple(
        rule
        for rule in DEFAULT_RULES
        if rule.device_kind == device_kind
        and (not rule.site_kinds or site_kind is None or site_kind in rule.site_kinds)
    )
