"""Settings of a NATS server that Mizumori configures: section ``[nats]`` of the settings file."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class NatsSettings(BaseModel):
    """What goes into the NATS server's own configuration.

    `mizumori up` fills these from its own section and chooses free ports; for a NATS server that
    somebody else starts they are written by hand. Where the gateway connects to is not here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mqtt_host: str = Field(
        default="127.0.0.1",
        description="Address on which NATS takes MQTT. 0.0.0.0 lets real devices in.",
    )
    mqtt_port: int = Field(default=1883, ge=1, le=65535, description="MQTT port of NATS.")
    client_host: str = Field(
        default="127.0.0.1", description="Address of the NATS protocol, for administration alone."
    )
    client_port: int = Field(default=4222, ge=1, le=65535, description="Port of the NATS protocol.")
    monitor_port: int = Field(
        default=8222, ge=1, le=65535, description="Port of NATS's health pages, on loopback only."
    )
    admin_password: SecretStr = Field(
        default=SecretStr(""),
        description="Password of the accounts' administrators, 128 random bits.",
    )
    store_dir: Path = Field(
        default=Path("/var/lib/nats"), description="Folder in which NATS stores messages."
    )
    store_bytes: int = Field(
        default=4 * 1024**3,
        ge=64 * 1024**2,
        description="Most disk the store may take, in bytes, all towns together.",
    )
    log_file: Path | None = Field(
        default=None,
        description="NATS's log, which `mizumori doctor` reads. Empty: the standard error output.",
    )
    sync: Literal["always", "fast"] = Field(
        default="always",
        description=(
            "always: a message is on the disk before its device is told so. fast: every two "
            "minutes; about twenty times faster, and a power cut loses what came since."
        ),
    )
    partitions: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Intakes of a town, for readings in parallel. Fixed when a town is created.",
    )
    queue_bytes: int = Field(
        default=512 * 1024**2,
        ge=1024**2,
        description=(
            "Most bytes of a town's readings that wait while the gateway is away; beyond it its "
            "devices are refused and keep their readings. For new towns."
        ),
    )
    window_messages: int = Field(
        default=8000,
        ge=1,
        le=65535,
        description=(
            "Messages an intake may hold unacknowledged, at most gateway.queue_messages. A "
            "transaction takes up to half of it. Fixed when a town is created."
        ),
    )
    ack_wait_s: int = Field(
        default=15,
        ge=1,
        description=(
            "Seconds until NATS sends an unacknowledged message again. Fixed when a town is "
            "created."
        ),
    )
    max_payload_bytes: int = Field(
        default=256 * 1024,
        ge=1024,
        le=8 * 1024**2,
        description="Largest message; a device that sends a larger one is disconnected.",
    )
    tls_cert: Path | None = Field(
        default=None, description="File with the certificate (PEM) of the MQTT port."
    )
    tls_key: Path | None = Field(default=None, description="File with that certificate's key.")

    @model_validator(mode="after")
    def _tls_is_a_pair(self) -> "NatsSettings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("nats.tls_cert and nats.tls_key belong together: set both or neither")
        return self
