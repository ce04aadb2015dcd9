"""Depths as people say them: what is refused of a street's levels names centimetres too."""

from string import Formatter
from typing import Final

from detectors.errors import ParameterError

_DEPTH: Final = "depth_m"


class _Depth(float):
    """Metres, for those who write parameters, and centimetres, for those who fill in a form."""

    per = ""

    def __format__(self, spec: str) -> str:
        metres, centimetres = (format(number, spec) for number in (float(self), self * 100.0))
        return f"{metres} m{self.per} ({centimetres} cm{self.per})"


class _DepthPerHour(_Depth):
    per = "/h"


# Parameters in the unit of the datastream, or in that per hour.
_MEASURED: Final = {
    "on": _Depth,
    "off": _Depth,
    "noise": _Depth,
    "sensor_span": _Depth,
    "user_span": _Depth,
    "limits_per_h": _DepthPerHour,
    "ceiling_per_h": _DepthPerHour,
}


def spoken(error: ParameterError, observed_property: str) -> ParameterError:
    """Say what is wrong with a rule's parameter as people speak of what the rule looks at.

    Parameters
    ----------
    error
        What `detectors.rules.rule_from_params` raised, which knows of no unit.
    observed_property
        What the rule is for.

    Returns
    -------
    ParameterError
        The same, of a depth with its numbers in metres and in centimetres.

    Examples
    --------
    >>> from detectors.sentence import Sentence
    >>> said = Sentence("must be {most:g} or less, got {value:g}", most=0.3, value=30.0)
    >>> print(spoken(ParameterError("levels[0].on", said), "depth_m"))
    levels[0].on: must be 0.3 m (30 cm) or less, got 30 m (3000 cm)
    """
    depth = _MEASURED.get(error.field.rpartition(".")[2])
    if observed_property != _DEPTH or depth is None:
        return error
    reason = error.reason
    measured = [name for _, name, spec, _ in Formatter().parse(reason.template) if spec == "g"]
    values = {name: depth(reason.values[name]) for name in measured if name is not None}
    return ParameterError(error.field, reason.saying(**values))
