"""Alerts and their transitions as the API shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from api.ahead import Ahead, CrewItem, ForecastItem
from api.doubts import DoubtItem
from api.words import Name, finite
from store import alerts as ledger
from store.doubts import Doubt
from store.journal import Correction


class AlertItem(BaseModel):
    """One episode above level 0 of one rule at one datastream."""

    id: int
    state: Literal["open", "ended"]
    device: str
    datastream: int
    property: str = Field(examples=["depth_m"])
    unit: str = Field(examples=["m"])
    rule: str = Field(examples=["street-depth"])
    rule_version: int
    rule_kind: str | None = Field(examples=["threshold"])
    level: int = Field(description="Now; 0 when it has ended")
    label: Name | None = Field(
        description="What the level is called, the peak level's for an ended alert"
    )
    colour: str | None = Field(examples=["#f2e700"])
    symbol: str | None = Field(description="Shape on the map: colour is never the only signal")
    onset: datetime
    clear: datetime | None = Field(
        description="When the water was seen to have fallen. It never means that a road is open"
    )
    peak_level: int
    peak_value: float | None
    training: bool = Field(description="訓練: an exercise")
    withdrawn: bool = Field(description="Late data showed that it never was")
    merged_into: int | None = Field(description="The alert that this one turned out to be part of")
    site: str | None
    doubts: list[DoubtItem] = Field(description="What other sensors of the place say against it")
    unconfirmed: datetime | None = Field(
        description=(
            "When the one steep step was that its level rests on; null: a later reading has borne "
            "it out, or it does not rest on one"
        )
    )

    @classmethod
    def fields_of(
        cls, row: ledger.Alert, doubts: Sequence[Doubt], unconfirmed: datetime | None
    ) -> dict[str, Any]:
        """Read the fields from a row of the ledger."""
        return {
            "id": row.alert_id,
            "state": "open" if row.clear is None and not row.withdrawn else "ended",
            "device": row.device,
            "datastream": row.datastream_id,
            "property": row.property,
            "unit": row.unit,
            "rule": row.rule,
            "rule_version": row.rule_version,
            "rule_kind": row.rule_kind,
            "level": row.level,
            "label": Name.of(row.label_ja, row.label_en),
            "colour": row.colour,
            "symbol": row.symbol,
            "onset": row.onset,
            "clear": row.clear,
            "peak_level": row.peak_level,
            "peak_value": finite(row.peak_value),
            "training": row.training,
            "withdrawn": row.withdrawn,
            "merged_into": row.merged_into,
            "site": row.site,
            "doubts": [DoubtItem.of(doubt) for doubt in doubts],
            "unconfirmed": unconfirmed,
        }

    @classmethod
    def of(cls, row: ledger.Alert, doubts: Sequence[Doubt], unconfirmed: datetime | None) -> Self:
        """Build the item from a row of the ledger and what is said against it."""
        return cls.model_validate(cls.fields_of(row, doubts, unconfirmed))


class TransitionItem(BaseModel):
    """One change of level, with what decided it."""

    time: datetime
    from_level: int
    to_level: int
    value: float | None
    rule_version: int
    label: Name | None = Field(description="What `to_level` was called at that time")
    colour: str | None
    symbol: str | None
    evidence: Any = Field(description="The readings, the rule and the state that decided")

    @classmethod
    def of(cls, row: ledger.Transition) -> Self:
        """Build the item from a row of the ledger."""
        return cls(
            time=row.time,
            from_level=row.from_level,
            to_level=row.to_level,
            value=row.value,
            rule_version=row.rule_version,
            label=Name.of(row.label_ja, row.label_en),
            colour=row.colour,
            symbol=row.symbol,
            evidence=row.evidence,
        )


class CorrectionItem(BaseModel):
    """What an alert was corrected to, because readings came late; what had been told stays told."""

    said: datetime = Field(description="When the correction was made")
    onset: datetime | None = Field(description="null: it was withdrawn, or merged into another")
    clear: datetime | None
    level: int | None

    @classmethod
    def of(cls, row: Correction) -> Self:
        """Build the item from an entry of the journal."""
        return cls(said=row.said_at, onset=row.onset, clear=row.clear, level=row.level)


class AlertWithTransitions(AlertItem):
    """An alert with its whole course."""

    transitions: list[TransitionItem]
    corrections: list[CorrectionItem] = Field(description="Oldest first; none: it never changed")
    forecast: ForecastItem | None = Field(
        description="The next level, if anything may be said; null for an ended alert"
    )
    crew: CrewItem | None = Field(description="Depth when the crew arrives; null: not known")

    @classmethod
    def whole(
        cls,
        row: ledger.Alert,
        transitions: list[ledger.Transition],
        corrections: list[Correction],
        doubts: Sequence[Doubt],
        unconfirmed: datetime | None,
        ahead: Ahead,
    ) -> Self:
        """Build it from a row of the ledger with all that belongs to it."""
        fields = cls.fields_of(row, doubts, unconfirmed) | {
            "transitions": [TransitionItem.of(each) for each in transitions],
            "corrections": [CorrectionItem.of(each) for each in corrections],
            "forecast": ahead.forecast,
            "crew": ahead.crew,
        }
        return cls.model_validate(fields)


class AlertPage(BaseModel):
    """One page of the list of alerts."""

    items: list[AlertItem]
    next: str | None = Field(description="Give it as `cursor` for the next page; null: the end")
