"""One line of the doctor's."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it, in words."""

    verdict: Verdict
    subject: str
    sentence: str
