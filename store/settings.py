"""Settings of the database."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class DatabaseSettings(BaseModel):
    """Where the database is, and the passwords of our four roles in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dsn: str = Field(
        default="",
        pattern=r"^$|^postgres(ql)?://[^@]+/[^/]+$",
        description=(
            "Address of PostgreSQL 15 or later without a user, such as "
            "postgresql://db.example.lan:5432/mizumori. Empty: `mizumori up` runs its own."
        ),
    )
    owner_password: SecretStr = Field(
        default=SecretStr(""), description="Password of mizumori_owner, who owns the schema."
    )
    gateway_password: SecretStr = Field(
        default=SecretStr(""), description="Password of mizumori_gateway."
    )
    jobs_password: SecretStr = Field(
        default=SecretStr(""), description="Password of mizumori_jobs."
    )
    api_password: SecretStr = Field(
        default=SecretStr(""),
        description="Password of mizumori_api, which sees one town at a time.",
    )
