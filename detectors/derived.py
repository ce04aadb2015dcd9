"""What is computed from a pond's probes: series like any other, decided on by ordinary rules.

A derived value is a function of the readings up to its own time alone, so the order in which they
arrive does not matter: whoever computes it again from all of them finds the same.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from detectors import ammonia, lift_out, oxygen, pond, usual
from detectors.arrays import Bools, Floats, Times
from detectors.sunrise import hours_to_sunrise
from detectors.window import value_at

TEMPERATURE: Final = "water_temp_c"
PH: Final = "ph"
OXYGEN: Final = "dissolved_oxygen_mg_l"
TOTAL_AMMONIA: Final = "total_ammonia_mg_l"
LIFTED_OUT: Final = "lifted_out_min"
# What a probe can measure; beyond it stands an error code (85.0 of a chip that has just started).
SPANS: Final = {TEMPERATURE: (-5.0, 60.0), PH: (0.0, 14.0), OXYGEN: (0.0, 30.0),
                TOTAL_AMMONIA: (0.0, 100.0)}  # fmt: skip
# How old a temperature may be, and an ammonia that somebody measures by hand [J].
_JOIN_MS: Final = usual.HOUR_MS
_TOTAL_WITHIN_MS: Final = pond.DAY_MS
# Readings from so long before the first derived value are needed for it: a day's change against
# the usual days before it, with a margin for a lift-out just then.
LOOK_BACK_MS: Final = pond.DAY_MS + usual.LOOK_BACK_MS + 2 * lift_out.PRESENT_MS
# A reading may change derived values of so long before it: the first of the probes that jumped.
REACHES_BACK_MS: Final = lift_out.TOGETHER_MS


@dataclass(frozen=True)
class DerivedProperty:
    """A property that no device sends.

    Attributes
    ----------
    name, unit : str
    principal : str
        One value per reading of this property, at its device; "": of every probe of the device.
    needs : tuple of str
        Other properties of the same pond.
    """

    name: str
    unit: str
    principal: str
    needs: tuple[str, ...] = ()


DERIVED: Final = (
    DerivedProperty("temp_change_1h_c", "degC", TEMPERATURE),
    DerivedProperty("temp_change_24h_c", "degC", TEMPERATURE),
    DerivedProperty("ph_swing_24h", "pH", PH),
    DerivedProperty("ph_off_usual", "pH", PH),
    DerivedProperty("oxygen_until_sunrise_mg_l", "mg/L", OXYGEN),
    DerivedProperty("warm_oxygen_short_mg_l", "mg/L", OXYGEN, (TEMPERATURE,)),
    DerivedProperty("warm_ph_excess", "pH", PH, (TEMPERATURE,)),
    DerivedProperty("total_ammonia_limit_mg_l", "mg/L", PH, (TEMPERATURE,)),
    DerivedProperty("nh3_n_mg_l", "mg/L", PH, (TEMPERATURE, TOTAL_AMMONIA)),
    DerivedProperty(LIFTED_OUT, "min", ""),
)


@dataclass(frozen=True, eq=False)
class Series:
    """What one property was at one device.

    Attributes
    ----------
    time_ms : int64[n]
        Ascending.
    value : float64[n]
        In the property's unit; NaN: not known.
    """

    time_ms: Times
    value: Floats


# The readings of a pond by device and property; a probe that has none in the time that is looked
# at is an empty series.
Probes = Mapping[int, Mapping[str, Series]]


def applicable(probes: Mapping[int, Collection[str]]) -> list[tuple[int, DerivedProperty]]:
    """Tell what is derived at which device of a pond, from the properties that each has."""
    everywhere = {name for names in probes.values() for name in names}
    return [
        (device, one)
        for device, names in sorted(probes.items())
        for one in DERIVED
        if (one.principal in names and everywhere.issuperset(one.needs))
        or (one.name == LIFTED_OUT and len(_hang_together(probes, device)) > 1)
    ]


def derive(probes: Probes, lat: float, lon: float, from_ms: int) -> dict[tuple[int, str], Series]:
    """Compute all that is derived at a pond from a time on.

    Parameters
    ----------
    probes
        From `LOOK_BACK_MS` before `from_ms` on, where there are readings.
    lat, lon : float
        Degrees; the night depends on them.
    from_ms : int

    Returns
    -------
    dict of Series
        By device and name. One value per reading of the principal property at or after `from_ms`,
        to four decimals.
    """
    return _Pond(probes, lat, lon, from_ms).derived()


def _hang_together(probes: Mapping[int, Collection[str]], device: int) -> list[tuple[int, str]]:
    """List the probes that are lifted out together with those of a device.

    A device with several probes hangs at one rope; devices with one probe each are taken as one.
    """
    own = [(device, name) for name in lift_out.JUMPS if name in probes[device]]
    if len(own) != 1:
        return own
    each = [[(d, n) for n in lift_out.JUMPS if n in probes[d]] for d in sorted(probes)]
    return [found[0] for found in each if len(found) == 1]


class _Pond:
    """A pond while its series are computed."""

    def __init__(self, probes: Probes, lat: float, lon: float, from_ms: int) -> None:
        self.probes, self.lat, self.lon, self.from_ms = probes, lat, lon, from_ms
        in_span = {
            (device, name): _take(series, _measurable(name, series.value))
            for device, own in probes.items()
            for name, series in own.items()
            if name in SPANS
        }
        jumped = {
            key: (one.time_ms, lift_out.jumps(one.time_ms, one.value, lift_out.JUMPS[key[1]]))
            for key, one in in_span.items()
            if key[1] in lift_out.JUMPS
        }
        self.lifts = {
            device: lift_out.lifted([jumped[key] for key in _hang_together(probes, device)])
            for device in probes
        }
        # What a probe shows in the air says nothing about the water.
        self.water = {
            key: _take(one, self.quiet_ms(key[0], one.time_ms) == 0) for key, one in in_span.items()
        }

    def quiet_ms(self, device: int, at_ms: Times) -> Times:
        return lift_out.quiet_left_ms(self.lifts[device], at_ms)

    def derived(self) -> dict[tuple[int, str], Series]:
        names: dict[int, set[str]] = {}
        for device, one in applicable(self.probes):
            names.setdefault(device, set()).add(one.name)
        found = {}
        for device, wanted in names.items():
            computed = {**self.of_temperature(device), **self.of_ph(device),
                        **self.of_oxygen(device)}  # fmt: skip
            for one in DERIVED:
                if one.name in wanted and one.name in computed:
                    known = computed[one.name]
                    found[device, one.name] = self.spread(device, one.principal, known)
            if LIFTED_OUT in wanted:
                found[device, LIFTED_OUT] = self.quiet(device)
        return found

    def spread(self, device: int, principal: str, known: Series) -> Series:
        """Give every reading of the principal property its value, or none."""
        times = self.probes[device][principal].time_ms
        times = times[times >= self.from_ms]
        value = np.full(len(times), np.nan)
        inside = known.time_ms >= self.from_ms
        place = np.searchsorted(times, known.time_ms[inside])
        value[place] = np.round(known.value[inside], 4)
        return Series(times, value)

    def quiet(self, device: int) -> Series:
        own = [self.probes[device][name].time_ms for name in lift_out.JUMPS
               if name in self.probes[device]]  # fmt: skip
        times = np.unique(np.concatenate(own))
        times = times[times >= self.from_ms]
        return Series(times, np.round(self.quiet_ms(device, times) / 60_000.0, 4))

    def recent(self, device: int, name: str) -> tuple[Series, Floats]:
        """Confirmed readings of the last day and on, with the usual value of each."""
        one = self.water[device, name]
        sure = Series(one.time_ms, pond.confirmed(one.time_ms, one.value))
        sure = _take(sure, one.time_ms >= self.from_ms - pond.DAY_MS)
        return sure, usual.usual(one.time_ms, one.value, sure.time_ms)

    def of_temperature(self, device: int) -> dict[str, Series]:
        if (device, TEMPERATURE) not in self.water:
            return {}
        one, cycle = self.recent(device, TEMPERATURE)
        times, value = one.time_ms, one.value
        hour = pond.change_beyond_usual(times, value, cycle, usual.HOUR_MS)
        # In the first days no hour is usual yet. No pond does by itself in an hour what is told.
        hour = np.where(np.isnan(hour), pond.change_within(times, value, usual.HOUR_MS), hour)
        day = pond.change_beyond_usual(times, value, cycle, pond.DAY_MS)
        return {"temp_change_1h_c": Series(times, hour), "temp_change_24h_c": Series(times, day)}

    def of_ph(self, device: int) -> dict[str, Series]:
        if (device, PH) not in self.water:
            return {}
        one, cycle = self.recent(device, PH)
        times, ph = one.time_ms, one.value
        temperature = self.joined(device, TEMPERATURE, times, _JOIN_MS)
        total = self.joined(device, TOTAL_AMMONIA, times, _TOTAL_WITHIN_MS)
        values = {
            "ph_swing_24h": pond.daily_swing(times, ph),
            "ph_off_usual": np.abs(ph - cycle),
            "warm_ph_excess": ammonia.warm_ph_excess(temperature, ph),
            "total_ammonia_limit_mg_l": ammonia.total_limit_mg_l(temperature, ph),
            "nh3_n_mg_l": ammonia.un_ionised_mg_l(temperature, ph, total),
        }
        return {name: Series(times, value) for name, value in values.items()}

    def of_oxygen(self, device: int) -> dict[str, Series]:
        if (device, OXYGEN) not in self.water:
            return {}
        one = self.water[device, OXYGEN]
        one = _take(one, one.time_ms >= self.from_ms - oxygen.LOOK_BACK_MS)
        times = one.time_ms
        hours = hours_to_sunrise(times, self.lat, self.lon)
        hours[times < self.from_ms] = np.nan  # looked back on, not wanted
        temperature = self.joined(device, TEMPERATURE, times, _JOIN_MS)
        values = {
            "oxygen_until_sunrise_mg_l": oxygen.least_until_sunrise(times, one.value, hours),
            "warm_oxygen_short_mg_l": oxygen.warm_shortage(one.value, temperature),
        }
        return {name: Series(times, value) for name, value in values.items()}

    def joined(self, device: int, name: str, at_ms: Times, within_ms: int) -> Floats:
        """Newest value of another property: of the device itself, else of the pond's first."""
        having = [d for d in (device, *sorted(self.probes)) if (d, name) in self.water]
        if not having:
            return np.full(len(at_ms), np.nan)
        one = self.water[having[0], name]
        return value_at(one.time_ms, one.value, at_ms, within_ms)


def _measurable(name: str, value: Floats) -> Bools:
    low, high = SPANS[name]
    inside: Bools = (value >= low) & (value <= high)  # NaN is not
    return inside


def _take(series: Series, which: Bools) -> Series:
    return Series(series.time_ms[which], series.value[which])
