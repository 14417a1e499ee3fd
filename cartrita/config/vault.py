"""The tables of the settings file about secrets: whose vault we read, and what seals ours."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from cartrita.config.kinds import HttpUrl, Location, Section, also, reference_of

MountPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", max_length=200)]
_KEY = re.compile(r"[A-Za-z0-9+/_-]{43}=?|[0-9a-fA-F]{64}")


class Vault(Section):
    """HashiCorp Vault or OpenBao; `vault:path#field` as any secret's value reads it from there.

    Its KV engine must be of version 2. Needs `cartrita[vault]`. One of `token`, `token_path`
    and `role_id` with `secret_id` says who we are.
    """

    url: Annotated[HttpUrl | None, also("VAULT_ADDR")] = Field(
        default=None, description="Address of the server; of the active node in a cluster."
    )
    mount: MountPath = Field(default="secret", description="Where the KV engine is mounted.")
    prefix: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9._-]+/)*[A-Za-z0-9._-]*$",
        max_length=200,
        description="Folder before every path, such as `cartrita/production`.",
    )
    namespace: Annotated[str | None, also("VAULT_NAMESPACE")] = Field(
        default=None, max_length=200, description="Namespace, where the server has some."
    )
    token: Annotated[SecretStr | None, also("VAULT_TOKEN")] = Field(
        default=None, description="Token to read with; renewed while we run, where it can be."
    )
    token_path: Location | None = Field(
        default=None,
        description="File with the token, as Vault's agent keeps it; read anew every time.",
    )
    role_id: str | None = Field(default=None, max_length=200, description="Role of an AppRole.")
    secret_id: SecretStr | None = Field(default=None, description="Secret of that role.")
    approle_mount: MountPath = Field(default="approle", description="Where AppRole is mounted.")
    ca: Annotated[Location | None, also("VAULT_CACERT")] = Field(
        default=None, description="PEM file of the authorities to trust; unset trusts the usual."
    )
    timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=120,
        description="Seconds for reading all secrets that a process needs, tries included.",
    )
    tries: int = Field(
        default=3, ge=1, le=10, description="How often one that fails in passing is asked for."
    )
    refresh_s: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="Seconds between two looks whether providers' keys have changed; workers are "
        "replaced then. 0 never looks.",
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.role_id is None) != (self.secret_id is None):
            raise ValueError("set both role_id and secret_id, or neither")
        ways = [self.token, self.token_path, self.role_id]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("set one of token, token_path and role_id")
        if reference_of(self.token) or reference_of(self.secret_id):
            raise ValueError("what opens the vault cannot be in it")
        if ".." in PurePosixPath(self.prefix).parts:
            raise ValueError("prefix may not lead upwards")
        return self


class Keystore(Section):
    """Providers' keys that users keep here, sealed with AES-256-GCM."""

    master_key: SecretStr | None = Field(
        default=None,
        description="32 random bytes in base64 or hexadecimal, which seal them; unset makes "
        "`keystore` in the home of an embedded instance, and keeps none elsewhere.",
    )
    previous_keys: SecretStr | None = Field(
        default=None,
        description="Master keys from before, separated by commas: they open, and seal no more.",
    )
    most_per_user: int = Field(default=200, ge=1, le=10_000, description="Keys one user may keep.")

    @model_validator(mode="after")
    def _keys(self) -> Self:
        for name in ("master_key", "previous_keys"):
            secret = getattr(self, name)
            if secret is None or reference_of(secret):
                continue
            keys = secret.get_secret_value().split(",")
            if not all(_KEY.fullmatch(key.strip()) for key in keys if key.strip()):
                raise ValueError(f"{name} takes 32 bytes in base64 or hexadecimal")
        return self
