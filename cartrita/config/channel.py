"""The table of the settings file about channels, and names that Ray reads, too."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cartrita.config.kinds import Aliases, Location, Section


class RaysOwn(Aliases):
    """Names that Ray reads, too: our children keep them in their environment."""

    __slots__ = ()


class Channel(Section):
    """What our actors send each other between nodes."""

    tcp: Annotated[bool, RaysOwn(("RAY_USE_TLS",))] = Field(
        default=False,
        description="Whether actors are reached from other nodes, too; needs ca, cert and key. "
        "Ray's `RAY_USE_TLS` is read where this is unset.",
    )
    host: str = Field(
        default="",
        description="Address by which other nodes reach this one; unset is the node's own.",
    )
    ca: Annotated[Location | None, RaysOwn(("RAY_TLS_CA_CERT",))] = Field(
        default=None,
        description="PEM file of the authorities that nodes trust, or Ray's `RAY_TLS_CA_CERT`.",
    )
    cert: Annotated[Location | None, RaysOwn(("RAY_TLS_SERVER_CERT",))] = Field(
        default=None,
        description="PEM file of the node's certificate, or Ray's `RAY_TLS_SERVER_CERT`.",
    )
    key: Annotated[Location | None, RaysOwn(("RAY_TLS_SERVER_KEY",))] = Field(
        default=None,
        description="PEM file of the certificate's key, or Ray's `RAY_TLS_SERVER_KEY`.",
    )
    plain_tcp: bool = Field(
        default=False,
        description="Send frames between nodes unencrypted; only on a network you trust.",
    )

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        files = {"ca": self.ca, "cert": self.cert, "key": self.key}
        missing = [f"channel.{name}" for name, path in files.items() if path is None]
        if self.tcp and self.plain_tcp and len(missing) < len(files):
            raise ValueError("set channel.plain_tcp or certificates, not both")
        if self.tcp and missing and not self.plain_tcp:
            raise ValueError(
                f"channel.tcp needs {', '.join(missing)}, which `cartrita certs` makes; "
                "channel.plain_tcp does without, on a network you trust"
            )
        return self
