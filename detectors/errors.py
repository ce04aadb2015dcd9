"""What goes wrong in the core, in words for the person who wrote the parameter."""

from detectors.sentence import Sentence


class DetectorError(Exception):
    """Base of every error of this package."""


class ParameterError(DetectorError, ValueError):
    """A parameter is refused. The message says which one, why, and what would be accepted.

    Attributes
    ----------
    field : str
        The parameter as it is written in a rule's parameters, for a form to mark it.
    reason : Sentence
        The rest of the message.
    """

    def __init__(self, field: str, reason: Sentence) -> None:
        super().__init__(Sentence("{field}: {reason}", field=field, reason=reason))
        self.field = field
        self.reason = reason


class StateError(DetectorError):
    """A stored state cannot be read back, or does not belong to the samples beside it."""
