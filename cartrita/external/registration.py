"""How somebody tells us of an agent that runs elsewhere."""

from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from cartrita.declare import Team
from cartrita.external.documents import Document
from cartrita.protocol.task import MAX_TIMEOUT_MS, MIN_TIMEOUT_MS
from cartrita.protocol.wire import WireModel

ANY_OBJECT: dict[str, Any] = {"type": "object"}


def _endpoint(text: str) -> str:
    """Check an address that we are to call."""
    if not (text.isascii() and text.isprintable()) or any(c in text for c in ' "\\'):
        raise ValueError("an address has no such characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"it is no address: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("it must begin with 'http://' or 'https://'")
    if "@" in parts.netloc:
        raise ValueError("no credentials in addresses: give them as 'authentication'")
    if not parts.hostname or port == 0:
        raise ValueError("it names no host")
    if "#" in text:
        raise ValueError("an address that is called has no fragment")
    return text


def _path(text: str) -> str:
    if not (text.startswith("/") and text.isascii() and text.isprintable()):
        raise ValueError("a path begins with '/'")
    if text.startswith("//") or any(c in text for c in ' #\\"'):
        raise ValueError("it is no path")
    return text


def _printable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ValueError("a secret is printable ASCII")
    return secret


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    Document(schema)
    return schema


def _text(longest: int) -> Any:
    return StringConstraints(min_length=1, max_length=longest, pattern=r"^[^\x00-\x1f\x7f]+$")


AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
TaskName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$", max_length=128)
]
Schema = Annotated[dict[str, Any], AfterValidator(_schema)]


class ExternalTask(WireModel):
    """One task type of such an agent."""

    task_type: TaskName
    summary: Annotated[str, _text(200)]
    parameters: Schema = Field(description="A JSON Schema (2020-12) of an object.")
    result: Schema | None = Field(default=None, description="As well; any object by default.")
    example: dict[str, Any] | None = Field(default=None, description="Parameters that work.")
    timeout_ms: int | None = Field(
        default=None, ge=MIN_TIMEOUT_MS, le=MAX_TIMEOUT_MS, description="Instead of the agent's."
    )
    idempotent: bool = Field(
        default=False,
        description="Calls with one Idempotency-Key are as good as one: then a task is delivered "
        "at least once by default, else at most once.",
    )
    max_attempts: int = Field(default=3, ge=1, le=20)
    streams: bool = Field(default=False, description="It tells what it does while it works.")

    @model_validator(mode="after")
    def _example_fits(self) -> "ExternalTask":
        problems = Document(self.parameters).problems(self.example) if self.example else []
        if problems:
            name, text = problems[0]
            raise ValueError(f"the example does not fit the parameters: {name or 'it'} {text}")
        return self

    @cached_property
    def answer(self) -> Document:
        """What its results must fit."""
        return Document(self.result or ANY_OBJECT)


class Authentication(WireModel):
    """How the agent knows that it is us who call."""

    kind: Literal["bearer", "hmac"] = Field(
        description="`bearer` sends the secret as a token, `hmac` signs each call with it."
    )
    secret: Annotated[SecretStr, AfterValidator(_printable)] = Field(
        min_length=8, max_length=1024, json_schema_extra={"writeOnly": True}
    )


class Registration(WireModel):
    """An agent that runs elsewhere."""

    name: AgentName
    endpoint: Annotated[str, Field(max_length=2048), AfterValidator(_endpoint)] = Field(
        description="Where its tasks are posted to."
    )
    summary: Annotated[str, _text(200)]
    task_types: list[ExternalTask] = Field(min_length=1, max_length=64)
    team: Team = Field(default="intelligence", description="Whose supervisor carries its tasks.")
    health_path: Annotated[str, Field(max_length=1024), AfterValidator(_path)] = Field(
        default="/health", description="On the endpoint's host; answers 2xx while all is well."
    )
    health_every_ms: int = Field(default=5_000, ge=1_000, le=3_600_000)
    timeout_ms: int = Field(default=30_000, ge=MIN_TIMEOUT_MS, le=MAX_TIMEOUT_MS)
    max_concurrency: int = Field(
        default=8, ge=1, le=1_000, description="Calls at a time, in each shard of its team."
    )
    intensity: int = Field(
        default=2, ge=0, le=1_000, description="More failed health checks within `periodMs`, and "
        "it is quarantined.",
    )  # fmt: skip
    period_ms: int = Field(default=60_000, ge=1_000, le=3_600_000)
    authentication: Authentication | None = None

    @model_validator(mode="after")
    def _each_type_once(self) -> "Registration":
        names = [item.task_type for item in self.task_types]
        if len(set(names)) < len(names):
            raise ValueError("a task type stands there twice")
        return self

    def task(self, name: str) -> ExternalTask | None:
        """Return one of its task types."""
        return next((item for item in self.task_types if item.task_type == name), None)

    @property
    def health_url(self) -> str:
        """The address of its health."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc}{self.health_path}"
