"""What goes wrong with devices, planned by the weather or by the clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from firmware_sim.chance import Chance
from firmware_sim.payload import Sample
from firmware_sim.storm import Weather

Kind = Literal["power", "radio", "spike", "stuck", "clock", "duplicate", "disorder"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one device, coming back with the storms or with the hours.

    Parameters
    ----------
    kind
        `power`: nothing is measured and the line drops, so the will is published.
        `radio`: the line drops, the device goes on measuring and brings it all later.
        `spike`: with probability `amount` a reading is thrown off.
        `stuck`: the value at the fault's start is repeated.
        `clock`: the device's clock is off by `amount` seconds.
        `duplicate`: with probability `amount` a reading is sent twice.
        `disorder`: with probability `amount` a reading swaps places with its successor.
    after_s, for_s
        Start and length, counted from a storm's onset (or from each period's start).
    every
        Every how many storms: 1 each, 2 the first, third, fifth…
    period_s
        If given, the fault follows the clock with this period instead of the storms.
    amount
        See `kind`.
    """

    kind: Kind
    after_s: float
    for_s: float
    every: int = 1
    period_s: float | None = None
    amount: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise ValueError(f"there is no fault {self.kind!r}; choose one of {kinds}")
        if self.for_s <= 0 or self.every < 1:
            raise ValueError(f"a fault lasts longer than 0 s and comes every 1 or more, not {self}")

    def start_ms(self, time_ms: int, weather: Weather) -> int | None:
        """Return when the fault that is active at `time_ms` began; None: all is well."""
        if self.period_s is not None:
            period_ms = int(self.period_s * 1000)
            starts = [time_ms - time_ms % period_ms + int(self.after_s * 1000)]
        else:
            starts = [
                storm.onset_ms + int(self.after_s * 1000)
                for storm in weather.recent(time_ms)
                if storm.number % self.every == 0
            ]
        for start_ms in starts:
            if start_ms <= time_ms < start_ms + int(self.for_s * 1000):
                return start_ms
        return None


def distort(
    sample: Sample,
    faults: Sequence[Fault],
    weather: Weather,
    chance: Chance,
    values_at: Callable[[int], Mapping[str, float]],
) -> Sample:
    """Return what a device with faults reports instead of `sample`.

    Parameters
    ----------
    sample
        What a healthy device would report; its time is the true one.
    faults, weather, chance
        What goes wrong, when, and with which luck.
    values_at
        The healthy values at a time, for a sensor that is stuck.

    Returns
    -------
    Sample
        The distorted sample; `sample` itself if nothing is wrong.
    """
    true_ms = sample.time_ms
    if true_ms is None:
        return sample
    for fault in faults:
        start_ms = fault.start_ms(true_ms, weather)
        if start_ms is None:
            continue
        if fault.kind == "clock":
            sample = replace(sample, time_ms=true_ms + int(fault.amount * 1000))
        elif fault.kind == "stuck":
            then = values_at(start_ms)
            held = {name: then.get(name, value) for name, value in sample.values.items()}
            sample = replace(sample, values=held)
        elif fault.kind == "spike" and chance.uniform("spike?", true_ms) < fault.amount:
            thrown = {
                name: round(value + chance.uniform(f"spike:{name}", true_ms, 0.3, 1.5), 4)
                for name, value in sample.values.items()
                if name != "battery_v"
            }
            sample = replace(sample, values={**sample.values, **thrown})
    return sample


class Dispatch:
    """The order in which a device with faults sends its samples.

    Nothing gets lost: a swap holds a sample back until its successor is sent, a duplicate repeats
    it as it is, sequence number included.

    Parameters
    ----------
    faults, weather, chance
        What goes wrong, when, and with which luck.
    """

    def __init__(self, faults: Sequence[Fault], weather: Weather, chance: Chance) -> None:
        self._faults = [fault for fault in faults if fault.kind in ("duplicate", "disorder")]
        self._weather = weather
        self._chance = chance
        self._held: Sample | None = None

    def arrange(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return what is sent now, given what was measured since the last call."""
        sent: list[Sample] = []
        for sample in samples:
            if self._held is None and self._struck("disorder", sample):
                self._held = sample
                continue
            sent.append(sample)
            if self._held is not None:
                sent.append(self._held)
                self._held = None
            if self._struck("duplicate", sample):
                sent.append(sample)
        return sent

    def _struck(self, kind: Kind, sample: Sample) -> bool:
        time_ms = sample.time_ms or 0
        return any(
            fault.kind == kind
            and fault.start_ms(time_ms, self._weather) is not None
            and self._chance.uniform(f"{kind}?", time_ms) < fault.amount
            for fault in self._faults
        )
