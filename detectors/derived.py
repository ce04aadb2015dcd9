"""Alerts from rules over several datastreams: their level is a series like any other."""

from detectors.parameters import check_number
from detectors.rules import Level, Threshold


def level_rule(levels: int, delay_on_s: float = 0.0, delay_off_s: float = 0.0) -> Threshold:
    """Threshold over a series of levels 0, 1, 2, ... that a rule over several datastreams gives.

    A job computes the level (`swing_level`, `night_level`, `ammonia_level`, ...) whenever the
    datastreams it looks at have moved on, and steps it through a `Fleet` as a reading. So these
    alerts have the same hysteresis, late data, restart and evidence as all others; an unknown
    level (NaN) is a missing reading, which ends nothing.

    Parameters
    ----------
    levels : int
        Highest level that the rule gives.
    delay_on_s, delay_off_s : float
        As in `Level`, the same for all of them.

    Returns
    -------
    Threshold

    Raises
    ------
    ParameterError
        No level, or more than a threshold can have.

    Examples
    --------
    >>> level_rule(2).levels[1].off
    1.5
    """
    check_number("levels", levels, least=1)
    return Threshold(
        tuple(Level(k, k - 0.5, delay_on_s, delay_off_s) for k in range(1, levels + 1)),
        failed_may_raise=False,
    )
