"""Names and labels in the two languages of the console."""

import math
from typing import Self

from pydantic import BaseModel, Field


class Name(BaseModel):
    """A name in Japanese and in English."""

    ja: str = Field(examples=["駅前地下道"])
    en: str = Field(examples=["Station underpass"])

    @classmethod
    def of(cls, ja: str | None, en: str | None) -> Self | None:
        """Build a name, or None where there is none in either language."""
        if ja is None and en is None:
            return None
        return cls(ja=ja or en or "", en=en or ja or "")

    def columns(self, code: str) -> dict[str, str]:
        """Return it as the catalog holds it.

        One language stands in for the other where that is empty, and the code for both.
        """
        ja, en = self.ja.strip(), self.en.strip()
        return {"name_ja": ja or en or code, "name_en": en or ja or code}


def finite(value: float | None) -> float | None:
    """Return None for what JSON cannot say: not a number, and infinity."""
    return value if value is not None and math.isfinite(value) else None
