"""Un-ionised ammonia: the part of a pond's ammonia that poisons fish."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.arrays import Floats
from detectors.errors import ParameterError
from detectors.parameters import Parameters, check_number


@dataclass(frozen=True)
class Ammonia(Parameters):
    """Levels of un-ionised ammonia, and of the water that makes it.

    Attributes
    ----------
    limits_mg_l : tuple of float
        NH3-N of each level. 96 h LC50 of carp 0.93 (Abbas 2006), fry 1.74-1.84 (Hasan and
        Macintosh 1986); 0.02, 0.05 and 0.2 are judgements.
    warm_c, high_ph : float
        Above both at once most ammonia is poisonous: watch, whatever the total may be.
    """

    kind: ClassVar[str] = "ammonia"

    limits_mg_l: tuple[float, ...] = (0.02, 0.05, 0.2)
    warm_c: float = 25.0
    high_ph: float = 8.8

    def __post_init__(self) -> None:
        limits = tuple(check_number("limits_mg_l", x, above=0.0) for x in self.limits_mg_l)
        if not limits or list(limits) != sorted(limits):
            raise ParameterError("limits_mg_l", "at least one limit, ascending")
        object.__setattr__(self, "limits_mg_l", limits)
        check_number("warm_c", self.warm_c)
        check_number("high_ph", self.high_ph, least=0.0, most=14.0)


def un_ionised_share(temperature_c: Floats, ph: Floats) -> Floats:
    """Share of total ammonia that is un-ionised (NH3).

    Parameters
    ----------
    temperature_c : float64[n]
        0 to 50.
    ph : float64[n]

    Returns
    -------
    float64[n]
        NaN where either is missing.

    Notes
    -----
    f = 1 / (1 + 10^(0.09018 + 2729.92 / (273.15 + T) - pH)).

    References
    ----------
    Emerson et al. 1975, J. Fish. Res. Board Can. 32, 2379-2383.

    Examples
    --------
    >>> un_ionised_share(np.array([25.0, 25.0]), np.array([7.0, 9.0])).round(4).tolist()
    [0.0056, 0.3619]
    """
    share: Floats = 1.0 / (1.0 + 10.0 ** (0.09018 + 2729.92 / (273.15 + temperature_c) - ph))
    return share


def total_limit_mg_l(temperature_c: Floats, ph: Floats, limit_mg_l: float = 0.02) -> Floats:
    """Total ammonia nitrogen at which the un-ionised part reaches a limit.

    For ponds whose total nobody has measured.

    Returns
    -------
    float64[n]
        mg/L.
    """
    return limit_mg_l / un_ionised_share(temperature_c, ph)


def ammonia_level(rule: Ammonia, temperature_c: Floats, ph: Floats, total_mg_l: Floats) -> Floats:
    """Level of each pond.

    Parameters
    ----------
    total_mg_l : float64[n]
        Total ammonia nitrogen from the log book; NaN where there is none.

    Returns
    -------
    float64[n]
        0 and up; NaN: temperature or pH is missing, so nothing is known. Without a total the
        water alone can reach level 1.
    """
    nh3 = un_ionised_share(temperature_c, ph) * total_mg_l
    level = np.zeros(len(ph))
    for number, limit in enumerate(rule.limits_mg_l, 1):
        level[nh3 >= limit] = number
    risky = (ph > rule.high_ph) & (temperature_c > rule.warm_c)
    level = np.where(risky, np.maximum(level, 1.0), level)
    return np.where(np.isnan(temperature_c) | np.isnan(ph), np.nan, level)
