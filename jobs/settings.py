"""Settings of the jobs: how long things are kept, and how soon silence is told."""

from pydantic import BaseModel, ConfigDict, Field


class JobsSettings(BaseModel):
    """What the jobs may delete, and how patient they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep_readings_days: int = Field(
        default=0,
        ge=0,
        description=(
            "Days that readings and positions are kept; rollups and alerts stay in any case. "
            "0: for ever."
        ),
    )
    keep_quarantine_days: int = Field(
        default=90, ge=1, description="Days that refused messages are kept."
    )
    keep_outbox_days: int = Field(
        default=7, ge=1, description="Days that messages are kept after they were sent."
    )
    keep_sequence_days: int = Field(
        default=30,
        ge=1,
        description="Days in which a repeated message without a device time is recognised.",
    )
    keep_conflict_days: int = Field(
        default=365,
        ge=1,
        description="Days that values and positions are kept that lost a conflict.",
    )
    gateway_outage_after_s: float = Field(
        default=60.0,
        ge=30,
        description="Seconds without a sign of life of a gateway before the outage is told.",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on loopback that serves the jobs' Prometheus metrics. 0: none.",
    )
