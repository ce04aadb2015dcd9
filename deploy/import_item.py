"""What is found in a file that is imported."""

from dataclasses import dataclass

from gateway.codecs.reading import Reading


class ImportFileError(Exception):
    """A file cannot be imported at all; the text says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """A reading, where it stands, and the device it names, if it names one."""

    place: int
    device: str | None
    reading: Reading


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that could not be read, and why."""

    place: int
    reason: str


# A place is the number of a line, or of a point where a file knows no lines.
Found = Item | Skipped
