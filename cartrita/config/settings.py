"""Everything about Cartrita that an operator may choose."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr

from cartrita.config.agency import Agency
from cartrita.config.answers import Cache, Privacy
from cartrita.config.bounds import Blobs, Limits, Retention, Sandbox
from cartrita.config.bridge import Bridge
from cartrita.config.databases import Postgres, Redis
from cartrita.config.huggingface import Embeddings, HuggingFace
from cartrita.config.kinds import Location, Section
from cartrita.config.migration import Migration
from cartrita.config.money import Budgets
from cartrita.config.routing import Routing
from cartrita.config.sections import (
    Admin,
    Auth,
    Channel,
    Chaos,
    Models,
    Ray,
    Server,
    Supervision,
    Telemetry,
)
from cartrita.config.vault import Keystore, Vault
from cartrita.config.web import Egress, Web

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(Section):
    """All settings. Load them once, with `cartrita.config.load`, and pass values on."""

    home: Location = Field(
        default=Path("~/.cartrita"), description="Folder of everything that outlives a run."
    )
    instance: str = Field(
        default="cartrita",
        pattern="^[a-z0-9-]{1,32}$",
        description="Name of this installation; its Ray namespace.",
    )
    lifetime: Literal["auto", "embedded", "attached"] = Field(
        default="auto",
        description="`embedded`: one process owns everything; `attached`: the tree outlives it; "
        "`auto`: attached as soon as `ray.address` is named.",
    )
    server: Server = Server()
    ray: Ray = Ray()
    channel: Channel = Channel()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    admin: Admin = Admin()
    auth: Auth = Auth()
    vault: Vault = Vault()
    keystore: Keystore = Keystore()
    limits: Limits = Limits()
    blobs: Blobs = Blobs()
    retention: Retention = Retention()
    budgets: Budgets = Budgets()
    supervision: Supervision = Supervision()
    migration: Migration = Migration()
    models: Models = Models()
    egress: Egress = Egress()
    web: Web = Web()
    routing: Routing = Routing()
    agency: Agency = Agency()
    sandbox: Sandbox = Sandbox()
    huggingface: HuggingFace = HuggingFace()
    embeddings: Embeddings = Embeddings()
    cache: Cache = Cache()
    privacy: Privacy = Privacy()
    telemetry: Telemetry = Telemetry()
    chaos: Chaos = Chaos()
    bridge: Bridge = Bridge()

    @property
    def embedded(self) -> bool:
        """Whether one process owns Postgres, Valkey, Ray and the tree."""
        if self.lifetime == "auto":
            return self.ray.address is None
        return self.lifetime == "embedded"

    @property
    def registration_open(self) -> bool:
        """Whether anybody may make an account."""
        if self.auth.registration == "auto":
            return self.embedded and self.server.host in LOOPBACK
        return self.auth.registration == "open"

    @property
    def guests_welcome(self) -> bool:
        """Whether routes of v2 that were open run tasks without a token."""
        if self.bridge.guests == "auto":
            return self.embedded and self.server.host in LOOPBACK
        return self.bridge.guests == "open"

    def at(self, ray_address: str, postgres_url: str, redis_url: str) -> Self:
        """Return what children of an owner see: its lifetime, and the addresses it opened."""
        return self.model_copy(
            update={
                "lifetime": "embedded" if self.embedded else "attached",
                "ray": self.ray.model_copy(update={"address": ray_address}),
                "postgres": self.postgres.model_copy(update={"url": SecretStr(postgres_url)}),
                "redis": self.redis.model_copy(update={"url": SecretStr(redis_url)}),
            }
        )
