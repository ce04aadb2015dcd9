"""Settings of the jobs."""

from pydantic import BaseModel, ConfigDict, Field


class JobsSettings(BaseModel):
    """How often the work is done that nobody waits for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    upkeep_interval_s: float = Field(
        default=60.0,
        gt=0,
        description="Pause between two rounds of upkeep, in seconds.",
    )
