"""Settings: a TOML file and the environment over embedded defaults.

`POSTROOM_DATA` names the data folder, `POSTROOM_CONFIG` the file; any setting may come from the environment as
`POSTROOM_<GROUP>__<NAME>`. What is wrong stops the start and names the remedy.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Misconfigured(Exception):
    """A setting will not do; the sentence says which, and what would."""


class Database(BaseModel):
    """Where rows are kept."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(default=None, description="SQLAlchemy URL; none: SQLite in the data folder")


class Blobs(BaseModel):
    """Where mail is kept."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(default=None, description="s3://bucket/prefix?endpoint=…; none: in the data folder")


class Web(BaseModel):
    """How pages are served."""

    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8460, ge=0, le=65535)
    threads: int = Field(default=8, ge=1, le=64)
    behind_proxy: bool = Field(default=False, description="trust X-Forwarded-* from one proxy in front")


class Gateway(BaseModel):
    """How mail is fetched."""

    model_config = ConfigDict(extra="forbid")

    workers: int | None = Field(default=None, ge=1, le=64, description="intake workers; none: one a core")
    at_once: int = Field(default=4, ge=1, le=64, description="folders taken in at the same time")
    kept: int = Field(default=2000, ge=0, le=20_000, description="connections kept so that servers tell of new mail")
    kept_look: int = Field(
        default=300, ge=1, le=1680, description="seconds at most between looks over such a connection"
    )
    timeout: float = Field(default=60, gt=0, le=3600, description="seconds to wait for a mail server's answer")
    ca_file: Path | None = Field(default=None, description="certificates to trust besides the system's")
    journal_days: int = Field(
        default=90, ge=1, le=3650, description="days for which owners see what was sent to their mail servers"
    )
    own_servers: list[str] | None = Field(
        default=None,
        description="mail servers to which people may connect mailboxes of their own; none: any on the open internet",
    )


class Sending(BaseModel):
    """How mail leaves."""

    model_config = ConfigDict(extra="forbid")

    connections: int = Field(default=4, ge=1, le=64, description="to one server at a time, at most")
    a_minute: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={}, description="mails a minute through a server, by its name; others: as many as it takes"
    )


class Monitoring(BaseModel):
    """What a monitor may see from outside."""

    model_config = ConfigDict(extra="forbid")

    token: str | None = Field(
        default=None, min_length=16, description="who sends it as Bearer token gets /metrics; none: nobody"
    )
    listen: str | None = Field(
        default=None,
        pattern=r"^([0-9.]+|\[[0-9a-fA-F:]+\]|localhost):[0-9]{1,5}$",
        description="host:port where the gateway alone answers /healthz, /readyz and /metrics; none: nowhere",
    )


class Log(BaseModel):
    """What is written to stderr."""

    model_config = ConfigDict(extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(BaseSettings):
    """All that the operator decides."""

    model_config = SettingsConfigDict(env_prefix="POSTROOM_", env_nested_delimiter="__", extra="forbid")

    data: Path = Path("postroom-data")
    key_file: Path | None = Field(default=None, description="the installation's key; none: beside the data folder")
    database: Database = Database()
    blobs: Blobs = Blobs()
    web: Web = Web()
    gateway: Gateway = Gateway()
    sending: Sending = Sending()
    monitoring: Monitoring = Monitoring()
    log: Log = Log()

    @property
    def key_path(self) -> Path:
        """Where the installation's key lies: outside the data folder, so that no backup of it holds the key."""
        data = self.data.absolute()
        return self.key_file or data.with_name(data.name + ".key")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment over the file over the defaults."""
        file = os.environ.get("POSTROOM_CONFIG")
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        return (*sources, TomlConfigSettingsSource(settings_cls, Path(file))) if file else sources


def load() -> Settings:
    """The settings in force; Misconfigured where one will not do."""
    file = os.environ.get("POSTROOM_CONFIG")
    if file and not Path(file).is_file():
        raise Misconfigured(f"{file}: POSTROOM_CONFIG names this file, and it is not there.")
    try:
        return Settings()
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{file}: not a TOML file: {error}.") from None
    except ValidationError as error:
        where = file or "environment"
        faults = [f"{where}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise Misconfigured("\n".join(faults)) from None
