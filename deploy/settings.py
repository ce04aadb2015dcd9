"""All settings of Mizumori: each room's section, put together and checked.

Precedence: environment MIZUMORI_SECTION__KEY, then the settings file, then what `mizumori up`
remembers in {data_dir}/embedded.toml, then the defaults.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from api.settings import ApiSettings
from deploy.broker.settings import NatsSettings
from deploy.embedded.remembered import FILE_NAME as REMEMBERED
from deploy.embedded.settings import EmbeddedSettings
from gateway.settings import BrokerSettings, GatewaySettings
from jobs.settings import JobsSettings
from store.settings import DatabaseSettings

PREFIX = "MIZUMORI_"
CONFIG_VARIABLE = "MIZUMORI_CONFIG"
FILE_NAME = "mizumori.toml"


class SettingsError(Exception):
    """The settings are wrong; the message is one sentence that names the key."""


class GrafanaSettings(BaseModel):
    """Where `mizumori grafana sync` finds Grafana."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        default="",
        pattern=r"^$|^https?://",
        description="Address of Grafana, such as http://grafana.example.lan:3000.",
    )
    token: SecretStr = Field(
        default=SecretStr(""), description="Token of a Grafana service account with the role Admin."
    )
    database_address: str = Field(
        default="",
        description="host:port of the database as Grafana sees it. Empty: as in database.dsn.",
    )


class LogSettings(BaseModel):
    """How the services write their logs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["auto", "json", "text"] = Field(
        default="auto", description="json, text, or auto: text on a terminal and json elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What is written: this level and above."
    )
    max_bytes: int = Field(
        default=10_000_000,
        ge=100_000,
        description="`mizumori up` keeps one older part of a log when it grows beyond this.",
    )


class Settings(BaseSettings):
    """Every section. Fields of a section are documented where the section is declared."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    gateway: GatewaySettings = GatewaySettings()
    jobs: JobsSettings = JobsSettings()
    api: ApiSettings = ApiSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    nats: NatsSettings = NatsSettings()
    grafana: GrafanaSettings = GrafanaSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before the files, which arrive as keyword arguments."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @model_validator(mode="after")
    def _stay_on_this_machine(self) -> "Settings":
        if not is_loopback(self.api.host) and not self.api.allow_unauthenticated:
            raise ValueError(
                f"api.host is {self.api.host}, which other machines reach, and there is no login "
                "yet: set api.allow_unauthenticated to true if everybody there may see everything"
            )
        return self

    @property
    def remembered_file(self) -> Path:
        """Where `mizumori up` keeps the ports and passwords it made."""
        return self.embedded.data_dir / REMEMBERED


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings(config: Path | None = None, *, remembered: bool = True) -> Settings:
    """Read and check the settings.

    Parameters
    ----------
    config
        The settings file. None: the one that MIZUMORI_CONFIG names, else mizumori.toml in the
        current folder if there is one.
    remembered
        Whether to read what `mizumori up` remembers in {data_dir}/embedded.toml.

    Raises
    ------
    SettingsError
        A file is missing or broken, a key is unknown, or a value is wrong.
    """
    path = _settings_file(config)
    file = _read(path) if path else {}
    base = path.parent if path else Path.cwd()
    _check_names(file, str(path))
    _check_environment(os.environ)
    said = _build(file, str(path))
    data_dir = base / said.embedded.data_dir.expanduser()
    file = _merged({"embedded": {"data_dir": data_dir}}, file)
    file["embedded"]["data_dir"] = data_dir
    remembered_file = data_dir / REMEMBERED
    if remembered and remembered_file.exists():
        layer = _read(remembered_file)
        _check_names(layer, str(remembered_file))
        # A database or broker of one's own has nothing to do with the embedded one.
        if said.database.dsn:
            layer.pop("database", None)
        if said.broker.host:
            layer.pop("broker", None)
            layer.pop("nats", None)
        file = _merged(layer, file)
    settings = _build(file, str(path))
    # The environment may name a relative folder too; it is resolved the same way.
    embedded = settings.embedded.model_copy(update={"data_dir": data_dir})
    return settings.model_copy(update={"embedded": embedded})


def sections() -> dict[str, dict[str, FieldInfo]]:
    """Return every section's fields by name, for checks and documentation."""
    found = {}
    for name, section in Settings.model_fields.items():
        model = section.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        found[name] = dict(model.model_fields)
    return found


def _settings_file(config: Path | None) -> Path | None:
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if CONFIG_VARIABLE in os.environ else None)
    if named is not None:
        if not named.exists():
            raise SettingsError(f"The settings file {named} does not exist.")
        return named.absolute()
    here = Path.cwd() / FILE_NAME
    return here if here.exists() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except PermissionError as error:
        raise SettingsError(
            f"{path} cannot be read by this account; run the command as the account that owns it."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of `below` with the keys of `above` on top."""
    return {name: {**below.get(name, {}), **above.get(name, {})} for name in {**below, **above}}


def _check_names(layer: Mapping[str, Any], source: str) -> None:
    known = sections()
    for section, values in layer.items():
        if section not in known:
            raise SettingsError(
                f"{source}: there is no section [{section}]{_nearest(section, known)}."
            )
        if not isinstance(values, dict):
            raise SettingsError(
                f"{source}: {section} is a section; write its keys under a line [{section}]."
            )
        for key in values:
            if key not in known[section]:
                raise SettingsError(
                    f"{source}: section [{section}] has no setting {key}"
                    f"{_nearest(key, known[section])}."
                )


def _check_environment(environment: Mapping[str, str]) -> None:
    known = {
        f"{PREFIX}{section}__{key}".upper(): None
        for section, fields in sections().items()
        for key in fields
    }
    for name in environment:
        upper = name.upper()
        if upper.startswith(PREFIX) and upper not in known and upper != CONFIG_VARIABLE:
            raise SettingsError(
                f"The environment variable {name} names no setting{_nearest(upper, known)}."
            )


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"[:-1]
    listed = ", ".join(sorted(names)[:12])
    return f"; known are {listed}" if len(names) <= 12 else ""


def _build(layer: Mapping[str, Any], source: str) -> Settings:
    try:
        return Settings(**layer)
    except SourceError as error:
        raise SettingsError(f"A setting in the environment cannot be read: {error}.") from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "string_pattern_mismatch":
            what = f"not as it must be; {_description(problem['loc'])}".rstrip(".")
        where = _where(problem["loc"], source)
        raise SettingsError(f"{where}{key + ': ' if key else ''}{what}.") from error


def _description(loc: tuple[int | str, ...]) -> str:
    field = sections().get(str(loc[0]), {}).get(str(loc[1])) if len(loc) > 1 else None
    return (field.description or "") if field else ""


def _where(loc: tuple[int | str, ...], source: str) -> str:
    name = (PREFIX + "__".join(str(part) for part in loc[:2])).upper()
    if any(variable.upper() == name for variable in os.environ):
        return f"Environment variable {name}: "
    return f"{source}: " if source != "None" else ""
