"""What other sensors of a place say against an alert. A doubt never ends or hides one."""

from datetime import datetime
from typing import Final, Literal, Self

from pydantic import BaseModel, Field

from api.words import Name
from detectors.flags import Test
from store.doubts import Doubt

Kind = Literal["contact_ladder", "neighbours", "stuck"]

_SAID: Final[dict[int, tuple[Kind, str, str]]] = {
    Test.LADDER: (
        "contact_ladder",
        "同じ地点の低い接点が水を検知していません",
        "A lower contact of the same place detects no water",
    ),
    Test.CONSISTENCY: (
        "neighbours",
        "近くのより低い場所のセンサーが水を検知していません",
        "Sensors nearby that lie lower detect no water",
    ),
    Test.STUCK: (
        "stuck",
        "周りのセンサーの値が変わる間も値が動いていません",
        "The value stands still while sensors nearby move",
    ),
}


class DoubtItem(BaseModel):
    """A doubt about an alert: look on the spot; the alert stands."""

    kind: Kind = Field(description="Which rule doubts it: contact_ladder, neighbours or stuck")
    label: Name
    first: datetime = Field(description="Phenomenon time of the first reading that is doubted")
    last: datetime = Field(description="Of the last one so far")

    @classmethod
    def of(cls, row: Doubt) -> Self:
        """Build it from what the review of the place has found."""
        kind, ja, en = _SAID[row.test]
        return cls(kind=kind, label=Name(ja=ja, en=en), first=row.first, last=row.last)
