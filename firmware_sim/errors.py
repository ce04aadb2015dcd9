"""What can go wrong, in words."""


class SimulatorError(Exception):
    """The simulation cannot run; the message is a sentence for the person who started it."""


class RecordingError(SimulatorError):
    """A recording cannot be read; the message names the file and the line."""


class TownError(SimulatorError):
    """A town's description is wrong; the message names the file and the place in it."""
