"""Settings of the services that `mizumori up` runs itself."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class EmbeddedSettings(BaseModel):
    """Where the embedded services keep their data, and how they are reached.

    The fields below `account` are remembered in {data_dir}/embedded.toml by `mizumori up`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(
        default=Path("var"),
        description=(
            "Folder of everything that `mizumori up` keeps: database, broker store, logs. "
            "Relative to the settings file, or to the current folder if there is none."
        ),
    )
    account: str = Field(
        default="",
        description=(
            "System account that runs the database when `mizumori up` runs as root. "
            "Empty: mizumori if there is such an account, else nobody."
        ),
    )
    postgres_dir: Path | None = Field(
        default=None, description="Folder of the embedded database. Chosen at the first start."
    )
    postgres_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the embedded database. 0: a free one."
    )
    postgres_password: SecretStr = Field(
        default=SecretStr(""),
        description="Superuser password of the embedded database. Made at the first start.",
    )
