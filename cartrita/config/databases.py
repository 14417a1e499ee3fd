"""The databases' settings."""

from typing import Annotated
from urllib.parse import quote

from pydantic import Field, SecretStr

from cartrita.config.kinds import (
    Port,
    PostgresUrl,
    RedisUrl,
    Section,
    also,
    text_of,
)


class Postgres(Section):
    """The journal, identities, budgets and memory."""

    url: Annotated[PostgresUrl | None, also("DATABASE_URL")] = Field(
        default=None, description="Whole address; wins over the parts below."
    )
    host: Annotated[str | None, also("POSTGRES_HOST")] = Field(
        default=None, description="Host of an outside server; unset starts the embedded one."
    )
    port: Annotated[Port, also("POSTGRES_PORT")] = Field(
        default=5435, description="Port of the server, embedded or not."
    )
    db: Annotated[str, also("POSTGRES_DB")] = Field(default="cartrita", description="Database.")
    user: Annotated[str, also("POSTGRES_USER")] = Field(default="cartrita", description="Role.")
    password: Annotated[SecretStr | None, also("POSTGRES_PASSWORD")] = Field(
        default=None, description="Password; the embedded server generates its own."
    )
    pool_size: Annotated[int, also("connectionPoolSize")] = Field(
        default=20, ge=1, le=1000, description="Most connections per process."
    )
    statement_cache_size: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="Prepared statements kept per connection; 0 behind pgbouncer.",
    )

    @property
    def outside(self) -> bool:
        """Whether somebody else runs the server."""
        return self.url is not None or self.host is not None

    @property
    def dsn(self) -> SecretStr | None:
        """The address of the outside server; None where the embedded one serves."""
        if self.url is not None or self.host is None:
            return self.url
        who = quote(self.user, safe="") + _password(self.password)
        place = f"{_bracketed(self.host)}:{self.port}"
        return SecretStr(f"postgresql://{who}@{place}/{quote(self.db, safe='')}")


class Redis(Section):
    """Cache, rate limits and fan-out: nothing whose loss matters."""

    url: RedisUrl | None = Field(
        default=None, description="Whole address; wins over the parts below."
    )
    host: Annotated[str | None, also("REDIS_HOST")] = Field(
        default=None, description="Host of an outside server; unset starts the embedded one."
    )
    port: Annotated[Port, also("REDIS_PORT")] = Field(
        default=6380, description="Port of the server, embedded or not."
    )
    password: Annotated[SecretStr | None, also("REDIS_PASSWORD")] = Field(
        default=None, description="Password; the embedded server generates its own."
    )
    pool_size: Annotated[int, also("redisPoolSize")] = Field(
        default=10, ge=1, le=1000, description="Most connections per process."
    )

    @property
    def outside(self) -> bool:
        """Whether somebody else runs the server."""
        return self.url is not None or self.host is not None

    @property
    def dsn(self) -> SecretStr | None:
        """The address of the outside server; None where the embedded one serves."""
        if self.url is not None or self.host is None:
            return self.url
        secret = f"{_password(self.password)}@" if self.password else ""
        return SecretStr(f"redis://{secret}{_bracketed(self.host)}:{self.port}/0")


def _password(password: SecretStr | None) -> str:
    return f":{quote(text_of(password) or '', safe='')}" if password else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
