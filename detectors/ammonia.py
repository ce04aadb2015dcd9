"""Un-ionised ammonia: the part of a pond's ammonia that poisons fish."""

from typing import Final

import numpy as np

from detectors.arrays import Floats

# Below this much NH3-N nothing is said [J]; 96 h LC50 of carp 0.93 (Abbas 2006).
LIMIT_MG_L: Final = 0.02
# Above both at once most ammonia is poisonous, whatever the total may be [J].
WARM_C: Final = 25.0
HIGH_PH: Final = 8.8


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


def total_limit_mg_l(temperature_c: Floats, ph: Floats, limit_mg_l: float = LIMIT_MG_L) -> Floats:
    """Total ammonia nitrogen at which the un-ionised part reaches a limit.

    For ponds whose total nobody has measured.

    Parameters
    ----------
    temperature_c, ph : float64[n]
        Of the water, at one time each; NaN: missing.
    limit_mg_l : float
        Of the un-ionised part, mg/L.

    Returns
    -------
    float64[n]
        mg/L; NaN where either is missing.
    """
    return limit_mg_l / un_ionised_share(temperature_c, ph)


def un_ionised_mg_l(temperature_c: Floats, ph: Floats, total_mg_l: Floats) -> Floats:
    """Un-ionised ammonia (NH3-N) of a total that was measured.

    Parameters
    ----------
    temperature_c, ph : float64[n]
        Of the water, at one time each; NaN: missing.
    total_mg_l : float64[n]
        Total ammonia nitrogen.

    Returns
    -------
    float64[n]
        mg/L; NaN where one of the three is missing.
    """
    return un_ionised_share(temperature_c, ph) * total_mg_l


def warm_ph_excess(temperature_c: Floats, ph: Floats) -> Floats:
    """How far the pH stands above `HIGH_PH` while the water is warmer than `WARM_C`.

    Parameters
    ----------
    temperature_c, ph : float64[n]
        Of the water, at one time each; NaN: missing.

    Returns
    -------
    float64[n]
        0 where it does not, or the water is cooler; NaN where either is missing.
    """
    excess = np.where(temperature_c > WARM_C, np.maximum(ph - HIGH_PH, 0.0), 0.0)
    return np.where(np.isnan(temperature_c) | np.isnan(ph), np.nan, excess)
