"""Settings of the API and the console."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ApiSettings(BaseModel):
    """Where the API listens, what it allows, and what the console draws below the sensors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address the API listens on. Other than loopback needs allow_unauthenticated.",
    )
    port: int = Field(default=8080, ge=0, le=65535, description="HTTP port of API and console.")
    tiles_url: str = Field(
        default="",
        pattern=r"^$|^https?://[^/\s;,']+/\S*$",
        description=(
            "Map tiles, such as https://tiles.example.lan/{z}/{x}/{y}.png. "
            "Empty: the offline map alone, and no request leaves this machine."
        ),
    )
    tiles_attribution: str = Field(
        default="", description="Attribution that the tiles' licence asks for."
    )
    base_map: Path | None = Field(
        default=None,
        description=(
            "GeoJSON file of the offline map. Empty: the one that comes along, with the outlines "
            "of Yamagata and Fukushima."
        ),
    )
    town_maps: Path | None = Field(
        default=None,
        description=(
            "Folder with the towns' own lines, drawn over the outlines: CODE.geojson with streets "
            "(kind: road), canals (river) and the like. Empty: maps in the data directory of "
            "`mizumori up`."
        ),
    )
    allow_unauthenticated: bool = Field(
        default=False,
        description=(
            "Listen beyond this machine although there is no login yet: everybody who reaches the "
            "port sees everything. Writing needs a token all the same (`mizumori token add`)."
        ),
    )
    graceful_stop_s: float = Field(
        default=5.0,
        ge=0,
        description="How long open requests may finish when the API stops, in seconds.",
    )
    threads: int = Field(
        default=16,
        ge=1,
        le=200,
        description="Requests that may use the database at the same time; others wait their turn.",
    )
    request_timeout_s: float = Field(
        default=15.0,
        gt=0,
        description="A request that takes longer is answered with 503, in seconds.",
    )
    max_body_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="Most bytes that a request may bring; a larger one is answered with 413.",
    )
    live_clients: int = Field(
        default=500, ge=1, description="Most browsers that may hold the live feed open."
    )
    live_queue: int = Field(
        default=2000,
        ge=10,
        description="Events that wait for one slow browser until it is told to load the page anew.",
    )
