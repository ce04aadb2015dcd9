"""Settings of the broker connection and of the gateway."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class BrokerSettings(BaseModel):
    """Where the MQTT broker is. How an embedded NATS is set up is in the section [nats]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["nats", "mosquitto"] = Field(
        default="nats",
        description="Which broker it is: nats (recommended), or mosquitto (one intake).",
    )
    host: str = Field(
        default="",
        description="Host of the MQTT broker. Empty: `mizumori up` runs its own NATS.",
    )
    port: int = Field(default=1883, ge=1, le=65535, description="MQTT port of the broker.")
    tls_ca: Path | None = Field(
        default=None,
        description="File with the broker's CA certificate (PEM); given, the connection is TLS.",
    )


class GatewaySettings(BaseModel):
    """How the gateway takes readings in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue_messages: int = Field(
        default=10_000, ge=1, description="Messages that wait in memory for the worker, per intake."
    )
    batch_readings: int = Field(
        default=20_000, ge=1, description="Most readings of one transaction."
    )
    earliest_time: AwareDatetime = Field(
        default=datetime(2000, 1, 1, tzinfo=UTC),
        description="A device time before this is a wrong clock; the message goes to quarantine.",
    )
    max_message_readings: int = Field(
        default=2_000,
        ge=1,
        description="Most readings of one message; a larger one goes to quarantine.",
    )
    max_message_bytes: int = Field(
        default=256 * 1024,
        ge=64,
        description="Largest payload that is decoded; a larger one goes to quarantine.",
    )
    quarantine_per_hour: int = Field(
        default=200,
        ge=1,
        description=(
            "Refused messages of one device that are kept in an hour, with their payload; more are "
            "counted, not kept."
        ),
    )
    keepalive_s: int = Field(
        default=30,
        ge=5,
        le=65535,
        description="MQTT keepalive: a broker silent for this long is connected to anew.",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on loopback that serves the gateway's Prometheus metrics. 0: none.",
    )
    push_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description=(
            "Port of the HTTP listener for operators that push (POST /push/TOWN/DEVICE); gateways "
            "of one machine share it. 0: none."
        ),
    )
    push_host: str = Field(
        default="127.0.0.1",
        description=(
            "Address that the HTTP listener is bound to. Beyond this machine: with push_tls_cert, "
            "or behind a proxy that speaks TLS; tokens are readable on the way otherwise."
        ),
    )
    push_tls_cert: Path | None = Field(
        default=None, description="The HTTP listener's certificate (PEM); given, it speaks TLS."
    )
    push_tls_key: Path | None = Field(
        default=None, description="The key of push_tls_cert (PEM), if it is a file of its own."
    )
    push_per_minute: int = Field(
        default=600,
        ge=1,
        description=(
            "Requests of one operator in a minute, at each gateway; more get the answer 429, and "
            "every answer says how many are left."
        ),
    )
    push_waiting: int = Field(
        default=200,
        ge=1,
        description="Requests that wait for their commit at a time; more get the answer 503.",
    )
    push_wait_s: float = Field(
        default=20.0,
        gt=0,
        description=(
            "How long a request waits for its commit; after that it gets the answer 503, and its "
            "sender is to repeat it."
        ),
    )
    sequence_horizon_s: float = Field(
        default=7 * 86_400.0,
        gt=0,
        description=(
            "A reading without a device time is told from a repeated one by its sequence number; "
            "a number that comes again after so many seconds is a device that began anew."
        ),
    )
    max_future_s: float = Field(
        default=600.0,
        ge=0,
        description="A device time further ahead of ours than this is a wrong clock, in seconds.",
    )
